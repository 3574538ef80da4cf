"""Turns control events into words on ``controls``: a business pauses, resumes or cancels what it has published.

A word is a join (the later ``time`` stands), so nothing is appended to plan's journal and a repeated event does no harm.
Businesses reach their own requests alone: the record's key, ``source`` and the target must be of one business.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from broker.heartbeat import is_heartbeat
from broker.plan.decode import Event, Named
from schemas.facts import ControlAction, ControlScope, ControlWord
from schemas.ids import business_of, name_of, request_name, text_of
from schemas.lanes import Lane
from schemas.reasons import Reason, Refusal
from schemas.request import MAX_ATTRIBUTE_CHARS, CloudEvent, Control, EventName
from schemas.wire.envelope import bodies
from schemas.wire.text import nearest, short

HEARTBEATS_ONLY: Final = Refusal(
    Reason.UNKNOWN_TEMPLATE,
    "Businesses of Fanfare's own send heartbeats and nothing else, to nobody: publish under the source of your business.",
    place="/source",
)
_ACTIONS: Final = {action.word: action for action in ControlAction}


class Command(msgspec.Struct, frozen=True):
    """Holds a control event of sound form."""

    named: Named
    cloud: CloudEvent
    action: ControlAction
    request: bytes | None
    """The request's name; None for a subject."""
    subject: str


class ControlRecord(msgspec.Struct, frozen=True):
    """Carries a word for ``controls``."""

    lane: Lane
    word: ControlWord


def read_control(event: Event, lane: Lane) -> Iterator[Refusal | Command]:
    """Yield everything that is wrong with the form of a control event of ``lane``, or the event itself."""
    if is_heartbeat(event.named.business):
        yield HEARTBEATS_ONLY
        return
    for body in bodies(event.cloud):
        if isinstance(body, Control):
            yield from _read(event, body, lane)
        elif isinstance(body, Refusal):
            yield body


def _read(event: Event, body: Control, lane: Lane) -> Iterator[Refusal | Command]:
    action = _ACTIONS.get(body.action)
    if action is None:
        sentence = f"data.action must be pause, resume or cancel{nearest(body.action, _ACTIONS)}."
        yield Refusal(Reason.INVALID_FIELD, sentence, place="/data/action")
    for request in _targets(body, lane, event.named.business):
        if isinstance(request, Refusal):
            yield request
        elif action is not None:
            yield Command(event.named, event.cloud, action, request, body.subject or "")


def control_record(command: Command, lane: Lane, received_ms: int) -> ControlRecord:
    """Return the word that a command becomes."""
    named = command.named
    scope = ControlScope.SUBJECT if command.request is None else ControlScope.REQUEST
    word = ControlWord(
        scope=scope,
        business=named.business,
        target=command.subject if command.request is None else text_of(command.request),
        action=command.action,
        evidence_ms=min(command.cloud.time_ms, received_ms),
        received_ms=received_ms,
        by=f"{named.source} {named.id}",
    )
    return ControlRecord(lane, word)


def unknown_request(lane: Lane) -> Refusal:
    """Returns the refusal of a command about a request that this business never had in ``lane``."""
    return Refusal(
        Reason.UNKNOWN_REQUEST,
        f"The business has no such request in lane {lane.word}: name it as its status does, and publish to its own lane.",
    )


def _targets(body: Control, lane: Lane, business: str) -> Iterator[Refusal | bytes | None]:
    """Yield the name of the request that is meant (None for a subject), or everything that is wrong with it."""
    if sum(held is not None for held in (body.request, body.of, body.subject)) != 1:
        yield Refusal(Reason.INVALID_FIELD, "data must hold exactly one of request, of and subject.", place="/data")
    elif body.subject is not None:
        yield (
            None
            if short(body.subject, MAX_ATTRIBUTE_CHARS)
            else Refusal(
                Reason.INVALID_FIELD,
                f"data.subject must have 1 to {MAX_ATTRIBUTE_CHARS} characters and no controls.",
                place="/data/subject",
            )
        )
    elif body.of is not None:
        yield from _event_named(body.of, lane, business)
    else:
        try:
            yield name_of(body.request or "")
        except ValueError:
            sentence = "data.request must be the 26 letters of a request's name, as its status has them."
            yield Refusal(Reason.INVALID_FIELD, sentence, place="/data/request")


def _event_named(of: EventName, lane: Lane, business: str) -> Iterator[Refusal | bytes]:
    if not of.id or len(of.id) > MAX_ATTRIBUTE_CHARS:
        sentence = f"data.of.id must have 1 to {MAX_ATTRIBUTE_CHARS} characters."
        yield Refusal(Reason.INVALID_FIELD, sentence, place="/data/of/id")
    try:
        owner = business_of(of.source)
    except ValueError:
        sentence = "data.of.source must look like //<business>/<system>."
        yield Refusal(Reason.INVALID_FIELD, sentence, place="/data/of/source")
        return
    if owner != business:
        sentence = "data.of.source names another business: control your own requests only."
        yield Refusal(Reason.WRONG_TENANT, sentence, place="/data/of/source")
    yield request_name(lane, of.source, of.id)
