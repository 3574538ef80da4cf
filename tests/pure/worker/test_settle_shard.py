"""Settle's shell over logs in memory: what a new owner reads before it goes on."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import SimpleNamespace
from typing import cast

import msgspec

from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.facts import Receipts
from schemas.ids import text_of
from schemas.lanes import Lane, Windows
from schemas.status import RecipientStatus
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
from tests.pure.settle.test_settle import CARDS, DELIVERED, REQUEST, SENT, T0, accepted, opened, people, receipt, sent

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
        self.reads: list[tuple[tuple[str, int], int, int]] = []
        """Place and range of each."""
        self.begins = 0
        """What lies before is trimmed."""

    async def bounds(self, place: tuple[str, int]) -> tuple[int, int]:
        """Begin and end."""
        return self.begins, len(self.records[place])

    async def first_since(self, place: tuple[str, int], at_ms: int) -> tuple[int, int] | None:
        """The first record of that time or later."""
        found = (record for record in self.records[place][self.begins :] if record.timestamp_ms >= at_ms)
        return next(((record.offset, record.timestamp_ms) for record in found), None)

    async def read_one(self, place: tuple[str, int], offset: int) -> LogRecord:
        """One record."""
        return self.records[place][offset]

    async def read(self, place: tuple[str, int], start: int, stop: int) -> AsyncGenerator[list[LogRecord], None]:
        """One bite."""
        self.reads.append((place, start, stop))
        yield self.records[place][start:stop]


class Outputs:
    """Keeps what was written."""

    def __init__(self) -> None:
        self.written = asyncio.Queue[str]()
        self.stuck = False

    async def confirm(self, records: Sequence[Outgoing]) -> None:
        """Acknowledge."""
        if self.stuck:
            await asyncio.Event().wait()
        for record in records:
            self.written.put_nowait(record.topic)


def compared() -> KafkaTime:
    """A clock that agrees with Kafka's."""
    time = KafkaTime("worker")
    time.note("claim", clock.now_ms(), clock.monotonic_ms())
    return time


def _records(values: list[bytes]) -> list[LogRecord]:
    return [LogRecord(offset, T0 + offset, None, value) for offset, value in enumerate(values)]


def _parts(logs: Logs, outputs: Outputs, aside: SetAside, windows: Windows = LANE.rules.windows) -> LaneParts:
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
        aside=aside,
    )
    return cast(LaneParts, parts)


def _read(_place: tuple[str, int]) -> bool:
    return True


async def _first_output(
    committed: dict[tuple[str, int], int],
    windows: Windows = LANE.rules.windows,
    logs: Logs | None = None,
    aside: SetAside | None = None,
) -> str:
    logs, outputs, done = logs or Logs(), Outputs(), list[Delivered]()
    parts = _parts(logs, outputs, aside or SetAside("", "deliver", LANE.word), windows)
    shard = SettleShard(parts, SHARD, done=done.append, read_to_end=_read)
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


class Returning:
    """A shard that is taken away and comes back, over logs that others go on reading."""

    def __init__(self, logs: Logs) -> None:
        self.logs, self.outputs, self.done = logs, Outputs(), list[int]()
        self.aside = SetAside("", "deliver", LANE.word)
        parts = _parts(logs, self.outputs, self.aside)
        self.shard = SettleShard(parts, SHARD, done=lambda record: self.done.append(record.offset), read_to_end=_read)

    async def serve(self, committed: dict[tuple[str, int], int], upto: dict[tuple[str, int], int]) -> list[str]:
        """One assignment: what is not committed comes, up to some offsets. Returns the topics that were written to."""
        self.done.clear()
        for place, offset in committed.items():
            for record in self.logs.records[place][offset : upto[place]]:
                self.shard.deliver(Delivered(*place, record.offset, record.timestamp_ms, None, record.value, (), 1))
        self.shard.start(committed)
        async with asyncio.timeout(5):
            while len(self.done) < sum(max(0, upto[place] - offset) for place, offset in committed.items()):
                await asyncio.sleep(0)
            while self.shard._owed is not None or any(self.shard._upto.get(place, -1) < upto[place] for place in upto):
                await asyncio.sleep(0)
        await self.shard.stop()
        return [self.outputs.written.get_nowait() for _ in range(self.outputs.written.qsize())]


def _at(outcomes: int, receipts: int) -> dict[tuple[str, int], int]:
    return {OUTCOMES: outcomes, RECEIPTS: receipts}


async def test_who_gets_the_shard_back_reads_nothing_again() -> None:
    """Memory is what the logs say: what was joined and not finished comes again, and is finished without a word."""
    logs = Logs()
    returning = Returning(logs)
    assert topics.CHARGES in await returning.serve(_at(0, 0), _at(3, 2))
    logs.reads.clear()
    assert await returning.serve(_at(2, 1), _at(3, 2)) == []
    assert (logs.reads, len(returning.done), returning.shard._settle.counts.received) == ([], 2, 2)


async def test_what_others_finished_meanwhile_is_joined_in_silence() -> None:
    """They have charged it; the next receipt is judged by all that there is."""
    logs = Logs()
    returning = Returning(logs)
    assert await returning.serve(_at(0, 0), _at(2, 0)) == []
    assert await returning.serve(_at(3, 2), _at(3, 2)) == []
    assert [(place, start) for place, start, _ in logs.reads] == [(OUTCOMES, 2), (RECEIPTS, 0)]
    assert returning.shard._settle.terminal_of(REQUEST, 0) == RecipientStatus(
        text_of(bytes(16)), 0, "delivered", T0 + 100
    )


async def test_what_others_finished_in_one_log_only_is_charged() -> None:
    """They met the receipts and not the decision, which memory has: nobody has charged, and nobody else will."""
    returning = Returning(Logs())
    assert await returning.serve(_at(0, 0), _at(3, 0)) == [topics.status("shop")]
    assert topics.CHARGES in await returning.serve(_at(1, 2), _at(3, 2))


async def test_who_was_away_for_longer_than_the_log_begins_anew() -> None:
    """What memory lacks is not there any more; a rebuild reads what is."""
    logs = Logs()
    returning = Returning(logs)
    await returning.serve(_at(0, 0), _at(1, 0))
    before, logs.begins = returning.shard._settle, 2
    await returning.serve(_at(3, 2), _at(3, 2))
    assert returning.shard._settle is not before
    assert [(place, start) for place, start, _ in logs.reads] == [(OUTCOMES, 2)]


async def test_what_was_being_written_is_written_when_the_shard_comes_back() -> None:
    """The process that had it knows best what it owes."""
    returning = Returning(Logs())
    returning.outputs.stuck = True
    for place in (OUTCOMES, RECEIPTS):
        for record in returning.logs.records[place]:
            returning.shard.deliver(Delivered(*place, record.offset, record.timestamp_ms, None, record.value, (), 1))
    returning.shard.start(_at(0, 0))
    async with asyncio.timeout(5):
        while returning.shard._owed is None:
            await asyncio.sleep(0)
    await returning.shard.stop()
    returning.outputs.stuck = False
    assert topics.CHARGES in await returning.serve(_at(0, 0), _at(3, 2))
