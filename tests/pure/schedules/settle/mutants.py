"""Planted bugs: joiners and ledgers that break one rule of the protocol each."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from pyroaring import BitMap

from broker.charging import Price
from broker.settle.engine import Settle
from broker.settle.policy import SettleEffects
from schemas import topics
from schemas.facts import Charge, Receipts, ReceiptStatus
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.wire.columns import count_of
from schemas.wire.header import Header, body_of, head_of
from streams.kafka.faust_app.commits import Place
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.reader import LogRecord
from streams.ledger.posting import Batch, Part
from streams.worker import settle as shell
from tests.pure.schedules.log import Stamped
from tests.pure.schedules.runner import Steps
from tests.pure.schedules.settle.ledger import LedgerOwner
from tests.pure.schedules.settle.owner import SettleOwner, WatchedShard
from tests.pure.schedules.settle.world import outcome_in, receipts_in
from tests.pure.schedules.shells.journal_mutants import OWN_TIME


class _ByName(Batch):
    """Takes a charge for new unless a record with the very same ranks was posted."""

    def add(self, record: LogRecord) -> None:
        charge = body_of(record.value, Charge)
        posted = self._db.execute("SELECT ranks FROM charged WHERE request = ?", (charge.request,)).fetchall()
        if (BitMap.deserialize(charge.ranks).serialize(),) not in posted:
            self._held[charge.request, head_of(record.value).shard] = {}
            super().add(record)


class DedupesRecords(LedgerOwner):
    """Row 13: charges are told apart by their records."""

    batch = _ByName


class _AddsUp(Batch):
    """Knows of nothing that was charged before."""

    def _held_of(self, part: Part) -> dict[Price, BitMap]:
        held: dict[Price, BitMap] = {}
        self._held[part] = held
        return held


class AddsUp(LedgerOwner):
    """Row 14: every charge is added to the sum."""

    batch = _AddsUp


class OffsetFirst(LedgerOwner):
    """Row 18: the offset is stored, and then what stands before it."""

    def post(self, records: Sequence[Stamped]) -> Steps:
        self.world.book.execute("INSERT OR REPLACE INTO offsets VALUES (0, ?)", (records[-1].offset + 1,))
        yield from super().post(records)


class _CountsReceipts(Settle):
    def receipts(self, header: Header, receipts: Receipts) -> None:
        super().receipts(header, receipts)
        for run in receipts.runs:
            counted = _counted(self, text_of(run.request))
            counted[ReceiptStatus(run.status).name.lower()] += count_of(run.ranks)

    def due(self, now_ms: int, *, effects: bool = True) -> SettleEffects:
        due = super().due(now_ms, effects=effects)
        told = [
            (business, msgspec.structs.replace(status, counts=status.counts | _counted(self, status.request)))
            for business, status in due.statuses
        ]
        return SettleEffects(due.charges, told)


_COUNTS: Final[WeakKeyDictionary[Settle, dict[str, Counter[str]]]] = WeakKeyDictionary()


def _counted(settle: Settle, request: str) -> Counter[str]:
    return _COUNTS.setdefault(settle, defaultdict(Counter))[request]


class CountsReceipts(SettleOwner):
    """Row 14: words are counted up with each receipt, not joined."""

    settle_type = _CountsReceipts


class _CommitsEarly(WatchedShard):
    def _join_some(self) -> list[Delivered]:
        joined = super()._join_some()
        for record in joined:
            self._done(record)
        return joined


class CommitsEarly(SettleOwner):
    """Rule 3: inputs are finished before what follows from them is written."""

    shard_type = _CommitsEarly


class FoldsFromNow(SettleOwner):
    """Section 1.2: the fold begins a window before now, and an outage may have been longer."""

    stand_ins = ((shell, "fold_from", lambda now_ms, _reached_ms, span_ms: now_ms - span_ms),)


class _IgnoresEpochs(WatchedShard):
    def _fold_in(self, topic: str, value: bytes, appended_ms: int) -> None:
        body = None if topic == topics.receipts(Lane.UPDATE) else outcome_in(value)
        if body is None:
            super()._fold_in(topic, value, appended_ms)
        else:
            self._settle.outcome(head_of(value), body)


class IgnoresEpochs(SettleOwner):
    """Section 1.2: void records of the journal count like valid ones."""

    shard_type = _IgnoresEpochs


class _BillsLateEvidence(WatchedShard):
    def _fold_in(self, topic: str, value: bytes, appended_ms: int) -> None:
        if topic != topics.receipts(Lane.UPDATE):
            super()._fold_in(topic, value, appended_ms)
            return
        runs = (msgspec.structs.replace(run, received_ms=run.at_ms) for run in receipts_in(value).runs)
        self._settle.receipts(head_of(value), Receipts(tuple(runs)))


class BillsLateEvidence(SettleOwner):
    """Section 1.6: evidence counts by when the gateway says it was, and that may be long ago."""

    shard_type = _BillsLateEvidence


class _RebuildsNothing(WatchedShard):
    async def _read_on(self, committed: Mapping[Place, int]) -> None:
        self._upto = dict(committed)


class NeverRebuilds(SettleOwner):
    """Section 1.6: a new owner joins what comes to nothing that was before."""

    shard_type = _RebuildsNothing


class _SkipsOthers(WatchedShard):
    async def _read_on(self, committed: Mapping[Place, int]) -> None:
        if self._settle.open_count:
            self._upto = {place: max(upto, self._upto[place]) for place, upto in committed.items()}
        else:
            await super()._read_on(committed)


class SkipsOthers(SettleOwner):
    """Section 1.6: goes on with memory, and not with what another owner read meanwhile."""

    shard_type = _SkipsOthers


class _OwesNothing(WatchedShard):
    async def _catch_up(self, committed: Mapping[Place, int]) -> None:
        self._owed = None
        await super()._catch_up(committed)


class OwesNothing(SettleOwner):
    """Section 1.6: what was on its way when the shard was taken is not written when it comes back."""

    shard_type = _OwesNothing


class EndsWindowsByItsClock(SettleOwner):
    """Row 24: was started an hour ahead, and takes windows for over."""

    stand_ins = (OWN_TIME,)


OWNERS: Final[Mapping[str, type[SettleOwner]]] = {
    "row 14: words are counted, not joined": CountsReceipts,
    "row 24: ends windows by a clock that is an hour off": EndsWindowsByItsClock,
    "rule 3: commits before writing": CommitsEarly,
    "section 1.2: folds from now": FoldsFromNow,
    "section 1.2: void records count": IgnoresEpochs,
    "section 1.6: late evidence is billed": BillsLateEvidence,
    "section 1.6: a new owner rebuilds nothing": NeverRebuilds,
    "section 1.6: skips what another owner read meanwhile": SkipsOthers,
    "section 1.6: forgets what was on its way": OwesNothing,
}
LEDGERS: Final[Mapping[str, type[LedgerOwner]]] = {
    "row 13: charges are told apart by their records": DedupesRecords,
    "row 14: charges are added up": AddsUp,
    "row 18: the offset is stored apart": OffsetFirst,
}
