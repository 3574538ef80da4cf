"""One partition's world: what businesses publish, sometimes twice, and the logs that plan writes."""

import random
from functools import lru_cache
from typing import Any, Final

import msgspec

from broker.plan.decode import PlanInput, origin_header
from schemas import topics
from schemas.ids import partition_of
from schemas.lanes import Lane, Windows
from schemas.plan_journal import Origin, PlannedBatch
from schemas.registry import Business, Parameter, PriceCard, Sender, Template
from schemas.request import OPTIN_TYPE
from schemas.wire.header import body_of
from schemas.wire.timestamps import text_of
from tests.pure.schedules.log import Log, trim
from tests.pure.schedules.shells.process import ShellWorld
from tests.support.kafka_clients import Cluster, Place
from tests.support.plan_bench import BUSINESS, event, policy, registry

LANE: Final = Lane.UPDATE
SHARDS: Final = 3
PARTITION: Final = partition_of(BUSINESS.encode(), SHARDS)
STALE_MS: Final = 40_000
"""How old an event may be."""
LOST: Final = 0.01
"""How often an append is not acknowledged."""
SLACK_MS: Final = 5_000
"""Names are kept so much longer at the most."""
BACKLOG: Final = 5
"""Messages that the business may have waiting: as many as its largest request has, for it publishes little."""
RATES: Final = {"airline/main": 100, "airline/slow": 1}
_ELSEWHERE: Final = next(
    name for name in map("shop-{}".format, range(99)) if partition_of(name.encode(), SHARDS) != PARTITION
)
_PROOF: Final = {"method": "web_form", "wording": "Tell me about my flights", "source": "app"}


def address(person: int) -> str:
    """The address of one of a few people; the numbers of some other countries take several times as long to check."""
    return f"tel:+4915112345{person:03d}"


Said = tuple[bytes, bytes, tuple[tuple[str, bytes], ...]]
"""Key, value and headers of a record of ``requests``."""


@lru_cache(maxsize=2_048)
def said_in(record: bytes) -> Said:
    """A record of ``requests``, decoded once for all its readers."""
    said: Said = msgspec.msgpack.decode(record, type=Said)
    return said


@lru_cache(maxsize=4_096)
def planned_in(record: bytes) -> PlannedBatch:
    """The body of a record of the journal, decoded once for all its readers."""
    return body_of(record, PlannedBatch)


class ShortWindows(Windows, frozen=True):
    """Windows that leave a clock less slack than an hour's need."""

    @property
    def stale_ms(self) -> int:
        """A request whose ``time`` is older is refused."""
        return self.idempotency_ms - SLACK_MS


class PlanWorld(ShellWorld):
    """Everything outside of the owners."""

    pause_ms = 10_000
    skew_ms = 4_000
    quiet_step_ms = 50

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.requests, self.journal = Log(), Log()
        self.work = [Log() for _ in range(SHARDS)]
        self.audience = [Log() for _ in range(SHARDS)]
        self.statuses, self.letters, self.rerouted = Log(), Log(), Log()
        self.committed = 0
        self.cluster = Cluster(rng, lambda: self.now, self._log)
        self.cluster.lost = LOST
        self.registry = registry()
        self.registry.add(Business(BUSINESS, "Airline", backlog=BACKLOG))
        windows = ShortWindows(*msgspec.structs.astuple(Lane.UPDATE.rules.windows))
        windows = msgspec.structs.replace(windows, idempotency_ms=STALE_MS + SLACK_MS)
        self.policy = msgspec.structs.replace(policy(), shard=PARTITION, shards=SHARDS, windows=windows)
        self._versions = 3
        self._published: list[dict[str, Any]] = []

    def _log(self, place: Place) -> Log:
        topic, partition = place
        if topic.startswith(topics.status("")):
            return self.statuses
        if topic == topics.requests(LANE):
            assert partition != PARTITION
            return self.rerouted
        logs = {topics.plans(LANE): self.journal, topics.DEAD_LETTERS: self.letters}
        shards = {topics.work(LANE): self.work, topics.AUDIENCE: self.audience}
        return logs[topic] if topic in logs else shards[topic][partition]

    # -- what happens to anybody

    def weather(self) -> None:
        self.now += (10, 30, 100, 1_000)[int(self.rng.random() * 4)]
        roll = self.rng.random()
        if roll >= 0.07:
            return
        if roll < 0.03:
            self._register()
        elif roll < 0.038:
            self.now += self.rng.choice((5_000, 30_000, 90_000, 400_000))
        elif roll >= 0.055:
            trim(self.journal)

    def _register(self) -> None:
        """The registry changes: what is judged again is judged otherwise."""
        self._versions += 1
        match int(self.rng.random() * 3):
            case 0:
                template = Template(
                    "delay", "utility", (Parameter("flight"),), {"en": "{flight}"}, version=self._versions
                )
                self.registry.add(template)
            case 1:
                self.registry.add(PriceCard(self._versions, "USD", {"utility": {"*": self._versions}}))
            case _:
                active = self.rng.random() < 0.7
                self.registry.add(
                    Sender(
                        "airline/main",
                        BUSINESS,
                        "+12015550100",
                        active=active,
                        rate_per_s=100,
                        default=True,
                        shares={"update": 100},
                    )
                )

    # -- what is asked

    def traffic(self) -> None:
        if self.rng.random() < 0.08:
            self.publish()

    def publish(self) -> None:
        """An event: new, repeated, made again later, in conflict with an earlier one, re-routed, misrouted, or an opt-in."""
        roll = self.rng.random()
        if roll < 0.45 or not self._published:
            self._new()
        elif roll < 0.6:
            self._write(self.rng.choice(self._published))
        elif roll < 0.68:
            self._write(self.rng.choice(self._published) | {"time": text_of(self.now)})
        elif roll < 0.76:
            whole = self.rng.choice(self._published)
            self._write(whole | {"data": whole["data"] | {"params": {"flight": f"UA{self.requests.end}"}}})
        elif roll < 0.88:
            self._reroute()
        elif roll < 0.94:
            self._write(event(source=f"//{_ELSEWHERE}/ops", id=str(self.requests.end)), key=_ELSEWHERE)
        else:
            self._optin()

    def _new(self) -> None:
        people = self.rng.sample(range(40), self.rng.choice((1, 1, 1, 5)))
        to = {"list": "gold"} if self.rng.random() < 0.3 else _recipients(people)
        whole = event(
            data={"sender": self.rng.choice(("airline/main", "airline/slow", "airline/slow")), "to": to},
            id=str(self.requests.end),
            time=text_of(self.now - self.rng.choice((0, 0, 0, 20_000, STALE_MS + 2_000))),
            expirytime=text_of(self.now + self.rng.choice((1_500, 60_000, 600_000))),
        )
        self._published.append(whole)
        self._write(whole)

    def _reroute(self) -> None:
        """Another partition's owner published a record once more to where it belongs; it may do so twice."""
        whole = event(
            data={"to": _recipients([1])},
            id=str(self.requests.end),
            time=text_of(self.now),
            expirytime=text_of(self.now + 60_000),
        )
        self._published.append(whole)
        first = Origin((PARTITION + 1) % SHARDS, self.requests.end)
        for _ in range(self.rng.choice((1, 2))):
            self._write(whole, headers=(origin_header(first),))

    def _optin(self) -> None:
        people = [{"address": address(person)} for person in self.rng.sample(range(40), 2)]
        data = {"list": "gold", "op": "join", "members": people, "evidence": _PROOF}
        whole = event(id=str(self.requests.end), time=text_of(self.now)) | {"type": OPTIN_TYPE, "data": data}
        self._write(whole)

    def _write(self, whole: dict[str, Any], key: str = BUSINESS, headers: tuple[tuple[str, bytes], ...] = ()) -> None:
        record = msgspec.msgpack.encode((key.encode(), msgspec.json.encode(whole), headers))
        self.requests.append(self.now, record)

    def given(self, offset: int) -> PlanInput:
        """A record of ``requests`` as plan is given it."""
        _, at_ms, record = self.requests.whole[offset]
        key, value, headers = said_in(record)
        return PlanInput(Origin(PARTITION, offset), key, value, headers, at_ms)


def _recipients(people: list[int]) -> dict[str, Any]:
    return {"recipients": [{"address": address(person)} for person in people]}
