"""Lets a schedule out: each event when it is due or as soon after as can be, its latency counted from when it was due.

Owns the bound on memory. Kafka's pauses make events late, and late events count as such: nothing is skipped or slowed.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from schemas.ids import Lane
from streams.client import ClientError, Event
from streams.dev.recordings.files import Entry
from streams.dev.recordings.latencies import Latencies
from streams.dev.recordings.preparation import Shifts, rewritten
from streams.dev.recordings.result import Result, result_of

IN_FLIGHT: Final = 20_000
"""So many events may wait for their acknowledgement: seconds of a fast replay, and tens of megabytes."""

Enqueue = Callable[[Lane, Event, Mapping[str, str]], Awaitable[Awaitable[object]]]
"""Takes an event into the queue of its partition, in the order of calls; the inner result is Kafka's acknowledgement."""


class Clock(NamedTuple):
    """Wall and monotonic milliseconds."""

    now_ms: Callable[[], int]
    """Reads the wall clock, milliseconds since the epoch."""
    monotonic_ms: Callable[[], int]
    """Reads the monotonic clock, milliseconds; only differences mean something."""


class Replay:
    """Plays a recording; ``run`` may be called once.

    ``name`` goes into every source, from the second loop on with the loop's number.
    """

    def __init__(self, enqueue: Enqueue, clock: Clock, *, name: str, test: bool = False) -> None:
        self.sent = 0
        self.errors: Counter[str] = Counter()
        """The sentences of what was not acknowledged."""
        self.latencies = Latencies()
        self._enqueue = enqueue
        self._clock = clock
        self._name = name
        self._test = test
        self._shifts = Shifts()
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._stopping = asyncio.Event()
        self._begun_ms = 0
        self._next_due_ms = 0
        self._due_ms = 0
        self._done_ms = 0

    @property
    def acknowledged(self) -> int:
        """Returns how many events Kafka has acknowledged so far."""
        return len(self.latencies)

    @property
    def behind_ms(self) -> int:
        """Returns how long the event that is next to be let out, or on its way into the queue, is overdue."""
        return max(0, self._elapsed_ms() - self._next_due_ms)

    def stop(self) -> None:
        """Let out nothing more; ``run`` returns when what is in flight has been acknowledged."""
        self._stopping.set()

    async def run(self, entries: Sequence[Entry], schedule: Iterable[tuple[int, int, int]]) -> Result:
        """Publish what ``schedule`` names, as (loop, index, milliseconds after the begin)."""
        self._begun_ms = self._clock.monotonic_ms()
        wall_ms = self._clock.now_ms()
        async with asyncio.TaskGroup() as acknowledgements:
            for loop, index, due_ms in schedule:
                self._next_due_ms = due_ms
                await self._until(due_ms)
                await self._room.acquire()
                if self._stopping.is_set():
                    break
                self._due_ms = due_ms
                self.sent += 1
                acknowledgement = await self._let_out(entries[index], loop, wall_ms + due_ms)
                if acknowledgement is not None:
                    acknowledgements.create_task(self._acknowledged(acknowledgement, due_ms))
        return result_of(
            self.latencies,
            sent=self.sent,
            due_ms=self._due_ms,
            done_ms=self._done_ms,
            interrupted=self._stopping.is_set(),
        )

    async def _let_out(self, entry: Entry, loop: int, due_at_ms: int) -> Awaitable[object] | None:
        run = f"{self._name}-{loop + 1}" if loop else self._name
        event, codes = rewritten(entry, run=run, shift_ms=self._shifts.of(entry, loop, due_at_ms), test=self._test)
        try:
            return await self._enqueue(entry.lane, event, codes)
        except ClientError as error:
            self._failed(error)
            return None

    async def _acknowledged(self, acknowledgement: Awaitable[object], due_ms: int) -> None:
        try:
            await acknowledgement
        except ClientError as error:
            self._failed(error)
        else:
            self._done_ms = self._elapsed_ms()
            self.latencies.add(self._done_ms - due_ms)
            self._room.release()

    def _failed(self, error: ClientError) -> None:
        self.errors[str(error)] += 1
        self._room.release()

    async def _until(self, due_ms: int) -> None:
        """Sleep until then, but no longer than until ``stop``; gives the loop to others in any case."""
        wait_ms = due_ms - self._elapsed_ms()
        if wait_ms <= 0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), wait_ms / 1000)

    def _elapsed_ms(self) -> int:
        return self._clock.monotonic_ms() - self._begun_ms
