"""Lets a replayed day out against the clock, at a chosen speed.

Owns the schedule: an event that happened d after the first is due d / speed after the replay began, whatever became of
those before it. Such an open loop does not slow down when what it feeds is slow, so latency is measured as people would
feel it and not as a polite generator would (the error is known as coordinated omission). The time to wait is looked up
afresh for each event, so that a late one never makes the next later.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from streams.dev.sources.timed import Timed

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
