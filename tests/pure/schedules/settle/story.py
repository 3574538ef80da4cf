"""What deliver left behind: a journal of the real engine, and which messages the gateway took. Settle begins with it."""

import random
from dataclasses import dataclass

import msgspec

from broker.deliver.frame import Batch
from schemas.delivery_journal import Decided, Outcome
from schemas.gateway_api import Code, FrameAnswer, Refused
from schemas.lanes import Lane
from schemas.plan_journal import WorkItem
from schemas.reasons import State
from schemas.wire.arrays import runs_of
from schemas.wire.columns import interval, u16s
from schemas.wire.header import Header, Kind, pack
from tests.pure.schedules.log import Stamped
from tests.pure.schedules.stage import START_MS
from tests.support.shard_bench import Bench, change, explicit, listed

MARKETS = (1, 49)
_REFUSALS = (Code.TRANSIENT, Code.UNDELIVERABLE)


@dataclass(frozen=True, slots=True)
class Handed:
    """One message that the gateway took."""

    request: bytes
    rank: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Story:
    """A journal as it was written, void records included, and the truth beside it."""

    items: list[WorkItem]
    outcomes: list[Stamped]
    handed: list[Handed]


class Author:
    """Drives one shard's engine through a few requests, owners and refusals. Everything follows from ``rng``."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._bench = Bench(chunk=4)
        self._bench.now = START_MS
        self._bench.answering = self._answer
        self._handed: dict[tuple[bytes, int], Handed] = {}
        self._outcomes: list[Stamped] = []
        self._items: list[WorkItem] = []
        self._noted = 0

    def story(self) -> Story:
        """Some requests, each delivered to its end."""
        rng, bench = self._rng, self._bench
        people = rng.sample(range(1000, 1010), 5)
        bench.audience.apply(change("A", people, at_ms=START_MS), 0)
        for number in range(1, rng.randint(3, 6)):
            item = self._item(number)
            self._items.append(item)
            bench.take(item)
            self._run()
            if rng.random() < 0.4:
                bench.restart()
                self._zombie()
        return Story(self._items, self._outcomes, list(self._handed.values()))

    def _item(self, number: int) -> WorkItem:
        rng, now = self._rng, self._bench.now
        times: dict[str, object] = {
            "time_ms": now,
            "expires_ms": now + rng.choice((1_000, 4_000)),
            "keep_ms": now + 60_000,
            "test": rng.random() < 0.15,
        }
        if rng.random() < 0.3:
            return listed(number, "A", **times)
        people = rng.sample(range(1000, 1010), rng.choice((1, 2, 5)))
        item = explicit(number, people, **times)
        assert item.rows is not None
        markets = u16s([rng.choice(MARKETS) for _ in people])
        return msgspec.structs.replace(item, rows=msgspec.structs.replace(item.rows, markets=markets))

    def _run(self) -> None:
        bench = self._bench
        while bench.engine.backlog:
            moved = bench.append()
            self._note()
            flight = bench.send()
            if flight is not None:
                bench.engine.answered(flight, self._answer(flight), bench.now)
            bench.now += self._rng.choice((1, 5, 40)) if moved or flight is not None else 100

    def _note(self) -> None:
        for record in self._bench.log[self._noted :]:
            self._outcomes.append(Stamped(len(self._outcomes), self._bench.now, record))
        self._noted = len(self._bench.log)

    def _answer(self, flight: Batch) -> FrameAnswer:
        """The gateway takes most; what it has taken it does not take again."""
        sections: list[tuple[Refused, ...]] = []
        for part in flight.parts:
            refused = []
            for position, rank in enumerate(part.ranks):
                if (part.request, rank) not in self._handed and self._rng.random() < 0.25:
                    refused.append(Refused(position, self._rng.choice(_REFUSALS), 30))
                else:
                    self._handed.setdefault((part.request, rank), Handed(part.request, rank, self._bench.now))
            sections.append(tuple(refused))
        return FrameAnswer(self._bench.now, tuple(sections))

    def _zombie(self) -> None:
        """An owner that is none any more writes that all ranks of a request are to be sent, at another price."""
        item = self._rng.choice(self._items)
        if item.rows is None or not self._outcomes:
            return
        count = len(item.rows)
        sent = bytes((State.SENDING,)) * count
        decided = Decided(item.request, interval(0, count), runs_of(sent), runs_of(sent), b"", MARKETS[-1])
        record = pack(Header(Kind.OUTCOME, Lane.UPDATE, 0, 0, self._bench.now), Outcome(decided=(decided,)))
        self._outcomes.append(Stamped(len(self._outcomes), self._bench.now, record))
