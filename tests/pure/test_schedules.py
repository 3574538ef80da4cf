"""The scheduler over the real journal and deliver: no schedule breaks a promise, and each planted bug is caught."""

import pytest

from tests.pure.schedules.deliver import Schedule
from tests.pure.schedules.mutants import MUTANTS
from tests.pure.schedules.owner import Owner
from tests.pure.schedules.run import run

SCHEDULES = 2_000
BUG_SEEDS = 300


def test_no_schedule_breaks_a_promise() -> None:
    """Kills, pauses, up to four owners, unknown and late appends, churn, STOPs, trimmed logs: 2,000 seeds."""
    found = [each for _, batch in run(SCHEDULES, 0, 2) for each in batch]
    assert not found, found[:3]


@pytest.mark.parametrize("owner", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_planted_bug_is_caught(owner: type[Owner]) -> None:
    """An owner that breaks one rule is found within a bounded number of seeds."""
    assert any(_breaks(seed, owner) for seed in range(BUG_SEEDS)), f"{owner.__name__} went unnoticed"


def _breaks(seed: int, owner: type[Owner]) -> bool:
    try:
        return bool(Schedule(seed, owner).run())
    except (AssertionError, ValueError, KeyError, IndexError):
        return True  # a state that cannot be: the bug showed in the code itself
