"""What Ctrl-C means to a command that runs other programs: the work is cancelled once, and stops what it started, in order."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any


async def until_signalled(work: Coroutine[Any, Any, None]) -> bool:
    """Run ``work``; the first SIGINT or SIGTERM cancels it. Returns whether a signal ended it; ``work``'s errors are raised.

    Later signals change nothing: whatever is stopped has a deadline.
    """
    task = asyncio.ensure_future(work)
    signalled = asyncio.Event()

    def end() -> None:
        if not signalled.is_set():
            signalled.set()
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    try:
        await task
    except asyncio.CancelledError:
        if not signalled.is_set():
            raise
    return signalled.is_set()
