"""Plays prepared events: each when it is due or as soon after as can be, its latency counted from then; and sums it up.

Owns the bound on memory. Kafka's pauses make events late, and late events count as such: nothing is skipped or slowed.

Latency runs from when an event was due to Kafka's acknowledgement, in milliseconds.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogWriter

from schemas.lanes import DAY_MS, Lane
from streams.client import ClientError, Event
from streams.dev.recordings.files import Entry
from streams.dev.recordings.preparation import Shifts, rewritten

_DIGITS: Final = 3


class Latencies:
    """Whole milliseconds from 0 to a day; what lies outside counts as the nearer end."""

    def __init__(self, values_ms: Iterable[int] = ()) -> None:
        self._histogram = HdrHistogram(1, DAY_MS, _DIGITS)
        for value_ms in values_ms:
            self.add(value_ms)

    def __len__(self) -> int:
        return int(self._histogram.get_total_count())

    def add(self, value_ms: int) -> None:
        """Count one."""
        self._histogram.record_value(min(max(value_ms, 0), DAY_MS))

    def quantile(self, share: float) -> int | None:
        """Returns the value that ``share`` of the values do not exceed (nearest rank); None of none."""
        return int(self._histogram.get_value_at_percentile(share * 100)) if len(self) else None

    def write(self, path: Path, *, began_ms: int, ended_ms: int) -> None:
        """Write a log that every viewer of HDR histograms reads, with one interval; values in it are milliseconds."""
        with path.open("w", encoding="ascii") as file:
            log = HistogramLogWriter(file)
            log.output_log_format_version()
            # The library's own output_start_time fails on every call (0.10.8).
            file.write(f"#[StartTime: {began_ms / 1000:.3f} (seconds since epoch)]\n")
            log.output_legend()
            log.output_interval_histogram(self._histogram, began_ms / 1000, ended_ms / 1000, 1.0)


QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class Result(msgspec.Struct, frozen=True):
    """The figures of a replay; rates are events a second, latencies milliseconds (none without an acknowledgement)."""

    sent: int
    acknowledged: int
    offered_per_s: float
    """Events a second until the last was due."""
    achieved_per_s: float
    """Events a second until the last acknowledgement."""
    latency_ms: dict[str, int]
    """Milliseconds from when an event was due to its acknowledgement, by :data:`QUANTILES`."""
    errors: int
    interrupted: bool


def result_of(latencies: Latencies, *, sent: int, due_ms: int, done_ms: int, interrupted: bool) -> Result:
    """Figures of ``sent`` events: the last was due after ``due_ms``, the last acknowledgement came after ``done_ms``."""
    return Result(
        sent=sent,
        acknowledged=len(latencies),
        offered_per_s=round(sent * 1000 / max(due_ms, 1), 1),
        achieved_per_s=round(len(latencies) * 1000 / max(done_ms, 1), 1),
        latency_ms={
            name: found for name, share in QUANTILES.items() if (found := latencies.quantile(share)) is not None
        },
        errors=sent - len(latencies),
        interrupted=interrupted,
    )


def sentence_of(result: Result) -> str:
    """The last line, in the manner of Kafka's own performance tool."""
    latency = " / ".join(str(result.latency_ms.get(name, "-")) for name in QUANTILES)
    return (
        f"{result.sent} records sent, {result.offered_per_s:.1f} records/sec offered, "
        f"{result.achieved_per_s:.1f} records/sec achieved, "
        f"{latency} ms {' / '.join(QUANTILES)}, {result.errors} errors"
    )


def json_of(result: Result) -> str:
    """The same as one line of JSON."""
    return msgspec.json.encode(result).decode()


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
