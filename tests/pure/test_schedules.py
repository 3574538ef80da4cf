"""The scheduler over the real journals and stages: no schedule breaks a promise, and each planted bug is caught."""

import pytest

from tests.pure.schedules.kinds import MUTANTS, Kind, breaks_a_promise
from tests.pure.schedules.run import run

SCHEDULES = 2_000
BUG_SEEDS = 300


def test_no_schedule_breaks_a_promise() -> None:
    """Kills, pauses, up to four owners, unknown and late appends, churn, STOPs, trimmed logs, clock jumps: 2,000 seeds."""
    found = [each for _, batch in run(SCHEDULES, 0, 2) for each in batch]
    assert not found, found[:3]


@pytest.mark.parametrize("kind", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_planted_bug_is_caught(kind: Kind) -> None:
    """A process that breaks one rule is found within a bounded number of seeds."""
    assert any(breaks_a_promise(kind, seed) for seed in range(BUG_SEEDS)), "it went unnoticed"
