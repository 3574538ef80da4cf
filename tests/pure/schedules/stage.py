"""The scheduler: processes of one stage are born, paused, overtaken and killed; in the end all is checked."""

import random
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from tests.pure.schedules.runner import DiedError, Runner, Steps

START_MS = 1_900_000_000_000
_HOUR_MS = 3_600_000
_BORN_WRONG = 0.08
"""How often a process is started before anybody has set its clock: an hour ahead, or behind."""


class World:
    """Everything outside of a stage's processes. ``rng`` decides; the same seed gives the same run."""

    pause_ms = 700
    """The watchdog: a process that stood still for longer ends itself. Far below F, as half a session time-out is in earnest."""
    skew_ms = 40
    """How far a wall clock drifts at a time, unnoticed."""
    quiet_step_ms = 5
    """How fast time goes once no more faults happen."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = START_MS
        self.group_owner: Runner | None = None

    def weather(self) -> None:
        """What happens to anybody between two steps."""
        raise NotImplementedError

    def traffic(self) -> None:
        """What somebody asks of the stage between two steps."""

    def carry(self) -> None:
        """What is on its way arrives, if it is due."""

    def calm(self) -> None:
        """From here on nothing fails."""


class Process(Protocol):
    """What the scheduler asks of a process."""

    watches_clock: bool
    """Whether a watchdog ends it when its wall clock jumps."""

    def tasks(self) -> list[Steps]:
        """What it does side by side."""

    @property
    def idle(self) -> bool:
        """Whether everything there is to do is done."""


Outside = TypeVar("Outside", bound=World)


class Role(Generic[Outside]):
    """One kind of process, and those that are alive. At most ``most`` of them believe that the work is theirs."""

    def __init__(self, make: Callable[[Outside, Runner, int], Process], *, most: int, grouped: bool = True) -> None:
        self.make = make
        self.most = most
        self.grouped = grouped
        """Whether the newest is the one whose commits the group takes."""
        self.living: list[tuple[Runner, Process]] = []
        self.born = 0


class Schedule(Generic[Outside]):
    """A run of one world by one seed. ``check`` names every broken promise in a sentence."""

    steps = 400
    traffic_steps = 320
    """Nobody asks for anything after so many steps."""
    quiet_steps = 6_000

    def __init__(self, world: Outside, check: Callable[[Outside], list[str]], *roles: Role[Outside]) -> None:
        self.world = world
        self.check = check
        self.roles = roles

    def run(self) -> list[str]:
        """Every broken promise of this schedule."""
        world = self.world
        for step in range(self.steps):
            world.weather()
            world.carry()
            if step < self.traffic_steps:
                world.traffic()
            for role in self.roles:
                self._population(role)
            self._move(self.roles[int(world.rng.random() * len(self.roles))])
        self._quiet()
        return self.check(world)

    def _population(self, role: Role[Outside]) -> None:
        draw = self.world.rng.random
        living = role.living
        if not living or (draw() < 0.02 and len(living) < role.most):
            self._birth(role)
        if draw() < 0.012:
            self._death(role, int(draw() * len(living)))
        if draw() < 0.003 and living:
            runner = living[int(draw() * len(living))][0]
            far_ms = _HOUR_MS if draw() < 0.3 else self.world.skew_ms
            runner.skew_ms += far_ms if draw() < 0.5 else -far_ms

    def _birth(self, role: Role[Outside]) -> None:
        draw = self.world.rng.random
        skew_ms, luck = 0, draw()
        if luck < 0.3:
            skew_ms = int((2 * draw() - 1) * self.world.skew_ms)
        elif luck >= 1 - _BORN_WRONG:
            skew_ms = _HOUR_MS if draw() < 0.5 else -_HOUR_MS
        # Its watchdog sees jumps from there on, not how far off the clock was.
        runner = Runner(seen_ms=self.world.now, skew_ms=skew_ms, trusted_skew_ms=skew_ms)
        role.born += 1
        if role.grouped:
            self.world.group_owner = runner
        process = role.make(self.world, runner, role.born)
        runner.tasks += process.tasks()
        role.living.append((runner, process))

    def _death(self, role: Role[Outside], at: int) -> None:
        runner, _ = role.living.pop(at)
        _kill(runner)

    def _move(self, role: Role[Outside]) -> None:
        """The newest takes the next step more often than not, or anybody does."""
        if role.living:
            draw = self.world.rng.random
            self._step(role, len(role.living) - 1 if draw() < 0.6 else int(draw() * len(role.living)))

    def _step(self, role: Role[Outside], at: int) -> None:
        world = self.world
        runner, process = role.living[at]
        paused_ms, runner.seen_ms = world.now - runner.seen_ms, world.now
        if paused_ms > world.pause_ms or (process.watches_clock and runner.jumped()):
            self._death(role, at)
            return
        task = runner.tasks[int(world.rng.random() * len(runner.tasks))]
        try:
            next(task)
        except StopIteration:
            runner.tasks.remove(task)
        except DiedError:
            self._death(role, at)

    def _quiet(self) -> None:
        """No more faults: the older get their last steps, then one of each role finishes everything."""
        world = self.world
        world.calm()
        for _ in range(60):
            world.now += 2
            world.carry()
            self._move(self.roles[int(world.rng.random() * len(self.roles))])
        for role in self.roles:
            while role.living:
                _kill(role.living.pop()[0])
        for step in range(self.quiet_steps):
            world.now += world.quiet_step_ms
            world.carry()
            role = self.roles[step % len(self.roles)]
            if not role.living:
                self._birth(role)
            self._step(role, -1)
            if all(each.living and each.living[-1][1].idle for each in self.roles):
                return


def _kill(runner: Runner) -> None:
    for task in runner.tasks:
        task.close()
