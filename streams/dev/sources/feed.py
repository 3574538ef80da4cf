"""Publishes a replay at a chosen speed: many events in flight, those about one subject in order, and a count of what was done.

Owns the bound on memory: when `IN_FLIGHT` events wait for their acknowledgement the replay waits as well, falls behind
its schedule, and says by how much.

Owns the schedule: an event that happened d after the first is due d / speed after the replay began, whatever became of
those before it. Such an open loop does not slow down when what it feeds is slow, so latency is measured as people would
feel it and not as a polite generator would (the error is known as coordinated omission). The time to wait is looked up
afresh for each event, so that a late one never makes the next later.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from streams.dev.sources.timed import Timed
from streams.runtime.signals import first_error

BREATH: Final = 64
"""Without a wait between them, the loop is given to others once in so many events."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Gives a replay its time: milliseconds since the epoch, and a sleep in seconds that may return early."""

    now_ms: Callable[[], int]
    """Reads the time, milliseconds since the epoch."""
    sleep: Callable[[float], Awaitable[None]]


async def replay(stream: Iterable[Timed], *, speed: float | None, clock: Clock) -> AsyncIterator[Timed]:
    """The events of `stream`, each no earlier than it is due, stamped with the instant at which it is let out.

    `speed` 60 replays an hour in a minute; None lets out everything as fast as it is taken. The `at_ms` of what is
    yielded is when it was due on the wall clock, so that `now - at_ms` is how far the replay is behind. Reads `stream`
    lazily: one event at a time is held.
    """
    if speed is not None and speed <= 0:
        raise ValueError("a speed is above 0")
    begun_ms = clock.now_ms()
    first_ms: int | None = None
    for count, event in enumerate(stream):
        first_ms = event.at_ms if first_ms is None else first_ms
        now_ms = clock.now_ms()
        due_ms = now_ms if speed is None else begun_ms + round((event.at_ms - first_ms) / speed)
        if due_ms > now_ms or count % BREATH == 0:
            await clock.sleep(max(0, due_ms - now_ms) / 1000)
        yield replace(event, at_ms=due_ms).released(clock.now_ms())


IN_FLIGHT: Final = 256
"""Enough to keep a producer's batches full at a few milliseconds an acknowledgement; small enough to hold in memory."""

Publish: TypeAlias = Callable[[Timed], Awaitable[None]]
"""Publishes one event and returns once it is acknowledged; whatever it raises ends the feed."""


@dataclass(slots=True)
class Tally:
    """Counts what a feed has done: `behind_ms` is how late the last event was let out, `worst_ms` the worst of all."""

    published: Counter[str] = field(default_factory=Counter)
    behind_ms: int = 0
    """Milliseconds by which the last event was late."""
    worst_ms: int = 0
    """Milliseconds by which the latest of all was late."""

    def late(self, by_ms: int) -> None:
        """An event was let out `by_ms` after it was due."""
        self.behind_ms = max(0, by_ms)
        self.worst_ms = max(self.worst_ms, by_ms)


class Feed:
    """Lets the events of a replay out at their times. `now_ms` is the clock; `run` may be called once."""

    def __init__(self, publish: Publish, *, now_ms: Callable[[], int], in_flight: int = IN_FLIGHT) -> None:
        self.tally = Tally()
        self.clock = Clock(now_ms, self._pause)
        self._publish = publish
        self._room = asyncio.Semaphore(in_flight)
        self._stopping = asyncio.Event()
        self._last: dict[str, asyncio.Task[None]] = {}

    def stop(self) -> None:
        """Let out nothing more; `run` returns when what is in flight has been acknowledged."""
        self._stopping.set()

    @property
    def in_flight(self) -> int:
        """Returns how many events wait for their acknowledgement."""
        return len(self._last)

    @property
    def stopped(self) -> bool:
        """Returns whether `stop` was called."""
        return self._stopping.is_set()

    async def run(self, replaying: AsyncIterator[Timed]) -> Tally:
        """Publish everything of `replaying`, which `clock` paces; raises the first error of publishing."""
        with first_error():
            async with asyncio.TaskGroup() as tasks:
                async for event in replaying:
                    await self._room.acquire()
                    if self.stopped:
                        break
                    self.tally.late(self.clock.now_ms() - event.at_ms)
                    self._last[event.thread] = tasks.create_task(self._one(event, self._last.get(event.thread)))
        return self.tally

    async def _one(self, event: Timed, before: asyncio.Task[None] | None) -> None:
        try:
            if before is not None:
                await before
            await self._publish(event)
            self.tally.published[event.event["data"].get("template", "opt-in")] += 1
        finally:
            self._room.release()
            if self._last.get(event.thread) is asyncio.current_task():
                del self._last[event.thread]

    async def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than until `stop`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
