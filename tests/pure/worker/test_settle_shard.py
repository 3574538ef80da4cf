"""Settle's shell over logs in memory: what a new owner reads before it goes on."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import SimpleNamespace
from typing import cast

import msgspec

from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.facts import Receipts
from schemas.lanes import Lane, Windows
from schemas.wire.header import Header, Kind, pack
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.producer import Outgoing
from streams.kafka.reader import LogRecord
from streams.kafka.set_aside import SetAside
from streams.runtime import clock, metrics
from streams.worker.request_log import RequestLog
from streams.worker.resources import LaneParts
from streams.worker.settle import SettleShard
from tests.pure.settle.test_settle import CARDS, DELIVERED, SENT, T0, accepted, opened, people, receipt, sent

LANE, SHARD = Lane.UPDATE, 3
OUTCOMES, RECEIPTS = (topics.outcomes(LANE), SHARD), (topics.receipts(LANE), SHARD)


class Logs:
    """Two logs that were written at ``T0``, long before now; one of the messages' receipts, or both, and what stands between."""

    def __init__(self, receipts: int = 2, between: tuple[bytes, ...] = ()) -> None:
        journal, reported = Header(Kind.OUTCOME, LANE, SHARD, 1, T0), Header(Kind.RECEIPT, LANE, SHARD, 0, T0)
        bodies = Outcome(opened=(opened(people(1)),)), Outcome(decided=(sent([0]),)), Outcome(answered=(accepted([0]),))
        runs = [pack(reported, Receipts((run,))) for run in (receipt(SENT, [0]), receipt(DELIVERED, [0]))[:receipts]]
        self.records = {
            OUTCOMES: _records([pack(journal, body) for body in bodies]),
            RECEIPTS: _records([*runs[:1], *between, *runs[1:]]),
        }

    async def bounds(self, place: tuple[str, int]) -> tuple[int, int]:
        """Begin and end."""
        return 0, len(self.records[place])

    async def first_since(self, place: tuple[str, int], at_ms: int) -> tuple[int, int] | None:
        """The first record of that time or later."""
        found = (record for record in self.records[place] if record.timestamp_ms >= at_ms)
        return next(((record.offset, record.timestamp_ms) for record in found), None)

    async def read_one(self, place: tuple[str, int], offset: int) -> LogRecord:
        """One record."""
        return self.records[place][offset]

    async def read(self, place: tuple[str, int], start: int, stop: int) -> AsyncGenerator[list[LogRecord], None]:
        """One bite."""
        yield self.records[place][start:stop]


class Outputs:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.written = asyncio.Queue[str]()

    async def confirm(self, records: Sequence[Outgoing]) -> None:
        """Acknowledge."""
        for record in records:
            self.written.put_nowait(record.topic)


def compared() -> KafkaTime:
    """A clock that agrees with Kafka's."""
    time = KafkaTime("worker")
    time.note("claim", clock.now_ms(), clock.monotonic_ms())
    return time


def _records(values: list[bytes]) -> list[LogRecord]:
    return [LogRecord(offset, T0 + offset, None, value) for offset, value in enumerate(values)]


async def _first_output(
    committed: dict[tuple[str, int], int],
    windows: Windows = LANE.rules.windows,
    logs: Logs | None = None,
    aside: SetAside | None = None,
) -> str:
    logs, outputs, done = logs or Logs(), Outputs(), list[Delivered]()
    parts = SimpleNamespace(
        lane=LANE,
        time=compared(),
        windows=windows,
        registry=SimpleNamespace(cards=CARDS),
        settle_reader=logs,
        rebuilding=asyncio.Lock(),
        outputs=outputs,
        settings=SimpleNamespace(shards=8),
        requests=RequestLog(LANE),
        aside=aside or SetAside("", "deliver", LANE.word),
    )
    shard = SettleShard(cast(LaneParts, parts), SHARD, done=done.append, read_to_end=lambda _place: True)
    unfinished = sum(len(logs.records[place][offset:]) for place, offset in committed.items())
    for place, offset in committed.items():
        for record in logs.records[place][offset:]:
            shard.deliver(Delivered(*place, record.offset, record.timestamp_ms, None, record.value, (), 1))
    shard.start(committed)
    async with asyncio.timeout(5):
        topic = await outputs.written.get()
        while len(done) < unfinished:
            await asyncio.sleep(0)
    await shard.stop()
    return topic


async def test_a_receipt_that_lay_unread_over_a_long_outage_is_charged() -> None:
    """What it is about was settled up to the receipt, and is older than a life and its window: it is folded all the same."""
    assert await _first_output({OUTCOMES: 3, RECEIPTS: 1}) == topics.CHARGES


async def test_what_a_rebuild_counts_is_not_shown_again() -> None:
    """The process before has shown it: a restart must not look like a burst of receipts."""
    joined, before = metrics.EVIDENCE.of(LANE.word, "joined"), metrics.EVIDENCE.of(LANE.word, "joined").value
    await _first_output({OUTCOMES: 3, RECEIPTS: 1})
    assert joined.value - before == 1


async def test_a_window_that_ended_in_an_outage_gets_its_last_word() -> None:
    """Everything was settled before the outage, but that no receipt came is news: the request is folded, however old."""
    short = msgspec.structs.replace(LANE.rules.windows, settle_ms=100)
    assert await _first_output({OUTCOMES: 3, RECEIPTS: 1}, short, Logs(1)) == topics.status("shop")


NO_COLUMNS = pack(
    Header(Kind.RECEIPT, LANE, SHARD, 0, T0), Receipts((msgspec.structs.replace(receipt(SENT, [0]), ranks=b"x"),))
)
UNREADABLE = (b"", b"{}", b"\xff" * 40, pack(Header(Kind.WORK, LANE, SHARD, 0, T0), ()), NO_COLUMNS)


async def test_receipts_behind_what_cannot_be_read_are_charged() -> None:
    """Foreign bytes, another kind and columns that are none: each is said once, and committed as all others are."""
    aside = SetAside("", "deliver", LANE.word)
    assert await _first_output({OUTCOMES: 3, RECEIPTS: 1}, logs=Logs(between=UNREADABLE), aside=aside) == topics.CHARGES
    letters = [aside._letters.get_nowait() for _ in UNREADABLE]
    assert [(each.topic, each.offset, each.stage) for each in letters] == [
        (topics.receipts(LANE), offset, "settle") for offset in range(1, 1 + len(UNREADABLE))
    ]
    assert aside.count(topics.receipts(LANE)) == len(UNREADABLE)


async def test_a_rebuild_says_nothing_of_what_was_set_aside_before() -> None:
    """A rebalance every hour would write the same letters every hour."""
    aside, committed = SetAside("", "deliver", LANE.word), 1 + len(UNREADABLE)
    logs = Logs(between=UNREADABLE)
    assert await _first_output({OUTCOMES: 3, RECEIPTS: committed}, logs=logs, aside=aside) == topics.CHARGES
    assert aside.count(topics.receipts(LANE)) == 0
