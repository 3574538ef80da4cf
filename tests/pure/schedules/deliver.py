"""One schedule of one shard's deliver: owners come, pause, overlap and die; at the end all is checked."""

from tests.pure.schedules.check import violations
from tests.pure.schedules.gateway import FencedError
from tests.pure.schedules.owner import DiedError, Owner
from tests.pure.schedules.world import PAUSE_MS, Runner, World

MAX_OWNERS = 4
STEPS = 700
QUIET_STEPS = 6_000


class Schedule:
    """A run by its seed."""

    def __init__(self, seed: int, owner: type[Owner] = Owner) -> None:
        self.world = World(seed)
        self._owner = owner
        self._runners: list[Runner] = []
        self._born = 0
        self.archive: list[bytes] = []

    def run(self) -> list[str]:
        """Every broken promise of this schedule."""
        world, rng = self.world, self.world.rng
        self._keep_all()
        for step in range(STEPS):
            world.weather()
            if step < STEPS - 150 and rng.random() < 0.03:
                world.publish()
            self._population()
            runner = self._pick()
            if runner is not None:
                self._step(runner)
        self._quiet()
        return violations(world, self.archive)

    def _keep_all(self) -> None:
        """The auditor's copy of the journal: trimming must not hide anything from the check."""
        append, archive = self.world.journal.append, self.archive

        def kept(at_ms: int, record: bytes) -> int:
            archive.append(record)
            return append(at_ms, record)

        self.world.journal.append = kept  # type: ignore[method-assign]

    def _population(self) -> None:
        rng = self.world.rng
        if not self._runners or (rng.random() < 0.02 and len(self._runners) < MAX_OWNERS):
            self._birth()
        if rng.random() < 0.012:
            self._death(self._runners[rng.randrange(len(self._runners))])
        for runner in self._runners:
            if rng.random() < 0.001:
                runner.skew_ms += rng.choice((-40, 40))

    def _birth(self) -> None:
        runner = Runner(seen_ms=self.world.now)
        self._born += 1
        owner = self._owner(self.world, runner, self._born)
        runner.tasks += [owner.serve(), owner.tail()]
        self._runners.append(runner)
        self._newest = owner
        self.world.group_owner = runner

    def _death(self, runner: Runner) -> None:
        self._runners.remove(runner)
        if runner.landing is not None and self.world.rng.random() < 0.5:
            self.world.late.append((self.world.now, *runner.landing))
        self.world.crashes += 1

    def _pick(self) -> Runner | None:
        if not self._runners:
            return None
        newest = self.world.rng.random() < 0.6
        return self._runners[-1] if newest else self.world.rng.choice(self._runners)

    def _step(self, runner: Runner) -> None:
        paused_ms, runner.seen_ms = self.world.now - runner.seen_ms, self.world.now
        if paused_ms > PAUSE_MS:
            self._death(runner)
            return
        task = self.world.rng.choice(runner.tasks)
        try:
            next(task)
        except StopIteration:
            runner.tasks.remove(task)
        except (DiedError, FencedError):
            self._death(runner)

    def _quiet(self) -> None:
        """No more faults: late appends land, the older owners get their last steps, one owner finishes everything."""
        world = self.world
        world.gateway.trouble = 0.0
        while world.late:
            world.land()
        for _ in range(60):
            world.now += 2
            if self._runners:
                self._step(world.rng.choice(self._runners))
        self._runners.clear()
        self._birth()
        for _ in range(QUIET_STEPS):
            world.now += 5
            if not self._runners:
                self._birth()
            self._step(self._runners[-1])
            if self._newest.idle:
                return
