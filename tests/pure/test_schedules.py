"""The scheduler over the real journals and stages: no schedule breaks a promise, and each planted bug is caught."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

import pytest

from tests.pure.schedules.deliver.schedule import deliver
from tests.pure.schedules.kinds import MUTANTS
from tests.pure.schedules.plan.schedule import plan
from tests.pure.schedules.run import JOBS, caught_at, run, seldom_collect
from tests.pure.schedules.settle.schedule import settle
from tests.pure.schedules.shells.journal import journal
from tests.pure.schedules.shells.process import ShellSchedule

SCHEDULES = 2_000
A_TEST = 250
"""So many are far from a test's time limit on a slow machine, too."""
BUG_SEEDS = 800


@pytest.mark.parametrize("seed", range(0, SCHEDULES, A_TEST))
def test_no_schedule_breaks_a_promise(seed: int) -> None:
    """Kills, pauses, up to four owners, unknown and late appends, churn, STOPs, trimmed logs, clock jumps: 2,000 seeds."""
    found = [each for _, batch in run(A_TEST, seed, JOBS) for each in batch]
    assert not found, found[:3]


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    """Those that run schedules."""
    with ProcessPoolExecutor(JOBS, initializer=seldom_collect) as pool:
        yield pool


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_bug_is_caught(mutant: str, processes: Executor) -> None:
    """A process that breaks one rule is found within a bounded number of seeds."""
    assert caught_at(mutant, BUG_SEEDS, processes) is not None, "it went unnoticed"


@pytest.mark.parametrize("schedule", [plan, deliver, settle, journal])
def test_a_seed_gives_the_same_schedule(schedule: Callable[[int], ShellSchedule[Any]]) -> None:
    """Down to the last draw, wherever objects happen to lie: else what a seed has found cannot be looked at."""

    def draws(seed: int) -> list[object]:
        run = schedule(seed)
        run.run()
        return [run.world.rng.getstate(), run.world.now]

    elsewhere = []
    for seed in range(12):
        first = draws(seed)
        elsewhere.append([object() for _ in range(1_001 * seed)])
        assert draws(seed) == first, seed
