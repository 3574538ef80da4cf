"""Rule 10 in a worker's deliver task, against a gateway that does not dedupe: what nobody answered goes again, or is in doubt."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from broker.deliver.decide import Facts
from schemas import topics
from schemas.delivery_journal import Answered, Outcome
from schemas.ids import name_of
from schemas.lanes import Lane
from schemas.plan_journal import Work, WorkItem
from schemas.reasons import Reason, State
from schemas.wire.columns import of_u32s, ranks_of
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from streams.gateway.port import UnknownKind
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.journal_terms import JournalTerms
from streams.runtime import clock
from streams.runtime.settings import load
from streams.worker.deliver import DeliverShard
from streams.worker.resources import LaneParts
from streams.worker.tails import LaneFacts
from tests.support.memory_kafka import MemoryLogs, MemoryProducer, MemoryReader, known
from tests.support.programs import until
from tests.support.recording_gateway import LOST, NO_SUCH_NUMBER, SHOWN_UNANSWERED, Fate, RecordingGateway
from tests.support.shard_bench import explicit

HOUR_MS = 3_600_000
SHARD = 3
PEOPLE = range(1, 6)
ONCE, TWICE = 1, 2


class FreshFacts(LaneFacts):
    """Tails of empty logs, read to their ends at every moment."""

    async def follow(self, shards: object) -> None:
        """Nothing stands in them."""

    def of(self, shard: int, *, uncommitted_ms: int | None, now_ms: int) -> Facts:
        """Nobody has said anything."""
        facts, monotonic_ms = self.shard(shard), clock.monotonic_ms()
        return Facts(
            facts.consent,
            facts.audience,
            facts.suppressed_upto,
            suppressed_fresh_ms=now_ms,
            audience_read_ms=monotonic_ms,
            monotonic_ms=monotonic_ms,
            uncommitted_ms=uncommitted_ms,
        )


@dataclass
class Deployment:
    """A lane's shard with its logs and its gateway; workers come and go."""

    lane: Lane
    gateway: RecordingGateway = field(default_factory=RecordingGateway)
    logs: MemoryLogs = field(default_factory=MemoryLogs)
    worker: DeliverShard | None = None

    async def start(self) -> None:
        """Start a worker that owns the shard, after the one before was stopped as at a rebalance."""
        await self.stop()
        parts = LaneParts(load(), self.lane)
        parts.gateway = self.gateway
        parts.journal_reader, parts.journals = MemoryReader(self.logs), MemoryProducer(self.logs)
        parts.outputs = MemoryProducer(self.logs)
        facts = FreshFacts("", parts.registry, lambda _: None, lane=self.lane, aside=parts.aside, sizes=None)
        self.worker = DeliverShard(
            parts, facts, SHARD, done=lambda _: None, committed=lambda *_: None, fit_to_send=lambda: True
        )
        self.worker.start(JournalTerms(1, lambda: True, known))

    async def stop(self) -> None:
        """Take the shard from the worker that has it."""
        if self.worker is not None:
            await self.worker.stop()
            self.worker = None

    def ask(self, item: WorkItem) -> None:
        """Plan has accepted something."""
        assert self.worker is not None
        value = pack(Header(Kind.WORK, self.lane, SHARD, 0, clock.now_ms()), Work((item,)))
        work = topics.work(self.lane)
        offset = len(self.logs.records[work, SHARD])
        self.worker.deliver(Delivered(work, SHARD, offset, clock.now_ms(), None, value, (), 1))

    def answers(self) -> Iterator[Answered]:
        """Yield what the journal says of answers, oldest first."""
        for record in self.logs.records[topics.outcomes(self.lane), SHARD]:
            if head_of(record.value).kind is Kind.OUTCOME:
                yield from body_of(record.value, Outcome).answered

    async def ends(self, messages: int = len(PEOPLE)) -> Counter[int]:
        """Return how many messages ended how, by the journal, once so many have."""
        await until(lambda: self._ends().total() >= messages)
        return self._ends()

    def _ends(self) -> Counter[int]:
        ends: dict[tuple[bytes, int], int] = {}
        for answered in self.answers():
            ends |= {(answered.request, rank): State.ACCEPTED for rank in ranks_of(answered.ranks)}
            excepted = zip(of_u32s(answered.except_ranks), answered.except_statuses, strict=True)
            ends |= {(answered.request, rank): status for rank, status in excepted}
        return Counter(status for status in ends.values() if status != State.WAITING)


@pytest.fixture(params=Lane, ids=lambda lane: lane.word)
async def deployment(request: pytest.FixtureRequest) -> AsyncIterator[Deployment]:
    """A lane whose worker serves."""
    lane = Deployment(request.param)
    await lane.start()
    yield lane
    await lane.stop()


def item(number: int = 1) -> WorkItem:
    """A message for five people that lives for an hour from now."""
    now_ms = clock.now_ms()
    times = {"time_ms": now_ms, "expires_ms": now_ms + HOUR_MS, "keep_ms": now_ms + 2 * HOUR_MS}
    asked = explicit(number, PEOPLE)
    return msgspec.structs.replace(asked, terms=msgspec.structs.replace(asked.terms, **times))


def seen(deployment: Deployment) -> Counter[int]:
    """How many people saw the message how often."""
    counts = deployment.gateway.counts()
    assert {name_of(request) for request, _ in counts} <= {item().request}
    return Counter(counts.values())


async def demand_rule_10(deployment: Deployment) -> None:
    """What all five saw and nobody answered: a code and an update are shown again and accepted, an offer is in doubt."""
    if deployment.lane.rules.resends_unknown:
        assert await deployment.ends() == {State.ACCEPTED: 5}
        assert seen(deployment) == {TWICE: 5}
    else:
        assert await deployment.ends() == {State.IN_DOUBT: 5}
        assert seen(deployment) == {ONCE: 5}


async def test_a_frame_without_an_answer(deployment: Deployment) -> None:
    """It was shown: a code and an update are shown again and accepted, an offer is in doubt and not shown twice."""
    deployment.gateway.trouble.append(UnknownKind.TIME_OUT)
    deployment.ask(item())
    await demand_rule_10(deployment)


async def test_single_messages_without_an_answer(deployment: Deployment) -> None:
    """Those alone go again, or are in doubt; their neighbours keep their answers, and are not sent again."""
    deployment.gateway.fates.extend((Fate(), SHOWN_UNANSWERED, Fate(shown=False, code=NO_SUCH_NUMBER), LOST))
    deployment.ask(item())
    ends = await deployment.ends()
    if deployment.lane.rules.resends_unknown:
        assert ends == {State.ACCEPTED: 4, Reason.UNREACHABLE: 1}
        assert seen(deployment) == {ONCE: 3, TWICE: 1}
    else:
        assert ends == {State.ACCEPTED: 2, Reason.UNREACHABLE: 1, State.IN_DOUBT: 2}
        assert seen(deployment) == {ONCE: 3}


async def test_what_surely_was_not_taken_goes_again_in_every_lane(deployment: Deployment) -> None:
    """Nobody listened, then the whole frame was throttled: everybody sees it once."""
    deployment.gateway.trouble.append(20)
    deployment.gateway.away = True
    deployment.ask(item())
    await until(lambda: deployment.gateway.knocks >= 2)
    deployment.gateway.away = False
    assert await deployment.ends() == {State.ACCEPTED: 5}
    assert seen(deployment) == {ONCE: 5}


async def test_a_new_owner_does_not_know_whether_the_old_ones_frame_left(deployment: Deployment) -> None:
    """The answer comes when nobody waits for it any more."""
    answer = asyncio.Event()
    deployment.gateway.answering = answer.wait
    deployment.ask(item())
    await until(lambda: len(deployment.gateway.shown) == 5)
    deployment.gateway.answering = None
    await deployment.start()
    await demand_rule_10(deployment)


async def test_a_code_of_its_own_is_journaled_as_it_was_said(deployment: Deployment) -> None:
    """By the gateway's own table; one that it does not know ends the message, and keeps its number."""
    deployment.gateway.fates.extend((Fate(shown=False, code=NO_SUCH_NUMBER), Fate(shown=False, code=999)))
    deployment.ask(item())
    ends = await deployment.ends()
    assert ends == {State.ACCEPTED: 3, Reason.UNREACHABLE: 1, Reason.GATEWAY_REFUSED: 1}
    codes = {code for answered in deployment.answers() for code in of_u32s(answered.except_codes)}
    assert codes == {NO_SUCH_NUMBER, 999}
