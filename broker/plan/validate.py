"""Validates the form of an event's ``data``: everything that can be said about it from its bytes alone, each with its place.

Whatever is refused here is refused again whenever it is read, so no verdict is appended for it: malformed input costs one
decode and one answer, and never a place in the journal.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec

from broker.confirmation import is_genuine
from broker.heartbeat import TEMPLATES, addresses, is_heartbeat
from broker.plan.addresses import RECIPIENTS, Person, bad_list_name, read_people
from broker.plan.control_events import HEARTBEATS_ONLY, Command, read_control
from broker.plan.decode import LABEL_CHARS, Event, Malformed, Named, labelled, sound_labels
from broker.plan.opt_in import Membership, read_opt_in
from broker.plan.policy import PlanPolicy
from schemas.ids import fingerprint
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import Reason, Refusal
from schemas.registry import CONFIRMATIONS
from schemas.request import (
    CONTROL_TYPE,
    MAX_LABELS,
    MAX_PARAM_CHARS,
    MAX_PARAMS,
    NOTIFICATION_TYPE,
    OPTIN_TYPE,
    CloudEvent,
    Notification,
    Params,
    Sealed,
)
from schemas.wire.envelope import SHAPES, bodies, canonical
from schemas.wire.sealed import looks_sealed
from schemas.wire.strict_json import DATA, Place
from schemas.wire.text import echo, short, suggestion, unsafe

FACET_NAME: Final = re.compile(r"\*|[a-z0-9][a-z0-9._-]{0,63}")
"""``*`` dominates all facets of its subject: a cancellation."""

_NAME_CHARS: Final = 128
_SEALED_CHARS: Final = 2_048
_TO, _PARAMS, _FACET, _VERSION, _LABELS = map(DATA.field, ("to", "params", "facet", "version", "labels"))
_TEMPLATE, _SENDER = DATA.field("template"), DATA.field("sender")
_LIST = _TO.field("list")
_encoder: Final = msgspec.json.Encoder()


class Request(msgspec.Struct, frozen=True):
    """Holds a notification of sound form."""

    named: Named
    cloud: CloudEvent
    body: Notification
    people: tuple[Person, ...]
    """Empty for a list request."""
    fingerprint: bytes
    first: Origin | None
    """Where a re-routed record stood first."""


Content: TypeAlias = Request | Membership | Command


def validate(event: Event, policy: PlanPolicy) -> Content | Malformed:
    """Return the content of an event, or the first thing that is wrong with its form."""
    found = next(read(event, policy))
    if not isinstance(found, Refusal):
        return found
    plain = event.cloud.type in (OPTIN_TYPE, CONTROL_TYPE)
    return Malformed(found, event.named if plain else labelled(event.named, event.cloud))


def name_asked(content: Content | Malformed) -> bytes:
    """Return the name whose decision matters to a content: its own, or the one that a command is about; empty for none."""
    if isinstance(content, Command):
        return content.request or b""
    return b"" if content.named is None else content.named.name


def read(event: Event, policy: PlanPolicy) -> Iterator[Refusal | Content]:
    """Yield everything that is wrong with the form of an event, then its content as far as it is sound."""
    match event.cloud.type:
        case type_ if type_ == NOTIFICATION_TYPE:
            yield from _read_request(event, policy)
        case type_ if type_ == OPTIN_TYPE:
            yield from read_opt_in(event, policy.lane)
        case type_ if type_ == CONTROL_TYPE:
            yield from read_control(event, policy.lane)
        case other:
            sentence = f"There is no type {echo(other)}{suggestion(other, SHAPES)}"
            yield Refusal(Reason.UNKNOWN_TYPE, sentence, place="/type")


def _read_request(event: Event, policy: PlanPolicy) -> Iterator[Refusal | Request]:
    """Yield everything that is wrong with a notification, then the request, unless it is one that only Fanfare may make."""
    for body in bodies(event.cloud):
        if isinstance(body, Refusal):
            yield body
        elif isinstance(body, Notification):
            yield from _read_notification(event, body, policy)


def _read_notification(event: Event, body: Notification, policy: PlanPolicy) -> Iterator[Refusal | Request]:
    named, cloud, content = event.named, event.cloud, content_fingerprint(event.cloud)
    if body.labels:
        named = msgspec.structs.replace(named, labels=body.labels)
    yield from _faults(cloud, body, policy.lane)
    # People come last: a thousand numbers are the dearest part, and whoever named a wrong field need not wait for them.
    people: list[Person] = []
    for person in read_people(body.to.recipients):
        if isinstance(person, Refusal):
            yield person
        else:
            people.append(person)
    if is_heartbeat(named.business) and not _is_heartbeat(body, people, policy):
        yield HEARTBEATS_ONLY
        return
    if body.template in CONFIRMATIONS and not is_genuine(cloud, body, named.business, policy.pepper):
        sentence = (
            f"data.template must be one that businesses may use: {body.template} is Fanfare's own, which confirms a STOP by "
            "itself."
        )
        yield Refusal(Reason.UNKNOWN_TEMPLATE, sentence, place="/data/template")
    yield Request(named, cloud, body, tuple(people), content, event.first)


def content_fingerprint(cloud: CloudEvent) -> bytes:
    """Return that by which a repeated event is told from a conflicting one: its type, subject, expiry and ``data``.

    ``time`` is not in it: a producer that makes its event again for a retry says the same thing later. Ciphertexts are.
    """
    attributes = _encoder.encode((cloud.type, cloud.subject, cloud.expires_ms))
    return fingerprint(attributes[:-1] + b"," + (cloud.canonical or canonical(cloud.data)) + b"]")


def _is_heartbeat(body: Notification, people: Sequence[Person], policy: PlanPolicy) -> bool:
    """Return True for a heartbeat to null recipients; a list has other people.

    Nobody reads the status of a business of Fanfare's own, so anything else is refused by form: a dead letter tells.
    """
    null = addresses(policy.pepper, policy.shards)
    to_nobody = bool(people) and all(person.address in null for person in people)
    return body.test and body.template == TEMPLATES[policy.lane] and to_nobody


def _faults(cloud: CloudEvent, body: Notification, lane: Lane) -> Iterator[Refusal]:
    """Yield everything that is wrong with a notification apart from its people."""
    yield from _bad_target(body, lane)
    if body.facet is not None or body.version is not None:
        yield from _bad_fact(cloud, body, lane)
    if body.labels:
        yield from _bad_labels(body.labels)
    yield from _bad_name(_TEMPLATE, body.template)
    yield from _bad_name(_SENDER, body.sender)
    yield from _bad_params(_PARAMS, body.params)
    for position, recipient in enumerate(body.to.recipients):
        if recipient.params:
            yield from _bad_params(RECIPIENTS.item(position).field("params"), recipient.params)
    if cloud.expires_ms is None and lane.rules.needs_expiry:
        sentence = f"expirytime is missing: in lane {lane.word} say until when the message is worth sending."
        yield Refusal(Reason.MISSING_FIELD, sentence, place="/expirytime")


def _bad_target(body: Notification, lane: Lane) -> Iterator[Refusal]:
    to = body.to
    if bool(to.recipients) == (to.list is not None):
        yield _invalid(_TO, " must hold exactly one of recipients (not empty) and list.")
    elif to.list is not None and not lane.rules.takes_lists:
        sentence = ": a one-time code goes to explicit recipients; name them in data.to.recipients."
        yield _invalid(_LIST, sentence)
    elif to.list is not None:
        yield from bad_list_name(to.list, _LIST)


def _bad_fact(cloud: CloudEvent, body: Notification, lane: Lane) -> Iterator[Refusal]:
    if not lane.rules.supersedes:
        place = _VERSION if body.facet is None else _FACET
        sentence = "data.facet and data.version belong to the update lane: leave them out."
        yield Refusal(Reason.INVALID_FIELD, sentence, place=place.pointer)
        return
    parts = ((Place().field("subject"), cloud.subject), (_FACET, body.facet), (_VERSION, body.version))
    for place, held in parts:
        if held is None:
            sentence = f"{place} is missing: subject, data.facet and data.version together name a fact."
            yield Refusal(Reason.MISSING_FIELD, sentence, place=place.pointer)
    if body.version is not None and body.version < 0:
        yield _invalid(_VERSION, " must be 0 or more.")
    if body.facet is not None and not FACET_NAME.fullmatch(body.facet):
        yield _invalid(_FACET, " must be * or 1 to 64 of a-z, 0-9 and . _ -.")


def _bad_name(place: Place, name: str | None) -> Iterator[Refusal]:
    if name is not None and not short(name, _NAME_CHARS):
        yield _invalid(place, f" must have 1 to {_NAME_CHARS} characters and no controls.")


def _bad_labels(labels: dict[str, str]) -> Iterator[Refusal]:
    if len(labels) > MAX_LABELS:
        yield _invalid(_LABELS, f" has {len(labels)} labels; at most {MAX_LABELS} are taken.")
    elif not sound_labels(labels):
        yield _invalid(_LABELS, f": names and values have 1 to {LABEL_CHARS} characters and no controls.")


def _bad_params(place: Place, params: Params) -> Iterator[Refusal]:
    if len(params) > MAX_PARAMS:
        yield _invalid(place, f" has {len(params)} parameters; at most {MAX_PARAMS} are taken.")
    for name, value in params.items():
        if isinstance(value, Sealed):
            if len(value.sealed) > _SEALED_CHARS or not looks_sealed(value.sealed):
                sentence = f"{place}: a sealed value looks like <key id>.<base64url>; seal it with the client."
                yield Refusal(Reason.NOT_SEALED, sentence, place=place.named(name).pointer)
        elif len(value) > MAX_PARAM_CHARS or unsafe(value):
            sentence = f"{place}: a value has at most {MAX_PARAM_CHARS} characters, no controls and no bidi overrides."
            yield Refusal(Reason.INVALID_FIELD, sentence, place=place.named(name).pointer)


def _invalid(place: Place, what: str) -> Refusal:
    return Refusal(Reason.INVALID_FIELD, f"{place}{what}", place=place.pointer)
