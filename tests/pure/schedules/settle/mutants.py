"""Planted bugs: joiners and ledgers that break one rule of the protocol each."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from pyroaring import BitMap

from broker.charging import Price
from broker.settle.policy import SettleEffects
from schemas.facts import Charge, Receipts, ReceiptStatus
from schemas.ids import text_of
from schemas.wire.columns import count_of
from schemas.wire.header import body_of, head_of
from streams.kafka.reader import LogRecord
from streams.ledger.posting import Batch, Part
from tests.pure.schedules.log import Stamped
from tests.pure.schedules.runner import Runner, Steps
from tests.pure.schedules.settle.ledger import LedgerOwner
from tests.pure.schedules.settle.owner import SettleOwner, outcome_in, receipts_in
from tests.pure.schedules.settle.world import FOLD_MS, OUTCOMES, RECEIPTS, SettleWorld


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


class CountsReceipts(SettleOwner):
    """Row 14: words are counted up with each receipt, not joined."""

    def __init__(self, world: SettleWorld, runner: Runner, number: int) -> None:
        super().__init__(world, runner, number)
        self._counted: dict[str, Counter[str]] = defaultdict(Counter)

    def take_in(self, name: str, one: Stamped) -> None:
        super().take_in(name, one)
        if name == RECEIPTS:
            for run in receipts_in(one.record).runs:
                self._counted[text_of(run.request)][ReceiptStatus(run.status).name.lower()] += count_of(run.ranks)

    def write(self, effects: SettleEffects) -> Steps:
        told = [
            (business, msgspec.structs.replace(status, counts=status.counts | self._counted[status.request]))
            for business, status in effects.statuses
        ]
        return super().write(SettleEffects(effects.charges, told))


class CommitsEarly(SettleOwner):
    """Rule 3: inputs are finished before what follows from them is written."""

    def effects(self) -> Steps:
        self.done = dict(self.read)
        self.commit()
        yield from super().effects()


class FoldsFromNow(SettleOwner):
    """Section 1.2: the fold begins a window before now, and an outage may have been longer."""

    def fold_from(self) -> int:
        return self.clock() - FOLD_MS


class IgnoresEpochs(SettleOwner):
    """Section 1.2: void records of the journal count like valid ones."""

    def take_in(self, name: str, one: Stamped) -> None:
        body = outcome_in(one.record) if name == OUTCOMES else None
        if body is None:
            super().take_in(name, one)
        else:
            self.settle.outcome(head_of(one.record), body)


class BillsLateEvidence(SettleOwner):
    """Section 1.6: evidence counts by when the gateway says it was, and that may be long ago."""

    def take_in(self, name: str, one: Stamped) -> None:
        if name != RECEIPTS:
            super().take_in(name, one)
            return
        runs = (msgspec.structs.replace(run, received_ms=run.at_ms) for run in receipts_in(one.record).runs)
        self.settle.receipts(head_of(one.record), Receipts(tuple(runs)))


OWNERS: Final[Mapping[str, type[SettleOwner]]] = {
    "row 14: words are counted, not joined": CountsReceipts,
    "rule 3: commits before writing": CommitsEarly,
    "section 1.2: folds from now": FoldsFromNow,
    "section 1.2: void records count": IgnoresEpochs,
    "section 1.6: late evidence is billed": BillsLateEvidence,
}
LEDGERS: Final[Mapping[str, type[LedgerOwner]]] = {
    "row 13: charges are told apart by their records": DedupesRecords,
    "row 14: charges are added up": AddsUp,
    "row 18: the offset is stored apart": OffsetFirst,
}
