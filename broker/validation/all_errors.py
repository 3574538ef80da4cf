"""Every fault of an event at once, each with its place: plan's own refusals, found by mending and asking again.

Plan stops at the first thing that is wrong. Here what it refused is replaced by something sound and plan is asked once more,
until it has nothing to say. So an event has a fault here if and only if plan refuses it, and each sentence is plan's. What
follows from a mended place (the parameters of a recipient who is none) is not said.
"""

from itertools import islice
from typing import Any, Final, TypeAlias

import msgspec

from broker.plan.decode import Admitted, Malformed, PlanInput, admit
from broker.plan.policy import PlanPolicy
from broker.registry.fold import Registry
from broker.validation.registry_checks import verdicts
from broker.validation.repair import Draft, Path, pointer_of
from broker.validation.repair_rules import mend_form
from schemas.ids import Lane, business_of, partition_of
from schemas.plan_journal import Origin
from schemas.reasons import Fault, Reason, Refusal
from schemas.topics import SHARDS
from schemas.wire.sealed import AddressBook

MAX_FAULTS: Final = 100
"""More are not looked for: whoever has a hundred has one mistake a hundred times."""

_MAX_BYTES: Final = 4 * 1024 * 1024
"""Of JSON that is judged for one event: somebody's large event with many faults holds nobody up for more than half a second."""

Headers: TypeAlias = tuple[tuple[str, bytes], ...]

_HEADERS: Final[Headers] = (("content-type", b"application/cloudevents+json"),)
_BOOK: Final = AddressBook({0: bytes(32)})
"""Form is checked without any secret; nothing is sealed with this."""
_encoder: Final = msgspec.json.Encoder()


def faults_of(
    lane: Lane, event: dict[str, Any], *, registry: Registry | None = None, now_ms: int | None = None
) -> tuple[Fault, ...]:
    """All faults of an event in structured mode for ``lane``; none if plan would take it.

    With ``now_ms`` its times are judged, with ``registry`` also sender, template and parameters. What was accepted before and
    what throughput is left is not known here.
    """
    draft = Draft(lane, event)
    found: list[Fault] = []
    stuck: set[tuple[Path | None, Refusal]] = set()
    judged = 0
    while len(found) < MAX_FAULTS and judged < _MAX_BYTES:
        value = _encoder.encode(draft.event)
        judged += len(value)
        judgement = _admitted(draft, value)
        if not isinstance(judgement, Malformed):
            rest = verdicts(draft, judgement, registry=registry, now_ms=now_ms)
            found.extend(islice(rest, MAX_FAULTS - len(found)))
            break
        before = frozenset(draft.mended)
        path = mend_form(draft, judgement.refusal)
        if path is None or not _follows(path, before):
            found.append(_fault(path, judgement.refusal))
        if path is None or (path, judgement.refusal) in stuck:
            break
        stuck.add((path, judgement.refusal))
    return tuple(dict.fromkeys(found))


def faults_of_bytes(
    lane: Lane, value: bytes, *, registry: Registry | None = None, now_ms: int | None = None
) -> tuple[Fault, ...]:
    """The same for the bytes of an event; what is no JSON object has one fault, with the whole for its place."""
    if (refusal := _unreadable(lane, value)) is not None:
        return (_fault(None, refusal),)
    return faults_of(lane, msgspec.json.decode(value), registry=registry, now_ms=now_ms)


def _unreadable(lane: Lane, value: bytes) -> Refusal | None:
    """Why these bytes have no places that could be pointed to."""
    found = admitted(lane, "", value)
    if not isinstance(found, Malformed):
        return None
    if found.refusal.reason in (Reason.INVALID_JSON, Reason.TOO_LARGE):
        return found.refusal
    return None if value.lstrip().startswith(b"{") else found.refusal


def _admitted(draft: Draft, value: bytes) -> Admitted:
    source = draft.event.get("source")
    try:
        business = business_of(source) if isinstance(source, str) else ""
    except ValueError:
        business = ""
    return admitted(draft.lane, business, value)


def admitted(lane: Lane, business: str, value: bytes, headers: Headers = _HEADERS) -> Admitted:
    """Returns what plan makes of a record that ``business`` published to its partition of ``lane``."""
    key = business.encode()
    policy = PlanPolicy.of(lane, partition_of(key, SHARDS), pepper=b"", address_book=_BOOK)
    return admit(PlanInput(Origin(0, 0), key, value, headers, timestamp_ms=0), policy)


def _follows(path: Path, mended: frozenset[Path]) -> bool:
    """Returns whether the place was mended before, itself or as part of something: then this is our fault and not the event's."""
    return any(path[:length] in mended for length in range(1, len(path) + 1))


def _fault(path: Path | None, refusal: Refusal) -> Fault:
    return Fault(pointer_of(path or ()), refusal.reason, refusal.detail)
