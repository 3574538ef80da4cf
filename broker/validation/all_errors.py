"""Finds every fault of an event at once, each with its place: plan's own refusals, with what could not be read mended between.

Plan's checks yield everything that is wrong; plan itself takes the first and is done. What cannot be read as its type hides what
stands in it, so it is replaced by something sound, by the place that its refusal carries, and the event is looked at again. So an
event has a fault here if and only if plan refuses it, and each sentence is plan's. What follows from a mended place (the
parameters of a recipient who is none) is not said.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

import msgspec

from broker.plan import authorize, decode, validate
from broker.plan.control_events import Command
from broker.plan.decode import Malformed, Misrouted, PlanInput
from broker.plan.parties import Registered
from broker.plan.policy import PlanPolicy
from broker.plan.validate import Content, Request
from broker.registry.fold import Registry
from broker.validation.repair import Draft, path_of
from schemas.ids import business_of, partition_of
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import MAX_FAULTS, Fault, Reason, Refusal
from schemas.topics import SHARDS
from schemas.wire.sealed import AddressBook

_ROUNDS: Final = 8
"""Looks at one event: its envelope twice, its source, its type and its data twice; the rest is for what follows."""

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
Form: TypeAlias = Content | Malformed | Misrouted

_HEADERS: Final[Headers] = (("content-type", b"application/cloudevents+json"),)
_BOOK: Final = AddressBook({0: bytes(32)})
"""Form is checked without any secret; nothing is sealed with this."""
_TIMES: Final = ("/time", "/expirytime")
_HOLDERS: Final = frozenset({"data", "params", "to", "recipients"})
"""Fields that hold parameters: once one was mended, a missing parameter is no fault of the event."""
_encoder: Final = msgspec.json.Encoder()


def faults_of(
    lane: Lane, event: dict[str, Any], *, registry: Registry | None = None, now_ms: int | None = None
) -> tuple[Fault, ...]:
    """All faults of an event in structured mode for ``lane``; none if plan would take it.

    With ``now_ms`` its times are judged, with ``registry`` also sender, template and parameters. What was accepted before and
    what throughput is left is not known here.
    """
    draft = Draft(lane, event)
    found: dict[Fault, None] = {}
    for _ in range(_ROUNDS):
        looked_at = list(islice(_read(draft), MAX_FAULTS))
        refusals = [one for one in looked_at if isinstance(one, Refusal)]
        found |= dict.fromkeys(_fault(one) for one in refusals if not draft.follows(one.place))
        content = next((one for one in looked_at if not isinstance(one, Refusal)), None)
        if content is not None:
            draft.mended.update(path_of(one.place, draft.event) for one in refusals)
            found |= dict.fromkeys(map(_fault, _judged(draft, content, registry, now_ms)))
        elif len(found) < MAX_FAULTS and [one for one in refusals if draft.mend(one)]:
            continue
        break
    return tuple(islice(found, MAX_FAULTS))


def faults_of_bytes(
    lane: Lane, value: bytes, *, registry: Registry | None = None, now_ms: int | None = None
) -> tuple[Fault, ...]:
    """The same for the bytes of an event; what is no JSON object has one fault, with the whole for its place."""
    if (refusal := _unreadable(lane, value)) is not None:
        return (_fault(refusal),)
    return faults_of(lane, msgspec.json.decode(value), registry=registry, now_ms=now_ms)


def form_of(lane: Lane, business: str, value: bytes, headers: Headers = _HEADERS) -> Form:
    """Return what plan makes of the form of a record that ``business`` published to its partition of ``lane``."""
    return form_of_record(*_record(lane, business, value, headers))


def form_of_record(record: PlanInput, policy: PlanPolicy) -> Form:
    """Return what plan makes of the form of a record."""
    event = decode.decode(record, policy)
    return event if isinstance(event, Malformed | Misrouted) else validate.validate(event, policy)


def record_of(lane: Lane, event: Mapping[str, Any]) -> tuple[PlanInput, PlanPolicy]:
    """Return an event in structured mode as its business publishes it to its partition of ``lane``."""
    source = event.get("source")
    try:
        business = business_of(source) if isinstance(source, str) else ""
    except ValueError:
        business = ""
    return _record(lane, business, _encoder.encode(event), _HEADERS)


def _unreadable(lane: Lane, value: bytes) -> Refusal | None:
    """Return why these bytes have no places that could be pointed to."""
    found = form_of(lane, "", value)
    if not isinstance(found, Malformed) or found.refusal.place:
        return None
    if found.refusal.reason in (Reason.INVALID_JSON, Reason.TOO_LARGE):
        return found.refusal
    return None if value.lstrip().startswith(b"{") else found.refusal


def _record(lane: Lane, business: str, value: bytes, headers: Headers) -> tuple[PlanInput, PlanPolicy]:
    key = business.encode()
    policy = PlanPolicy.of(lane, partition_of(key, SHARDS), pepper=b"", address_book=_BOOK)
    return PlanInput(Origin(0, 0), key, value, headers, timestamp_ms=0), policy


def _read(draft: Draft) -> Iterator[Refusal | Content]:
    """Yield everything that is wrong with the form of a draft, then its content if all of it can be read."""
    record, policy = record_of(draft.lane, draft.event)
    for event in decode.read(record, policy):
        if isinstance(event, Malformed):
            yield event.refusal
        elif not isinstance(event, Misrouted):
            yield from validate.read(event, policy)


def _judged(draft: Draft, content: Content, registry: Registry | None, now_ms: int | None) -> Iterator[Refusal]:
    """Yield every objection to a content of sound form. What was mended for its form is not objected to again."""
    timed = now_ms is not None and ("time",) not in draft.mended
    for refusal in _objections(draft, content, registry, 0 if now_ms is None else now_ms):
        if draft.follows(refusal.place) or (refusal.place in _TIMES and not timed):
            continue
        if refusal.reason is not Reason.MISSING_PARAMETER or not _stood_in(draft, content):
            yield refusal


def _objections(draft: Draft, content: Content, registry: Registry | None, at_ms: int) -> Iterator[Refusal]:
    """Yield what registry and clock object to; the registry is not asked about an event whose source was mended."""
    windows = draft.lane.rules.windows
    known = None
    if registry is not None and ("source",) not in draft.mended:
        known = Registered(registry, draft.lane).look_up(content)
    if isinstance(content, Request):
        times = authorize.read_times(content.cloud, windows, at_ms)
        found = times if known is None else authorize.read(content, known, windows, at_ms)
        yield from (one for one in found if isinstance(one, Refusal))
        return
    if known is not None and (barred := authorize.barred(known.business)) is not None:
        yield barred
    if isinstance(content, Command) and (late := authorize.untimely(content.cloud, windows, at_ms)) is not None:
        yield late


def _stood_in(draft: Draft, content: Content) -> bool:
    """Return whether parameters may be missing because what held them was no sound recipient, or was replaced."""
    if (
        isinstance(content, Request)
        and not content.people
        and (content.body.to.recipients or not draft.lane.rules.takes_lists)
    ):
        return True
    return any(isinstance(path[-1], int) or path[-1] in _HOLDERS for path in draft.mended if path)


def _fault(refusal: Refusal) -> Fault:
    return Fault(refusal.place, refusal.reason, refusal.detail)
