"""The watchdog in a process of its own: which standstills and which jumps of the clock end it, and with which status."""

import asyncio
import sys
from pathlib import Path

import pytest

from streams.runtime.exits import Exit

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("what", "amount_ms", "status"),
    [
        pytest.param("jump", 6_000, Exit.CLOCK_JUMP, id="the clock is set forward"),
        pytest.param("jump", -6_000, Exit.CLOCK_JUMP, id="the clock is set back"),
        pytest.param("jump", 4_000, 0, id="the clock is corrected a little"),
        pytest.param("block", 5_000, Exit.WATCHDOG, id="the main loop is blocked"),
        pytest.param("late", 100, Exit.DEADLINE, id="it should have been gone"),
    ],
)
async def test_what_ends_a_process(what: str, amount_ms: int, status: int) -> None:
    """Five seconds between wall clock and monotonic clock, the patience of the loop, and a promised end."""
    command = (sys.executable, "-m", "tests.kafka.programs.watched", what, str(amount_ms))
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        _, said = await process.communicate()
    assert process.returncode == status
    assert (what == "block") == (b"programs/watched.py:" in said), "a blocked loop is shown where it stands"
