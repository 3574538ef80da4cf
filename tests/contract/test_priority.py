"""The less urgent lanes give way, by their process's priority and its session's, and touch nobody else's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.ids import Lane
from streams.runtime.settings import load

_GROUP = Path("/proc/self/autogroup")
_SAYS = """
import os
from pathlib import Path
from streams.runtime.priority import give_way
give_way({nice})
group = Path("/proc/self/autogroup")
print(os.nice(0), group.read_text().split()[-1] if group.exists() else "none")
"""


def _priorities(nice: int, *, leads: bool) -> list[str]:
    """Returns the priority of a new process that gives way, and that of its session."""
    command = [sys.executable, "-c", _SAYS.format(nice=nice)]
    done = subprocess.run(command, start_new_session=leads, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("nice", [0, 5, 10])
def test_a_process_gives_way_and_its_own_session_with_it(nice: int) -> None:
    """Where the kernel weighs sessions, a process alone in its own would give way to nobody."""
    session = str(nice) if _GROUP.exists() else "none"
    assert _priorities(nice, leads=True) == [str(os.nice(0) + nice), session]


def test_the_session_of_a_terminal_is_left_alone() -> None:
    """A worker that somebody starts by hand lowers itself, not the shell and all that is started from it."""
    before = _GROUP.read_text(encoding="ascii").split()[-1] if _GROUP.exists() else "none"
    assert _priorities(10, leads=False) == [str(os.nice(0) + 10), before]


def test_codes_give_way_to_nobody_unless_told() -> None:
    """By lane, or one figure for a process."""
    assert [load().nice_of(lane) for lane in (Lane.OTP, Lane.UPDATE, Lane.CAMPAIGN)] == [0, 1, 3]
    assert load(nice=7).nice_of(Lane.CAMPAIGN) == 7
