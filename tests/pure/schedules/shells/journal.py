"""The real ``Journal`` (``streams/kafka/journal.py``) under the scheduler: up to four owners of one log that is trimmed.

The stage on top is the smallest that needs all of a journal: numbers are opened, some are closed, and when the floor has to rise
what is open is said again and the claim repeated. Whoever opens the journal must know what is open by the whole log.
"""

import asyncio
import random
from typing import Final

import msgspec

from broker.claims import Claims, Round
from broker.journal import Fold, dated
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from streams.kafka.journal import Journal, JournalPlace
from streams.kafka.journal_terms import JournalTerms, NotAssignedError
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.producer import Appended, ConfirmedProducer, Outgoing
from streams.kafka.reader import LogReader, LogRecord
from streams.runtime import clock
from tests.pure.schedules.log import Log, trim
from tests.pure.schedules.runner import Runner
from tests.pure.schedules.shells.process import ShellProcess, ShellSchedule, ShellWorld
from tests.pure.schedules.stage import Role
from tests.support.kafka_clients import Cluster, Place
from tests.support.memory_kafka import known

LANE: Final = Lane.OTP
TOPIC: Final = "plans.otp"
MAX_OWNERS: Final = 4
LOST: Final = 0.01
QUARTER_MS: Final = 60
"""A quarter of F: some owners live longer, and some do not."""
_LONG_MS: Final = (*(0,) * 30, 1, 3, 20, 20, 300)


class Said(msgspec.Struct, frozen=True):
    """A record of the stage: what is open from now on, and what is not any more."""

    opened: tuple[int, ...] = ()
    closed: tuple[int, ...] = ()


def apply(said: Said, open_now: set[int]) -> None:
    """Fold one record; ``open_now`` is changed."""
    open_now |= set(said.opened)
    open_now -= set(said.closed)


class JournalWorld(ShellWorld):
    """One log, a group that says whose it is, and a gateway's memory of epochs."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.journal = Log()
        self.cluster = Cluster(rng, lambda: self.now, self._log)
        self.cluster.lost = LOST
        self.cluster.choices_ms = self.cluster.append_choices_ms = _LONG_MS
        self.acted: list[int] = []
        """Offsets of records that an owner acted on."""
        self.found: list[str] = []
        self.greeted = 0
        self.numbered = 0

    def _log(self, place: Place) -> Log:
        assert place == (TOPIC, 0)
        return self.journal

    def weather(self) -> None:
        self.now += (1, 2, 5, 20)[int(self.rng.random() * 4)]
        roll = self.rng.random()
        if roll < 0.01:
            trim(self.journal)
        elif roll < 0.015:
            self.now += self.rng.choice((200, 1_500))

    def open_at(self, end: int) -> tuple[set[int], Fold, Claims]:
        """What is open by the whole of the log before ``end``, and the folds of it."""
        fold, claims, open_now = Fold(), Claims(), set[int]()
        for one in self.journal.whole[:end]:
            header = fold.admit(one.record)
            if header is None:
                continue
            claims.fold(dated(header, one.at_ms, claims.last_ms), one.record, one.offset)
            if header.kind is not Kind.CLAIM:
                apply(body_of(one.record, Said), open_now)
        return open_now, fold, claims


class _Watched(ConfirmedProducer):
    """Looks at each claim before it leaves."""

    owner: "JournalOwner"

    async def confirm(self, records: "list[Outgoing]") -> list[Appended]:  # type: ignore[override]
        for record in records:
            if record.value is not None and head_of(record.value).kind is Kind.CLAIM:
                self.owner.claims(record.value)
        return await super().confirm(records)


class JournalOwner(ShellProcess):
    """Opens the journal, says something, loses it to a rebalance, opens it again."""

    journal_type: type[Journal] = Journal

    def __init__(self, world: JournalWorld, runner: Runner, number: int) -> None:
        self.world = world
        self.open_now: set[int] = set()
        self.assigned = True
        self.forbidden = False
        """The group had taken the journal away before the gateway answered the greeting: no claim may follow."""
        self.time = KafkaTime("worker")
        reader, producer = LogReader("h:1", "journals", [(TOPIC, 0)]), _Watched("h:1", "journals", time=self.time)
        producer.owner = self
        at = JournalPlace(TOPIC, LANE, 0)
        self.journal = self.journal_type(at, self.apply, reader=reader, producer=producer, time=self.time)
        self.starting = reader.start, producer.start
        super().__init__(world, runner, number)

    @property
    def idle(self) -> bool:
        """Whether it has opened the journal: whoever is left must be able to."""
        return self.journal._ownership is not None

    def apply(self, record: LogRecord, header: Header) -> None:
        """Fold one valid record."""
        if header.kind is not Kind.CLAIM:
            apply(body_of(record.value, Said), self.open_now)

    async def run(self) -> None:
        for start in self.starting:
            await start()
        while True:
            self.assigned, self.forbidden = True, False
            taking = self.loop.create_task(self._taken_away())
            try:
                await self.journal.open(JournalTerms(self.number, lambda: self.assigned, known, self._hello))
                self._compare("opened")
                while self.assigned:
                    await self._say()
            except NotAssignedError:
                pass
            taking.cancel()
            await self.journal.quiesce()
            await self._pause(30)

    async def _taken_away(self) -> None:
        """A rebalance, at some moment."""
        await self._pause(400)
        self.assigned = False

    async def _pause(self, most_ms: int) -> None:
        ends_ms = clock.monotonic_ms() + int(self.world.rng.random() * most_ms)
        while clock.monotonic_ms() < ends_ms:
            await asyncio.sleep(0.005)

    async def _hello(self, epoch: int) -> int:
        """The gateway's answer: the highest epoch that it knows."""
        world = self.world
        if world.rng.random() < 0.05:
            await self._pause(3_000)

        def heard() -> int:
            world.greeted = max(world.greeted, epoch)
            return world.greeted

        known = await world.cluster.ask(heard)
        self.forbidden = not self.assigned
        return known

    def claims(self, claim: bytes) -> None:
        """A claim is about to leave: it is allowed, and carries the floor of what was read."""
        found, floor = self.world.found, body_of(claim, Claim).floor
        if self.forbidden:
            found.append("claimed what had been taken away")
        _, _, claims = self.world.open_at(self.journal._next or 0)
        if floor < claims.floor:
            found.append(f"claims with floor {floor}, and had read a claim with {claims.floor}")

    async def _say(self) -> None:
        """One append, or a round; then something follows from it."""
        world, due = self.world, self.journal.claims.due(self.time.now_ms(), QUARTER_MS)
        if due is not None:
            await self.restate(due)
            return
        roll = world.rng.random()
        if roll < 0.2:
            await self._pause(40)
        elif roll < 0.75 or not self.open_now:
            world.numbered += 1
            await self._append(Kind.OUTCOME, Said(opened=(world.numbered,)))
        else:
            await self._append(Kind.OUTCOME, Said(closed=(world.rng.choice(sorted(self.open_now)),)))

    async def restate(self, due: Round) -> None:
        """All that is open is said again; then the claim."""
        await self._append(Kind.OUTCOME_RESTATED, Said(opened=tuple(sorted(self.open_now))))
        await self.journal.repeat_claim(due.floor)

    async def _append(self, kind: Kind, said: Said) -> None:
        header = Header(kind, LANE, 0, self.journal.epoch, self.time.now_ms())
        offset = await self.journal.append(pack(header, said))
        self.world.acted.append(offset)
        if self.journal._next == offset + 1:
            self._compare("appended")

    def _compare(self, when: str) -> None:
        assert self.journal._next is not None
        right, fold, _ = self.world.open_at(self.journal._next)
        if self.open_now != right:
            self.world.found.append(f"{when}: holds {len(self.open_now)} open where {len(right)} are")
        if self.journal.fold.epoch != fold.epoch:
            self.world.found.append(f"{when}: knows epoch {self.journal.fold.epoch}, not {fold.epoch}")


def violations(world: JournalWorld) -> list[str]:
    """Every broken promise, as a sentence."""
    fold = Fold()
    valid = {one.offset for one in world.journal.whole if fold.admit(one.record) is not None}
    return [*world.found, *(f"acted on the void record at {offset}" for offset in world.acted if offset not in valid)]


class JournalSchedule(ShellSchedule[JournalWorld]):
    """One schedule of owners."""

    steps = 800
    traffic_steps = 0
    quiet_steps = 2_000

    def run(self) -> list[str]:
        found = super().run()
        if not self.roles[0].living[-1][1].idle:
            found.append("nobody can open the journal any more")
        return found


def journal(seed: int, owner: type[JournalOwner] = JournalOwner) -> JournalSchedule:
    """Kills, pauses, rebalances, up to four owners, unknown and late appends, trimmed logs, jumping clocks."""
    return JournalSchedule(JournalWorld(random.Random(seed)), violations, Role(owner, most=MAX_OWNERS))
