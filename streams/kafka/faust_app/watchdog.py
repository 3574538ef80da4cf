"""A thread that ends the process when it stood still: stopped, swapped out, starved, or with its main loop blocked.

The group cannot be relied on to notice. A stopped process finds its next heartbeat refused only after it has handed out
what lay in its buffers; a blocked main loop is not noticed at all, because heartbeats come from another thread. A
thread that sleeps 50 ms at a time knows at once when it wakes too late. It also ends the process when wall clock and
monotonic clock drift apart by more than five seconds between two looks, since decisions would be stamped with a time
that others do not have (PROTOCOL.md section 1.3, row 24).
"""

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable

from streams.runtime import clock, log
from streams.runtime.exits import Exit, fatal

_TICK_S = 0.05
_CLOCK_JUMP_MS = 5_000


class Watchdog:
    """Watches one process. ``patience_ms``: half the session time-out. ``now_ms`` is the wall clock."""

    def __init__(self, patience_ms: int, now_ms: Callable[[], int] = clock.now_ms) -> None:
        self._patience_ms = patience_ms
        self._now_ms = now_ms
        self._loop_seen_ms = clock.monotonic_ms()
        self._deadline_ms: int | None = None
        self._step = ""
        self._pause = threading.Event()  # never set: its wait is a sleep that needs no clock module
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Watch from now on; call in the main loop."""
        self._beat(asyncio.get_running_loop())
        self._thread.start()

    def end_within(self, patience_ms: int, step: str) -> None:
        """The process must be gone in ``patience_ms``; ``step`` says in the log what it was busy with."""
        self._step = step
        self._deadline_ms = clock.monotonic_ms() + patience_ms

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop_seen_ms = clock.monotonic_ms()
        loop.call_later(_TICK_S, self._beat, loop)

    def _watch(self) -> None:
        looked_ms = clock.monotonic_ms()
        skew_ms = self._now_ms() - looked_ms
        while True:
            self._pause.wait(_TICK_S)
            now_ms = clock.monotonic_ms()
            still_ms = max(now_ms - looked_ms, now_ms - self._loop_seen_ms)
            if still_ms > self._patience_ms:
                # A thread that came late too tells of a process that got no processor; one in time, of a busy loop, and where.
                here = main_loop_at() if now_ms - looked_ms < self._patience_ms else ""
                fatal(
                    Exit.WATCHDOG,
                    still_ms=still_ms,
                    thread_ms=now_ms - looked_ms,
                    patience_ms=self._patience_ms,
                    at=here,
                )
            if self._deadline_ms is not None and now_ms > self._deadline_ms:
                fatal(Exit.DEADLINE, step=self._step)
            was_ms, skew_ms = skew_ms, self._now_ms() - now_ms
            if abs(skew_ms - was_ms) > _CLOCK_JUMP_MS:
                fatal(Exit.CLOCK_JUMP, jump_ms=skew_ms - was_ms)
            looked_ms = now_ms


def main_loop_at() -> str:
    """Returns what the main thread is doing, innermost call first: ``file:line function``, six of them."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 - documented for debuggers alone
    return " < ".join(log.places(traceback.extract_stack(frame))[:-7:-1]) if frame is not None else ""
