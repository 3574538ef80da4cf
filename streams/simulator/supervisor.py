"""Keeps the listener processes alive: a killed one comes back in its place, all end together."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from streams.runtime.exits import Exit
from streams.runtime.signals import stop_asked
from streams.runtime.supervisor import Process, ProcessPlan

REFUSALS: Final = frozenset({0, 1, 2, Exit.REFUSED_START})
"""Exit statuses of a listener that cannot be what it is asked to be, or was told to stop."""
_STOP_S: Final = 5


async def keep_alive(plans: Sequence[ProcessPlan]) -> int:
    """Run all ``plans`` until SIGINT or SIGTERM, or until one of them refuses to start; returns the exit status."""
    stop = stop_asked()

    def changed() -> None:
        if any(process.refused for process in kept):
            stop.set()

    kept = [Process(plan, say=_say, changed=changed) for plan in plans]
    await asyncio.gather(*(process.start() for process in kept))
    await stop.wait()
    await asyncio.gather(*(process.stop(grace_s=_STOP_S) for process in kept))
    return max(0, *(process.ended[-1].status for process in kept))


def _say(sentence: str) -> None:
    print(f"fanfare gateway: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - its terminal is the command's
