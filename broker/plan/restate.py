"""Says again what the fold must still know although it was said long ago (PROTOCOL.md section 1.2, 5).

A fold begins at the floor that the last claim carries (``broker/journal.py``), so all that still matters has to stand behind
it: the names of the idempotency window, bare; debts of senders; and entries whose input is not committed, whole, because the
same work must go out again.
"""

from collections.abc import Iterator
from itertools import chain

import msgspec

from broker.plan.policy import BODY_LIMIT_BYTES
from broker.plan.state import Known, PlanState
from schemas.plan_journal import Origin, Planned, PlannedBatch

_encoder = msgspec.msgpack.Encoder()


def restatement(
    state: PlanState, shard: int, *, now_ms: int, after_ms: int, limit_bytes: int = BODY_LIMIT_BYTES
) -> PlannedBatch | None:
    """The next body of kind ``PLAN_RESTATED``: what was last stated ``after_ms`` ago or earlier and still matters.

    None if nothing is due. Changes nothing: append it, apply it, and ask again until None comes. Names past their window are
    not restated; :meth:`PlanState.forget` drops them.
    """
    entries: list[Planned] = []
    size = 0
    for entry in _due(state, shard, now_ms=now_ms, before_ms=now_ms - max(1, after_ms)):
        size += len(_encoder.encode(entry))
        if size > limit_bytes and entries:
            break
        entries.append(entry)
    return PlannedBatch(tuple(entries)) if entries else None


def _due(state: PlanState, shard: int, *, now_ms: int, before_ms: int) -> Iterator[Planned]:
    unfinished = (held.entry for held in state.unfinished.values() if held.stated_ms <= before_ms)
    debts = (held.entry for held in state.free.values() if held.stated_ms <= before_ms and held.free_us > now_ms * 1000)
    return chain(unfinished, debts, _names(state, shard, now_ms=now_ms, before_ms=before_ms))


def _names(state: PlanState, shard: int, *, now_ms: int, before_ms: int) -> Iterator[Planned]:
    for name, known in state.oldest_first():
        if known.stated_ms > before_ms:
            break
        if known.keep_ms > now_ms:
            yield _bare(name, known, shard)


def _bare(name: bytes, known: Known, shard: int) -> Planned:
    return Planned(
        name=name,
        origin=Origin(shard, known.offset),
        fingerprint=known.fingerprint,
        verdict=known.verdict,
        decided_ms=known.decided_ms,
        keep_ms=known.keep_ms,
        first=known.first,
        business=known.business,
    )
