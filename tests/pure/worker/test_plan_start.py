"""Plan's shell at a start: what it holds of a journal whose inputs the group has finished."""

import asyncio

import pytest

from broker.registry.fold import Registry
from schemas import topics
from schemas.lanes import Lane
from schemas.wire.header import Header
from streams.kafka.journal_terms import JournalTerms
from streams.kafka.producer import Outgoing
from streams.kafka.reader import LogRecord
from streams.runtime.settings import load
from streams.worker.plan import PlanShard
from streams.worker.resources import LaneParts
from tests.support.memory_kafka import MemoryLogs, MemoryProducer, MemoryReader, known
from tests.support.plan_bench import Bench, event, given

LANE, SHARD, VERDICTS = Lane.UPDATE, 0, 40


class Counting(PlanShard):
    """Counts what it holds whole, after each record of its journal."""

    held: list[int]

    def apply(self, record: LogRecord, header: Header) -> None:
        """Fold one, and count."""
        super().apply(record, header)
        self.held.append(len(self.state.unfinished))


@pytest.mark.parametrize(("committed", "most"), [(VERDICTS, 0), (VERDICTS - 3, 3), (0, VERDICTS)])
async def test_a_fold_holds_no_verdict_whole_that_is_carried_out(committed: int, most: int) -> None:
    """Not even while it lasts: a window of verdicts is two days, and what they say is five times their names."""
    bench, logs, parts = Bench(LANE), MemoryLogs(), LaneParts(load(), LANE)
    for number in range(VERDICTS):
        bench.run(given(event(id=str(number)), number))
    for record in bench.log:
        logs.append(Outgoing(topics.plans(LANE), record, partition=SHARD))
    parts.registry, parts.journal_reader, parts.journals = Registry(), MemoryReader(logs), MemoryProducer(logs)
    shard = Counting(parts, SHARD, done=lambda _: None, committed=lambda *_: committed)
    shard.held = []
    shard.start(JournalTerms(1, lambda: True, known), committed)
    async with asyncio.timeout(5):
        while shard.journal._ownership is None:
            await asyncio.sleep(0)
    await shard.stop()
    assert (max(shard.held), len(shard.state.names)) == (most, VERDICTS)
