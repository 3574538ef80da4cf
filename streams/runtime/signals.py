"""Ends work early: by Ctrl-C, which cancels it once, so that it stops what it started, in order; or by an error."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
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


def stop_asked() -> asyncio.Event:
    """An event that SIGTERM and SIGINT set, for what ends in its own order."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def stop_on_interrupt(stop: Callable[[], None]) -> None:
    """The first Ctrl-C calls ``stop``, which ends the work in order; the second ends the program at once."""
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop()

    loop.add_signal_handler(signal.SIGINT, interrupted)


@contextlib.contextmanager
def first_error() -> Iterator[None]:
    """Around a task group: raises the first error alone. The others are its companions, and a sentence tells one cause."""
    try:
        yield
    except ExceptionGroup as group:
        error: Exception = group
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from None
