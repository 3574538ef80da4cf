"""A member of a lane's group: what the kernel (``streams/kafka/faust_app``) does around a stage, over the world's group.

It is assigned a shard, is delivered the inputs from the committed offset on, commits what is finished, is known to the group by
its heartbeats, and loses the shard at some moment: told so or not, for good or for a moment. The bookkeeping is the kernel's own
(:class:`~streams.kafka.faust_app.commits.CommitTracker`).
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple

from msgspec.structs import replace

from streams.kafka.faust_app.commits import CommitTracker, Place
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.journal_terms import JournalTerms
from streams.runtime import clock
from streams.runtime.exits import Exit
from tests.pure.schedules.log import Log
from tests.pure.schedules.runner import Runner
from tests.pure.schedules.shells.process import ShellProcess, ShellWorld, fatal

_BITE: Final = 4
_FRESH_MS: Final = 2_000
"""As in the kernel: how old an answer about the end of an input may be."""
_TOLD: Final = 0.2
"""How often a heartbeat tells whoever has lost the shard."""
_SILENT: Final = 0.01
"""How often the coordinator of the group is away for a while."""
_RETURNED: Final = 0.01
"""How often whoever has lost the shard is given it again."""


class Input(NamedTuple):
    """An input of a stage in its log: the records of a range, of no generation, and the end."""

    read: Callable[[int, int], list[Delivered]]
    end: Callable[[], int]

    def answer(self, start: int, stop: int) -> tuple[list[Delivered], int]:
        """What a fetch brings."""
        return self.read(start, stop), self.end()

    @classmethod
    def of(cls, place: Place, log: Log) -> "Input":
        """An input whose records stand in ``log`` as they are given."""

        def read(start: int, stop: int) -> list[Delivered]:
            return [Delivered(*place, one.offset, one.at_ms, None, one.record, (), 0) for one in log.read(start, stop)]

        return cls(read, lambda: log.end)


class Member(ShellProcess):
    """One process of the group. A subclass has a stage's shell."""

    rebalanced = 0.02
    """How often a heartbeat is answered with a rebalance after which the shard comes back, or goes to another."""

    def __init__(self, world: ShellWorld, runner: Runner, number: int) -> None:
        self.tracker = CommitTracker()
        self._ends: dict[Place, tuple[int, int]] = {}
        """End of each input, and when it was heard of."""
        self.heard_ms = 0
        """Monotonic time at which the group last showed that it knows this member."""
        self.beat_ms = world.pause_ms // 20
        super().__init__(world, runner, number)

    # -- what a stage says

    @property
    @abstractmethod
    def inputs(self) -> Mapping[Place, Input]:
        """The inputs of the stage."""

    @abstractmethod
    def committed_offset(self, place: Place) -> int:
        """What the group has stored."""

    @abstractmethod
    def store(self, place: Place, offset: int) -> None:
        """The group stores an offset."""

    @abstractmethod
    async def start(self) -> None:
        """Connect."""

    @abstractmethod
    def assigned(self, terms: JournalTerms) -> None:
        """The shard is ours."""

    @abstractmethod
    async def revoked(self) -> None:
        """The shard is not ours any more."""

    @abstractmethod
    def deliver(self, record: Delivered) -> None:
        """An input."""

    # -- what the kernel gives a stage

    def done(self, record: Delivered) -> None:
        """A record has been taken over."""
        self.tracker.done((record.topic, record.partition), record.offset, record.generation)

    def stored(self, topic: str, partition: int) -> int | None:
        """The offset that the group has acknowledged."""
        return self.tracker.stored((topic, partition))

    def read_to_end(self, place: Place) -> bool:
        """Whether all of an input is taken over, as of an answer that the broker gave just now."""
        end, at_ms = self._ends.get(place, (0, -_FRESH_MS))
        fresh = clock.monotonic_ms() - at_ms < _FRESH_MS
        return fresh and (self.tracker.position(place) or 0) >= end

    def heartbeat_age_ms(self) -> int:
        """Since the group last showed that it knows this member."""
        return clock.monotonic_ms() - self.heard_ms

    def fit_to_send(self) -> bool:
        """As ``LaneWorker`` asks it: half a session."""
        return self.heartbeat_age_ms() < self.outside.pause_ms

    # -- the kernel

    async def run(self) -> None:
        await self.start()
        while True:
            while not await self._known():
                if self._happens(_RETURNED):
                    self.outside.group_owner = self.runner
                await self._nap(self.beat_ms)
            await self._serve()

    async def _serve(self) -> None:
        """One assignment."""
        world = self.outside
        world.generations += 1
        generation = world.generations
        self.heard_ms = clock.monotonic_ms()
        self._ends.clear()
        self.tracker.begin(generation)
        asked = partial(world.cluster.ask, lambda: self._is_member(generation))
        self.assigned(JournalTerms(generation, lambda: self.tracker.generation == generation, asked))
        tasks = [self.loop.create_task(self._read(place, generation)) for place in self.inputs]
        tasks.append(self.loop.create_task(self._commit(generation)))
        while True:
            await self._nap(self.beat_ms)
            if self._happens(_SILENT):
                await self._nap(int(3 * world.rng.random() * world.pause_ms))
            known = await self._known()
            if self._happens(self.rebalanced if known else _TOLD):
                break
            if known:
                self.heard_ms = clock.monotonic_ms()
        await self.revoked()
        if known and not world.calmed:
            world.rebalanced()
        self.tracker.forget()
        for task in tasks:
            task.cancel()

    def _happens(self, often: float) -> bool:
        return not self.outside.calmed and self.outside.rng.random() < often

    async def _known(self) -> bool:
        return await self.outside.cluster.ask(lambda: self.outside.group_owner is self.runner)

    async def _read(self, place: Place, generation: int) -> None:
        cluster, read = self.outside.cluster, self.inputs[place].answer
        position = await cluster.ask(lambda: self.committed_offset(place))
        self.tracker.reset(place, position)
        while True:
            stop = position + 1 + int(self.outside.rng.random() * _BITE)
            records, end = await cluster.ask(partial(read, position, stop))
            if self.tracker.generation != generation:
                return
            self._ends[place] = end, clock.monotonic_ms()
            for record in records:
                self.tracker.delivered(place, record.offset, at_ms=clock.monotonic_ms())
                self.deliver(replace(record, generation=generation))
                position = record.offset + 1
            if not records:
                await self._nap(self.beat_ms)

    async def _commit(self, generation: int) -> None:
        while True:
            await self._nap(int(self.outside.rng.random() * 2 * self.beat_ms))
            due = self.tracker.due(self.inputs)
            if due and not await self.outside.cluster.ask(partial(self._commit_at_broker, due, generation)):
                fatal(Exit.COMMIT_REFUSED, generation=generation)
            self.tracker.committed(due, generation)

    def _is_member(self, generation: int) -> bool:
        return self.outside.group_owner is self.runner and self.outside.generations == generation

    def _commit_at_broker(self, due: Mapping[Place, int], generation: int) -> bool:
        if not self._is_member(generation):
            return False
        for place, offset in due.items():
            self.store(place, offset)
        return True

    @staticmethod
    async def _nap(ms: int) -> None:
        await asyncio.sleep(ms / 1000)
