"""The less urgent lanes give way, by their process's priority and its session's, and touch nobody else's."""

import os
import subprocess
import sys

import pytest

from schemas.lanes import Lane
from streams.runtime.settings import load

_SAYS = """
import os
from pathlib import Path
from streams.runtime.priority import give_way
group = Path("/proc/self/autogroup")
before = group.read_text().split() if group.exists() else []
give_way({nice})
print(os.nice(0), *((group.read_text().split()[-1], before[-1]) if before else ("none", "none")))
"""


def _priorities(nice: int, *, leads: bool) -> tuple[int, str, str]:
    """Returns the priority of a new process that gave way, and that of its session after and before.

    A session's is "none" where the kernel does not weigh sessions, or not this one: the file is missing then, or empty.
    """
    command = [sys.executable, "-c", _SAYS.format(nice=nice)]
    done = subprocess.run(command, start_new_session=leads, capture_output=True, text=True, check=True)
    own, after, before = done.stdout.split()
    return int(own), after, before


@pytest.mark.parametrize("nice", [0, 5, 10])
def test_a_process_gives_way_and_its_own_session_with_it(nice: int) -> None:
    """Where the kernel weighs sessions, a process alone in its own would give way to nobody."""
    own, after, before = _priorities(nice, leads=True)
    assert (own, after) == (os.nice(0) + nice, "none" if before == "none" else str(nice))


def test_the_session_of_a_terminal_is_left_alone() -> None:
    """A worker that somebody starts by hand lowers itself, not the shell and all that is started from it."""
    own, after, before = _priorities(10, leads=False)
    assert (own, after) == (os.nice(0) + 10, before)


def test_codes_give_way_to_nobody_unless_told() -> None:
    """By lane, or one figure for a process."""
    assert [load().nice_of(lane) for lane in (Lane.OTP, Lane.UPDATE, Lane.CAMPAIGN)] == [0, 1, 3]
    assert load(nice=7).nice_of(Lane.CAMPAIGN) == 7
