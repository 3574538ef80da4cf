"""One shard's world: logs, people, a gateway, and up to four owners that believe the shard is theirs."""

import random
from collections.abc import Generator
from dataclasses import dataclass, field

import msgspec

from broker.deliver.policy import DeliverPolicy
from broker.journal import last_floor
from schemas.facts import Suppression, Suppressions
from schemas.names import Lane
from schemas.planned import Work, WorkItem
from schemas.topics import WINDOWS
from schemas.wire.header import Header, Kind, pack
from tests.pure.schedules.gateway import Gateway
from tests.pure.schedules.log import Log
from tests.pure.shard_bench import change, explicit, listed, name

START_MS = 1_900_000_000_000
FOLD_MS = 1_200
WINDOW_MS = 6_000
"""How long plan recognises a name; closed names are kept four times as long."""
LIFE_MS = 5_000
PAUSE_MS = 700
"""The watchdog: an owner that stood still for longer ends itself. Far below F, as half a session time-out is in earnest."""
LISTS = ("A", "B")
FACTS = ("gate", "belt", "*")

Steps = Generator[None, None, None]


@dataclass(eq=False)
class Runner:
    """A living owner: its tasks, any of which may take the next step; killed as a whole."""

    tasks: list[Steps] = field(default_factory=list)
    skew_ms: int = 0
    seen_ms: int = 0
    """When it last took a step."""
    landing: tuple[Log, bytes] | None = None
    """An append that has left the process and is not yet in the log: it may land after the process is dead."""


class World:
    """Everything outside of the owners. ``rng`` decides; the same seed gives the same run."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = START_MS
        self.journal, self.work = Log(), Log()
        self.suppressions, self.audience = Log(), Log()
        self.committed = 0
        self.group_owner: Runner | None = None
        self.gateway = Gateway(self.rng)
        self.people = [name(1000 + number) for number in range(10)]
        self.stops: list[tuple[int, Suppression]] = []
        self.items: list[WorkItem] = []
        self.late: list[tuple[int, Log, bytes]] = []
        """Appends of dead owners on their way: when they were sent, where to, what."""
        self.crashes = 0
        windows = msgspec.structs.replace(WINDOWS[Lane.UPDATE], fold_ms=FOLD_MS, frame_ms=300)
        base = DeliverPolicy.of(Lane.UPDATE, 0, b"ref")
        self.policy = msgspec.structs.replace(base, windows=windows, chunk=4, max_attempts=4)
        for list_id in LISTS:
            self.churn(list_id, join=True)

    def churn(self, list_id: str, *, join: bool) -> None:
        """People join or leave a list."""
        count = self.rng.randint(1, 6)
        people = self.rng.sample(range(1000, 1010), count)
        body = change(list_id, people, join=join, at_ms=self.now - self.rng.choice((0, 0, 500)))
        self.audience.append(self.now, pack(Header(Kind.AUDIENCE, Lane.UPDATE, 0, 0, self.now), body))

    def stop(self) -> None:
        """A person says STOP, STOP ALL or blocks; the webhook's append is acknowledged now."""
        entry = Suppression(
            self.rng.choice(self.people),
            "airline",
            self.rng.choice((1, 1, 2, 3)),
            revoke=self.rng.random() < 0.85,
            evidence_ms=self.now - self.rng.choice((0, 0, 800)),
            received_ms=self.now,
        )
        header = Header(Kind.SUPPRESSION, Lane.UPDATE, 0, 0, self.now)
        self.suppressions.append(self.now, pack(header, Suppressions((entry,))))
        self.stops.append((self.now, entry))

    def publish(self) -> None:
        """Work for a list or some people, sometimes repeated, sometimes about a fact with a version."""
        # Plan repeats work only for a request that is younger than the window: older ones are refused as stale.
        young = [item for item in self.items if item.terms.time_ms > self.now - WINDOW_MS]
        if young and self.rng.random() < 0.15:
            item = self.rng.choice(young)
        else:
            item = self._item(len(self.items) + 1)
            self.items.append(item)
        self.work.append(self.now, pack(Header(Kind.WORK, Lane.UPDATE, 0, 0, self.now), Work((item,))))

    def _item(self, number: int) -> WorkItem:
        terms: dict[str, object] = {
            "time_ms": self.now,
            "expires_ms": self.now + self.rng.choice((LIFE_MS, LIFE_MS, 600)),
            "keep_ms": self.now + 4 * WINDOW_MS,
        }
        if self.rng.random() < 0.5:
            terms |= {
                "entity": self.rng.choice(("flight/1", "flight/2")),
                "facet": self.rng.choice(FACTS),
                "version": max(0, number + self.rng.choice((0, 0, -3))),
            }
        if self.rng.random() < 0.6:
            item = listed(number, self.rng.choice(LISTS), **terms)
        else:
            item = explicit(number, self.rng.sample(range(1000, 1010), self.rng.randint(1, 6)), **terms)
        wait = self.rng.choice((0, 0, 0, 300))
        return msgspec.structs.replace(item, start_ms=self.now + wait if wait else 0)

    def land(self) -> None:
        """An append of a dead owner reaches the log, unless it is so late that the network has given it up."""
        sent_ms, log, record = self.late.pop(self.rng.randrange(len(self.late)))
        if self.now - sent_ms <= PAUSE_MS:
            log.append(self.now, record)

    def weather(self) -> None:
        """What happens to anybody between two steps."""
        self.now += self.rng.choice((1, 2, 5, 20))
        roll = self.rng.random()
        if roll < 0.03:
            self.stop()
        elif roll < 0.06:
            self.churn(self.rng.choice(LISTS), join=self.rng.random() < 0.6)
        elif roll < 0.065:
            self.now += self.rng.choice((200, 1_500, WINDOW_MS))
        elif roll < 0.08 and self.late:
            self.land()
        elif roll < 0.085:
            self.journal.trim(last_floor(record for _, _, record in self.journal.read(0, self.journal.end)) or 0)
