"""An event loop without sockets, threads or sleeps: its time is somebody else's, and each callback runs when it is told to.

One loop is one process. It runs callbacks in the order in which they became ready, as asyncio promises to code that runs on it;
which of several loops runs its next callback, and whether it ever does, is the caller's to say. So a process can be paused or
killed at any await, and a program that is never killed still runs as it does in earnest.
"""

import asyncio
import contextlib
import heapq
import sys
import warnings
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


_SWEPT = 64
"""So many tasks are kept before those that are done are looked for."""


class EndedError(BaseException):
    """The process has ended itself: nothing of it runs any more."""


_Base: Any = asyncio.AbstractEventLoop
"""Without its forty abstract methods, most of them about sockets and processes."""


class VirtualLoop(_Base):  # type: ignore[misc]
    """Runs the callbacks of one process. ``monotonic_ms`` and ``wall_ms`` are its clocks, milliseconds."""

    def __init__(self, monotonic_ms: Callable[[], int], wall_ms: Callable[[], int] | None = None) -> None:
        self.monotonic_ms = monotonic_ms
        self.wall_ms = wall_ms or monotonic_ms
        self.unhandled: list[BaseException] = []
        """Exceptions that nobody caught, of callbacks and of tasks that nobody asked."""
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbered = 0
        self._tasks: list[asyncio.Task[Any]] = []
        """In the order of their birth; of those that are done some."""
        self._most_tasks = _SWEPT
        self._ended = False
        self.owner: Any = None
        """Whatever stands for the process."""

    # -- for whoever drives it

    def turn(self) -> bool:
        """Runs the next callback; returns False if none is ready, or the process has ended."""
        if self._ended:
            return False
        if self._timers:
            self._wake()
        while self._ready:
            handle = self._ready.popleft()
            if not handle._cancelled:
                before = asyncio._get_running_loop()
                asyncio._set_running_loop(self)
                try:
                    handle._run()
                finally:
                    asyncio._set_running_loop(before)
                return True
        return False

    def end(self) -> None:
        """Nothing runs here any more: the process is gone, whatever it had under way."""
        self._ended = True

    def clear(self) -> None:
        """Takes down what an ended process had under way. Its clean-up code may not wait for anything, and is not heard."""
        hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            with warnings.catch_warnings(), self.running():
                warnings.simplefilter("ignore", RuntimeWarning)
                # In the order of their birth, for clean-up code draws from the seed; it may begin something of its own.
                while self._tasks:
                    begun, self._tasks = self._tasks, []
                    for task in begun:
                        if not task.done():
                            with contextlib.suppress(RuntimeError, EndedError):
                                task.get_coro().close()
                self._ready.clear()
                self._timers.clear()
        finally:
            sys.unraisablehook = hook

    @property
    def ended(self) -> bool:
        """Returns whether the process is gone."""
        return self._ended

    def finish(self, work: Coroutine[Any, Any, _T], *, idle: Callable[[], None], turns: int = 100_000) -> _T:
        """Runs until ``work`` is done and returns its result; ``idle`` lets time pass when nothing is ready."""
        task: asyncio.Task[_T] = self.create_task(work)
        for _ in range(turns):
            if self._ended:
                raise EndedError
            if task.done():
                return task.result()
            if not self.turn():
                idle()
        raise AssertionError("it does not come to an end")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """What is called meanwhile is called by this process."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(before)

    def _wake(self) -> None:
        now_s = self.time()
        while self._timers and self._timers[0][0] <= now_s:
            self._ready.append(heapq.heappop(self._timers)[2])

    # -- for the code that runs on it

    def time(self) -> float:
        """Seconds of its monotonic clock."""
        return self.monotonic_ms() / 1000

    def call_soon(
        self, callback: Callable[[*_Args], object], *args: *_Args, context: Context | None = None
    ) -> asyncio.Handle:
        """After everything that is ready now."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """In ``delay`` seconds."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Args], object],
        *args: *_Args,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """At ``when``; of two for the same moment the first comes first."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._numbered += 1
        heapq.heappush(self._timers, (when - 1e-9, self._numbered, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled one is passed over when its time has come."""

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> "asyncio.Task[Any]":
        """A task of this loop."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > self._most_tasks:
            self._tasks = [each for each in self._tasks if not each.done()]
            self._most_tasks = 2 * len(self._tasks) + _SWEPT
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keeps what nobody caught; a task that is destroyed while it waits belongs to a process that was killed."""
        error = context.get("exception")
        if error is not None:
            self.unhandled.append(error)

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """While one of its callbacks runs."""
        return asyncio._get_running_loop() is self

    def is_closed(self) -> bool:
        """After its end."""
        return self._ended


def running_loop() -> VirtualLoop:
    """Returns the loop of the process that runs now."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
