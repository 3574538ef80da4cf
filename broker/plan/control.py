"""Turns control events into words on ``controls``: a business pauses, resumes or cancels what it has published.

A word is a join (the later ``time`` stands), so nothing is appended to plan's journal and a repeated event does no harm.
Businesses reach their own requests alone: the record's key, ``source`` and the target must be of one business.
"""

from typing import Final

import msgspec

from schemas.controls import ControlAction, ControlScope, ControlWord
from schemas.ids import Lane, business_of, name_of, request_name, text_of
from schemas.reasons import Reason, Refusal
from schemas.request import CloudEvent, Control, EventName
from schemas.wire import strict_json
from schemas.wire.envelope import MAX_ATTRIBUTE_CHARS
from schemas.wire.text import nearest, unsafe

_SHAPE: Final = strict_json.Shape(
    root="data", known={"": Control.__struct_fields__, ".of": EventName.__struct_fields__}
)
_controls: Final = msgspec.json.Decoder(Control)
_ACTIONS: Final = {action.word: action for action in ControlAction}


class Command(msgspec.Struct, frozen=True):
    """Holds a control event of sound form."""

    action: ControlAction
    request: bytes | None
    """The request's name; None for a subject."""
    subject: str
    time_ms: int


class ControlRecord(msgspec.Struct, frozen=True):
    """Carries a word for ``controls``."""

    lane: Lane
    word: ControlWord


def command_of(event: CloudEvent, lane: Lane, business: str) -> Command | Refusal:
    """Returns the command in an event of ``business``, or the first thing that is wrong with its form."""
    body = strict_json.decode(_controls, event.data, _SHAPE)
    if isinstance(body, Refusal):
        return body
    action = _ACTIONS.get(body.action)
    if action is None:
        return Refusal(
            Reason.INVALID_FIELD, f"data.action must be pause, resume or cancel{nearest(body.action, _ACTIONS)}."
        )
    if sum(held is not None for held in (body.request, body.of, body.subject)) != 1:
        return Refusal(Reason.INVALID_FIELD, "data must hold exactly one of request, of and subject.")
    if body.subject is not None:
        return _bad_subject(body.subject) or Command(action, None, body.subject, event.time_ms)
    name = _named(body.request, body.of, lane=lane, business=business)
    return name if isinstance(name, Refusal) else Command(action, name, "", event.time_ms)


def control_record(command: Command, named: tuple[str, str, str], lane: Lane, received_ms: int) -> ControlRecord:
    """Returns the word that a command becomes; ``named`` is the business, source and id of its event."""
    business, source, event_id = named
    scope = ControlScope.SUBJECT if command.request is None else ControlScope.REQUEST
    word = ControlWord(
        scope=scope,
        business=business,
        target=command.subject if command.request is None else text_of(command.request),
        action=command.action,
        evidence_ms=min(command.time_ms, received_ms),
        received_ms=received_ms,
        by=f"{source} {event_id}",
    )
    return ControlRecord(lane, word)


def unknown_request(lane: Lane) -> Refusal:
    """Returns the refusal of a command about a request that this business never had in ``lane``."""
    return Refusal(
        Reason.UNKNOWN_REQUEST,
        f"The business has no such request in lane {lane.word}: name it as its status does, and publish to its own lane.",
    )


def _named(request: str | None, of: EventName | None, *, lane: Lane, business: str) -> bytes | Refusal:
    if of is None:
        try:
            return name_of(request or "")
        except ValueError:
            return Refusal(
                Reason.INVALID_FIELD, "data.request must be the 26 letters of a request's name, as its status has them."
            )
    if not of.id or len(of.id) > MAX_ATTRIBUTE_CHARS:
        return Refusal(Reason.INVALID_FIELD, f"data.of.id must have 1 to {MAX_ATTRIBUTE_CHARS} characters.")
    try:
        owner = business_of(of.source)
    except ValueError:
        return Refusal(Reason.INVALID_FIELD, "data.of.source must look like //<business>/<system>.")
    if owner != business:
        return Refusal(Reason.WRONG_TENANT, "data.of.source names another business: control your own requests only.")
    return request_name(lane, of.source, of.id)


def _bad_subject(subject: str) -> Refusal | None:
    if 0 < len(subject) <= MAX_ATTRIBUTE_CHARS and not unsafe(subject):
        return None
    return Refusal(
        Reason.INVALID_FIELD, f"data.subject must have 1 to {MAX_ATTRIBUTE_CHARS} characters and no controls."
    )
