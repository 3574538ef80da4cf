"""From a verdict to what it asks of the shards and what the business is told: pure functions of the journal's entry.

Redelivered input makes the same bytes, so a shard may be given them twice; deliver takes the first (``opened``). Ranks within
a shard follow the order of the request.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from broker.heartbeat import is_heartbeat
from broker.letters import attempt_of
from broker.plan.control_events import ControlRecord
from broker.plan.decode import Named, PlanInput
from broker.plan.opt_in import AudienceRecord
from broker.plan.policy import BODY_LIMIT_BYTES, PlanPolicy
from broker.plan.verdict import Outlook
from schemas import topics
from schemas.ids import shard_of, text_of
from schemas.plan_journal import ADDRESS_WIDTH, LOCALE_WIDTH, Planned, Rows, Terms, WorkItem
from schemas.reasons import Reason, Refusal
from schemas.request import MAX_REQUEST_BYTES
from schemas.status import DeadLetter, Status
from schemas.wire.columns import cells
from schemas.wire.timestamps import text_of as instant

# What a business is told about a request, and what becomes of a record that nobody can be told about.
#
# An answer goes to ``status.<business>`` if that business is registered (only then the topic exists); everything else goes to
# ``dead-letters`` with its origin. Neither holds content: details name fields and positions. ``seq`` is the input's offset, so
# that a later word about the same name is the higher one.

STAGE: Final = "plan"

_HEADERS: Final = frozenset({"content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"})
"""Headers that a dead letter keeps: never a reply-to, never what may hold content."""
_HEADER_CHARS: Final = 256


class Rerouted(msgspec.Struct, frozen=True):
    """Publishes a record once more to ``requests.<lane>``, to the partition where it belongs."""

    partition: int
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


class Answer(msgspec.Struct, frozen=True):
    """A status and the business whose topic it goes to."""

    business: str
    status: Status


Direct: TypeAlias = Answer | AudienceRecord | ControlRecord | DeadLetter | Rerouted
"""An output that needs no entry in the journal."""


def verdict_answer(entry: Planned, terms: Terms, shards: int) -> Answer:
    """The answer that an appended verdict makes: a pure function of the entry."""
    accepted = entry.verdict == 0
    status = Status(
        request=text_of(entry.name),
        source=terms.source,
        id=terms.id,
        state="accepted" if accepted else "refused",
        seq=entry.origin.offset,
        at_ms=entry.decided_ms,
        shards=shards,
        reason="" if accepted else Reason(entry.verdict).word,
        detail=pace_sentence(entry, terms.expires_ms, entry.decided_ms) if accepted else entry.detail,
        retry_at_ms=0 if accepted else entry.start_ms,
        labels=terms.labels,
        traceparent=terms.trace,
        people=entry.people if accepted else 0,
        rate_per_s=entry.per_s,
        eta_ms=entry.through_ms,
        unreached=_unreached(entry, terms.expires_ms) if accepted else 0,
        left=0 if accepted else entry.people,
    )
    return Answer(terms.business, status)


def pace_sentence(view: Outlook | Planned, expires_ms: int, now_ms: int) -> str:
    """Says when a request that takes a while will be through, and how many it cannot reach before it expires."""
    if not view.per_s:
        return ""
    if not view.people:
        most = max(0, expires_ms - now_ms) * view.per_s // 1_000
        return f"It goes out at {view.per_s:,} a second: {most:,} people can be told before it expires."
    through = f"{view.people:,} people at {view.per_s:,} a second: through at about {instant(view.through_ms)}."
    missed = _unreached(view, expires_ms)
    late = f" {missed:,} of them cannot be told before it expires: give it more time, or ask for a higher rate."
    return through + (late if missed else "")


def _unreached(view: Outlook | Planned, expires_ms: int) -> int:
    """Return how many people a request cannot reach before it expires, at its rate."""
    late_ms = view.through_ms - expires_ms
    return min(view.people, -(-late_ms * view.per_s // 1000)) if late_ms > 0 else 0


def refused_answer(named: Named, refusal: Refusal, offset: int, now_ms: int) -> Answer:
    """The answer about an event that is refused by its form alone: nothing is appended for it."""
    status = replace(
        _status(named, "refused", offset, now_ms),
        reason=refusal.reason.word,
        detail=refusal.detail,
        retry_at_ms=refusal.retry_at_ms,
    )
    return Answer(named.business, status)


def repeated_answer(named: Named, offset: int, *, now_ms: int, accepted_ms: int) -> Answer:
    """The answer about an event that was accepted before with the same content. The request stays accepted."""
    status = replace(
        _status(named, "accepted", offset, now_ms),
        reason=Reason.DUPLICATE.word,
        detail=f"The same event was accepted at {instant(accepted_ms)}; nothing is done twice.",
    )
    return Answer(named.business, status)


def taken_answer(named: Named, offset: int, *, now_ms: int, counts: dict[str, int]) -> Answer:
    """The answer about an opt-in or a control event that was taken over. It has counts, and is the last about that event."""
    status = replace(_status(named, "accepted", offset, now_ms), counts=counts)
    return Answer(named.business, status)


def _status(named: Named, state: str, offset: int, now_ms: int) -> Status:
    """Return the beginning of an answer about an event; what else is to be said is put in by the caller."""
    return Status(
        request=text_of(named.name),
        source=named.source,
        id=named.id,
        state=state,
        seq=offset,
        at_ms=now_ms,
        labels=named.labels,
        traceparent=named.traceparent,
    )


def dead_letter(
    given: PlanInput, refusal: Refusal, *, policy: PlanPolicy, now_ms: int, business: str = ""
) -> DeadLetter:
    """The dead letter of a record that cannot be answered. One of a lane of codes never holds the record itself."""
    value = given.value or b""
    keep = not policy.lane.rules.carries_codes and len(value) <= MAX_REQUEST_BYTES
    return DeadLetter(
        topic=topics.requests(policy.lane),
        partition=given.origin.partition,
        offset=given.origin.offset,
        reason=refusal.reason.word,
        detail=refusal.detail,
        stage=STAGE,
        at_ms=now_ms,
        payload_sha256=hashlib.sha256(value).hexdigest(),
        payload=base64.b64encode(value).decode() if keep else None,
        business=business,
        attempts=attempt_of("", given.headers).number,
        headers={
            name.lower(): held.decode("utf-8", "replace")[:_HEADER_CHARS]
            for name, held in given.headers
            if name.lower() in _HEADERS
        },
    )


_MARKET_WIDTH: Final = 2
_RECIPIENT_WIDTH: Final = 16
_encoder: Final = msgspec.msgpack.Encoder()


class PlanOutputs(msgspec.Struct, frozen=True):
    """Holds the outputs of one entry: at most one work item a shard, and the answer on the business's status topic."""

    work: Mapping[int, WorkItem]
    answer: Answer | None


def outputs(entry: Planned, shards: int) -> PlanOutputs:
    """The outputs of an entry as it was appended. A restated entry has none: its input is committed.

    Nobody is told about heartbeats: Fanfare's own businesses have no status topic.
    """
    if entry.terms is None:
        return PlanOutputs({}, None)
    work = _work(entry, entry.terms, shards) if entry.verdict == 0 else {}
    told = not is_heartbeat(entry.terms.business)
    return PlanOutputs(work, verdict_answer(entry, entry.terms, len(work)) if told else None)


def pack_work(items: Iterable[WorkItem], limit_bytes: int = BODY_LIMIT_BYTES) -> list[tuple[WorkItem, ...]]:
    """Items of one shard as the bodies of as few ``WORK`` records as stay below the limit, in order."""
    packs: list[tuple[WorkItem, ...]] = []
    pack: list[WorkItem] = []
    size = 0
    for item in items:
        length = len(_encoder.encode(item))
        if pack and size + length > limit_bytes:
            packs.append(tuple(pack))
            pack, size = [], 0
        pack.append(item)
        size += length
    return [*packs, tuple(pack)] if pack else packs


def _work(entry: Planned, terms: Terms, shards: int) -> dict[int, WorkItem]:
    if entry.list:
        item = WorkItem(entry.name, terms, None, entry.list, entry.start_ms, entry.per_s)
        # Who is on a list is known to the shards alone, so each is asked, and freezes its own part of it.
        return dict.fromkeys(range(shards), item)
    if entry.rows is None:
        return {}
    return {
        shard: WorkItem(entry.name, terms, rows, "", entry.start_ms, entry.per_s)
        for shard, rows in _split(entry.rows, shards).items()
    }


def _split(rows: Rows, shards: int) -> dict[int, Rows]:
    """Rows by shard, shards ascending, the order of rows kept."""
    recipients = cells(rows.recipients, _RECIPIENT_WIDTH)
    places: dict[int, list[int]] = {}
    for row, recipient in enumerate(recipients):
        places.setdefault(shard_of(recipient, shards), []).append(row)
    if len(places) == 1:
        return dict.fromkeys(places, rows)
    columns = (
        recipients,
        cells(rows.addresses, ADDRESS_WIDTH),
        cells(rows.locales, LOCALE_WIDTH),
        cells(rows.markets, _MARKET_WIDTH),
    )
    return {shard: _pick(columns, rows.params, places[shard]) for shard in sorted(places)}


def _pick(columns: tuple[list[bytes], ...], params: tuple[dict[str, str], ...], rows: list[int]) -> Rows:
    recipients, addresses, locales, markets = (b"".join([column[row] for row in rows]) for column in columns)
    own = tuple(params[row] for row in rows) if params else ()
    return Rows(recipients, addresses, locales, markets, own if any(own) else ())
