"""A bench for pacing: the shards of one lane side by side, in front of the simulated gateway's own throughput rule."""

import random
from collections import Counter

from broker.deliver.decide import Facts
from broker.deliver.frame import Batch
from schemas.delivery_journal import Outcome
from schemas.gateway_api import Code, FrameAnswer, Refused
from schemas.lanes import Lane
from schemas.plan_journal import WorkItem
from schemas.reasons import State, status_of
from schemas.wire.columns import of_u32s, ranks_of, values_of
from schemas.wire.header import Kind, body_of, head_of
from streams.simulator.platform_limits import SenderThroughput
from tests.support.shard_bench import NOW_MS, Bench, change


class _Shard(Bench):
    """A shard whose clock may be off, and that knows registered rates."""

    rates: dict[str, int]
    skew_ms = 0

    def facts(self) -> Facts:
        """As the tails have them, with the registered rates."""
        return super().facts()._replace(rate_of=self._rate)

    def _rate(self, sender: str, fallback: int) -> int:
        return self.rates.get(sender, fallback)


class PacedShards:
    """``shards`` shards under one gateway. ``handed`` is when each message was accepted, by the gateway's clock, by sender."""

    def __init__(self, lane: Lane, shards: int, *, seed: int = 0, skew_ms: int = 0) -> None:
        self.random = random.Random(seed)
        self.now = NOW_MS
        self.rates: dict[str, int] = {}
        self.throughput = SenderThroughput()
        self.handed: dict[str, list[int]] = {}
        self.refused: Counter[int] = Counter()
        self.shards = [_Shard(lane, shard, shards=shards) for shard in range(shards)]
        for shard in self.shards:
            shard.rates = self.rates
            shard.skew_ms = self.random.randint(-skew_ms, skew_ms)
        self.gateway_ill_until_ms = 0
        self.gateway_ahead_ms = 0

    def join(self, list_id: str, people: int, *, evenly: bool = False) -> None:
        """``people`` people join a list of the airline, over the shards by lot as a hash would put them."""
        count = len(self.shards)
        places = range(count) if evenly else None
        by_shard: list[list[int]] = [[] for _ in self.shards]
        for person in range(people):
            by_shard[person % count if places is not None else self.random.randrange(count)].append(person + 1)
        for shard, some in zip(self.shards, by_shard, strict=True):
            for at in range(0, len(some), 4_096):
                shard.audience.apply(change(list_id, some[at : at + 4_096]), shard.audience.upto + 1)

    def take(self, item: WorkItem) -> None:
        """Work for every shard."""
        for shard in self.shards:
            shard.now = self.now + shard.skew_ms
            shard.take(item)

    def restart(self, shard: int) -> None:
        """Kill the owner of a shard; the next one folds its journal."""
        self.shards[shard].restart()

    def step(self) -> bool:
        """Let each shard append and send once; False if nothing moved."""
        moved = False
        for shard in self.shards:
            shard.now = self.now + shard.skew_ms
            moved |= shard.append()
            batch = shard.send()
            if batch is not None:
                moved = True
                shard.engine.answered(batch, self._answer(batch), shard.now)
        return moved

    def run(self, until_ms: int, *, every_ms: int = 5) -> None:
        """Step every ``every_ms`` of the world's time until all is told or ``until_ms`` is over."""
        while self.now < until_ms and (self.open or self.now == NOW_MS):
            moved = self.step()
            wake_ms = min(shard.engine.wake_ms() - shard.skew_ms for shard in self.shards)
            self.now = self.now + every_ms if moved else max(self.now + 1, min(wake_ms, self.now + 1_000))

    @property
    def open(self) -> bool:
        """Whether anybody waits to be told."""
        return any(shard.state.items or shard.engine.backlog for shard in self.shards)

    def _answer(self, batch: Batch) -> FrameAnswer:
        now = self.now + self.gateway_ahead_ms
        assert batch.frame is not None
        sections = []
        for part, section in zip(batch.parts, batch.frame.sections, strict=True):
            if now > batch.frame.not_after_ms:
                sections.append(tuple(Refused(at, Code.STALE_FRAME) for at in range(len(part.ranks))))
            elif self.now < self.gateway_ill_until_ms:
                sections.append(tuple(Refused(at, Code.SERVICE_UNAVAILABLE) for at in range(len(part.ranks))))
            else:
                rate = self.rates[section.sender]
                granted = self.throughput.take(section.sender, rate, len(part.ranks), now)
                self.handed.setdefault(section.sender, []).extend([self.now] * granted)
                sections.append(
                    tuple(
                        Refused(at, Code.SENDER_THROTTLED, self.throughput.wait_ms(section.sender, at - granted, now))
                        for at in range(granted, len(part.ranks))
                    )
                )
        self.refused.update(one.code for refused in sections for one in refused)
        return FrameAnswer(now, tuple(sections))

    def ends(self) -> Counter[str]:
        """Return how many messages came to each state, by the journals."""
        found: Counter[str] = Counter()
        for shard in self.shards:
            last: dict[tuple[bytes, int], int] = {}
            for record in shard.log:
                if head_of(record).kind is Kind.OUTCOME:
                    _fold(body_of(record, Outcome), last)
            found.update(status_of(status).name for status in last.values())
        return found

    def worst(self, sender: str, window_ms: int) -> int:
        """Return the most messages of a sender that were accepted within any window."""
        times, first, most = sorted(self.handed.get(sender, ())), 0, 0
        for last, at_ms in enumerate(times):
            while times[first] <= at_ms - window_ms:
                first += 1
            most = max(most, last - first + 1)
        return most


def _fold(body: Outcome, last: dict[tuple[bytes, int], int]) -> None:
    for decided in body.decided:
        for rank, status in zip(ranks_of(decided.ranks), values_of(decided.statuses), strict=True):
            last[decided.request, rank] = status
    for answered in body.answered:
        said = dict(zip(of_u32s(answered.except_ranks), answered.except_statuses, strict=True))
        for rank in ranks_of(answered.ranks):
            last[answered.request, rank] = said.get(rank, State.ACCEPTED)
