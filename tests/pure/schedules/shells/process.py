"""A process that runs real code of ``streams/`` under the scheduler: a loop of its own, the time of the world, a crash-only end.

One step of the scheduler is a few callbacks of its loop: it is paused, overtaken and killed between any two of them. While a
schedule runs, the clock is the world's, clients of Kafka are those in memory, and ``fatal`` ends the process that calls it.
"""

import contextlib
import logging
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import structlog

from streams.kafka import clients
from streams.runtime import clock, exits
from streams.runtime.exits import Exit
from tests.pure.schedules.runner import DiedError, Runner, Steps
from tests.pure.schedules.stage import Role, Schedule, World
from tests.support.kafka_clients import Cluster
from tests.support.virtual_loop import EndedError, VirtualLoop, running_loop

_MOST_TURNS = 40

StandIn = tuple[Any, str, Any]
"""A module, a name in it, and what stands there while a schedule runs."""


class ShellWorld(World):
    """A world with a broker in it."""

    cluster: Cluster

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self.loops: list[VirtualLoop] = []
        """Of every process there has been."""
        self.generations = 0
        """Assignments so far."""
        self.calmed = False
        """Nothing fails any more."""

    def carry(self) -> None:
        self.cluster.carry()

    def rebalanced(self) -> None:
        """Everybody has let go of the shard; here it comes back to who had it."""

    def calm(self) -> None:
        self.calmed = True
        self.cluster.lost = 0.0
        self.cluster.choices_ms = self.cluster.append_choices_ms = (0,)


Outside = TypeVar("Outside", bound=ShellWorld)


class ShellProcess:
    """One process. A subclass says in :meth:`run` what it does until it is killed."""

    watches_clock = True
    stand_ins: Sequence[StandIn] = ()
    """What a planted bug puts in the place of real code."""
    ended_by: Exit | None = None
    """Why it ended itself."""
    told: Mapping[str, object] = {}
    """And what it says about it."""

    def __init__(self, world: ShellWorld, runner: Runner, number: int) -> None:
        self.outside = world
        self.runner = runner
        self.number = number
        self.loop = VirtualLoop(lambda: world.now, lambda: world.now + runner.skew_ms)
        self.loop.owner = self
        world.loops.append(self.loop)
        self._main = self.loop.create_task(self.run())

    @classmethod
    def stands(cls) -> tuple[StandIn, ...]:
        """What stands in the place of real code while a schedule of this process runs."""
        return tuple(cls.stand_ins)

    async def run(self) -> None:
        """For ever."""
        raise NotImplementedError

    def tasks(self) -> list[Steps]:
        """Its loop's callbacks, a few at a time."""
        return [self._turns()]

    def _turns(self) -> Steps:
        draw = self.outside.rng.random
        try:
            while True:
                yield
                for _ in range(1 + int(draw() * draw() * _MOST_TURNS)):
                    self.outside.carry()
                    if not self.loop.turn():
                        break
                if self.loop.ended:
                    raise DiedError(self.ended_by)
                if self._main.done():
                    self._main.result()
                    raise AssertionError("it came to an end by itself")
        finally:
            self.loop.end()


def _stands(make: type) -> tuple[StandIn, ...]:
    return make.stands() if issubclass(make, ShellProcess) else ()


class ShellSchedule(Schedule[Outside]):
    """A schedule of processes that are :class:`ShellProcess`."""

    def __init__(self, world: Outside, check: Callable[[Outside], list[str]], *roles: Role[Outside]) -> None:
        super().__init__(world, check, *roles)
        self._stand_ins = [each for role in roles if isinstance(role.make, type) for each in _stands(role.make)]

    def run(self) -> list[str]:
        with in_memory(self.world, *self._stand_ins):
            found = super().run()
        for loop in self.world.loops:
            if loop.owner.ended_by is Exit.CRASHED:
                raise AssertionError(f"a process crashed: {loop.owner.told}")
        return found


def fatal(code: Exit, **fields: object) -> NoReturn:
    """Ends the process that runs, in the place of :func:`streams.runtime.exits.fatal`."""
    loop = running_loop()
    if not loop.ended:
        loop.owner.ended_by, loop.owner.told = code, {"error": repr(sys.exc_info()[1]), **fields}
        loop.end()
    raise EndedError(code.name)


@contextlib.contextmanager
def standing(*stand_ins: StandIn) -> Iterator[None]:
    """Puts each stand-in in its place for as long as the block runs."""
    before = [(module, name, getattr(module, name)) for module, name, _ in stand_ins]
    for module, name, stand_in in stand_ins:
        setattr(module, name, stand_in)
    try:
        yield
    finally:
        for module, name, original in reversed(before):
            setattr(module, name, original)


@contextlib.contextmanager
def in_memory(world: ShellWorld, *others: StandIn) -> Iterator[None]:
    """The world in which the shells run: ``others`` are (module, name, stand-in) that stand while it does."""
    stand_ins: list[StandIn] = [
        (clock, "now_ms", lambda: running_loop().wall_ms()),
        (clock, "monotonic_ms", lambda: running_loop().monotonic_ms()),
        (clients, "consumer", world.cluster.consumer),
        (clients, "producer", world.cluster.producer),
        (clients, "led", world.cluster.led),
        *((module, "fatal", fatal) for module in _modules_with(exits.fatal)),
        *others,
    ]
    configured = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        with standing(*stand_ins):
            try:
                yield
            finally:
                for loop in world.loops:
                    loop.clear()
    finally:
        structlog.configure(**configured)


def _modules_with(function: Callable[..., NoReturn]) -> list[Any]:
    """Every module that calls ``fatal`` by a name of its own."""
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("streams.") and getattr(module, "fatal", None) is function
    ]
