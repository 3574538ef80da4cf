"""Opening a journal beside a gateway that knows a higher epoch: somebody else claims, or the journal has lost what it held."""

from collections.abc import Awaitable, Callable

import pytest

from broker.claims import Claims
from broker.kafka_clock import AHEAD_MS
from broker.losses import accepted_losses
from schemas.lanes import Lane
from schemas.plan_journal import Claim, PlannedBatch
from schemas.wire.header import Header, Kind, pack
from streams.kafka.journal import Journal, JournalPlace
from streams.kafka.journal_terms import JournalTerms
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.producer import Outgoing
from streams.runtime import clock
from tests.support.memory_kafka import MemoryLogs, MemoryProducer, MemoryReader, known

TOPIC = "outcomes.otp"
Hello = Callable[[int], Awaitable[int]]


class Opening:
    """A journal in memory, and the epochs that its owner greets the gateway with."""

    def __init__(self, *epochs: int) -> None:
        self.logs = MemoryLogs()
        self.greeted: list[int] = []
        self.dated_ms: list[int] = []
        """The time of each record that was folded."""
        self.claims = Claims()
        for epoch in epochs:
            self.foreign_claim(epoch)

    def foreign_claim(self, epoch: int) -> None:
        """Somebody else claims."""
        record = pack(Header(Kind.CLAIM, Lane.OTP, 0, epoch, 0), Claim("another"))
        self.logs.append(Outgoing(TOPIC, record, partition=0))

    async def epoch(self, hello: Hello, *, accepted: str = "") -> int:
        """Open it; the epoch under which it is owned then."""

        async def greet(epoch: int) -> int:
            self.greeted.append(epoch)
            return await hello(epoch)

        at = JournalPlace(TOPIC, Lane.OTP, 0, accepted_losses(accepted))
        opened = Journal(
            at,
            lambda _, header: self.dated_ms.append(header.at_ms),
            reader=MemoryReader(self.logs),
            producer=MemoryProducer(self.logs),
            time=KafkaTime("worker"),
        )
        await opened.open(JournalTerms(1, lambda: True, known, greet))
        self.claims = opened.claims
        return opened.epoch


async def test_who_was_overtaken_reads_on_and_claims_above() -> None:
    """The gateway's epoch is explained by what was claimed since the journal was read."""
    opening = Opening(1)

    async def overtaken(epoch: int) -> int:
        if epoch == 2:
            opening.foreign_claim(2)
        return max(epoch, 3)

    assert await opening.epoch(overtaken) == 3
    assert opening.greeted == [2, 3]


async def test_the_operators_word_lets_it_go_on_above_the_gateway() -> None:
    """So that the first frame is not fenced."""
    opening = Opening()

    async def remembering(epoch: int) -> int:
        return max(epoch, 9)

    assert await opening.epoch(remembering, accepted=f"{TOPIC}:0:0") == 10
    assert opening.greeted == [1, 10]


async def test_what_was_written_an_hour_ahead_stops_nobody() -> None:
    """Whatever a record says of its time, it counts as a second after Kafka's at most: a claim, a decision, an old one, too."""
    opening, ahead_ms = Opening(), clock.now_ms() + 3_600_000
    for kind, body in ((Kind.CLAIM, Claim("born ahead")), (Kind.PLANNED, PlannedBatch(()))):
        record = pack(Header(kind, Lane.OTP, 0, 1, ahead_ms), body)
        opening.logs.append(Outgoing(TOPIC, record, partition=0))

    async def agreeing(epoch: int) -> int:
        return epoch

    await opening.epoch(agreeing)
    stamps = [record.timestamp_ms for record in opening.logs.records[TOPIC, 0]]
    counts_ms = [counts - stamp for counts, stamp in zip(opening.dated_ms, stamps, strict=True)]
    assert counts_ms[:2] == [AHEAD_MS, pytest.approx(AHEAD_MS, abs=1)]
    assert 0 <= counts_ms[2] <= AHEAD_MS
    assert opening.claims.last_ms <= stamps[1] + AHEAD_MS + 1
