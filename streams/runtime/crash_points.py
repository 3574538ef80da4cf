"""Dying on purpose at a named point: how tests prove that a kill at any moment loses nothing and repeats nothing.

``FANFARE_CRASH_AT=deliver.decided:3`` kills the process with SIGKILL when it comes to that point for the third time; without
a number the first time. Several are separated by commas. Unset, a point costs a look-up. The points that exist are the
calls of :func:`point`; a name that no call has never fires.
"""

import os
import signal
from functools import cache

from streams.runtime import settings


def point(name: str) -> None:
    """The process dies here if the settings say so."""
    left = _armed()
    if name in left:
        left[name] -= 1
        if left[name] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def armed(name: str) -> bool:
    """Returns whether the process is going to die at that point."""
    return name in _armed()


def parse(crash_at: str) -> dict[str, int]:
    """Point -> how many times it must be reached; ``ValueError`` for a number that is none."""
    named = (entry.strip().partition(":") for entry in crash_at.split(",") if entry.strip())
    return {name: int(times or "1") for name, _, times in named}


@cache
def _armed() -> dict[str, int]:
    return parse(settings.load().crash_at)
