"""Playing a source on a terminal: events are published, or printed, at a chosen speed, with progress and a sum.

Owns the lines that are said meanwhile. Whoever waits for a Kafka that has gone away is told so.
"""

import asyncio
import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import typer

from streams.client import Client, ClientError
from streams.commands.terminal import INTERRUPTED, refuse, say
from streams.dev.sources.feed import Feed, Tally, replay
from streams.dev.sources.records import TimetableError
from streams.dev.sources.timed import Run, Timed
from streams.runtime import clock
from streams.runtime.settings import SettingsError, load
from streams.runtime.signals import stop_on_interrupt
from streams.runtime.untyped_json import json_bytes

DEFAULT_SPEED: Final = 600.0
"""A day in a little over two minutes."""

_FAULTS: Final = (TimetableError, SettingsError, ClientError, OSError)
"""Exceptions that come of the surroundings; any other is a fault of ours and shows its traceback."""

_PATIENCE_S: Final = 300.0
"""Seconds that Kafka may be away in the middle: a day that broke off cannot be gone on with."""
_SILENT_S: Final = 5
"""So long without an acknowledgement is worth a word."""
_PROGRESS_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Way:
    """Where events go and how fast: `speed` as on the command line."""

    speed: str | None
    bootstrap: str | None
    printed: bool

    @property
    def factor(self) -> float | None:
        """The speed as a number, None for as fast as it goes; `typer.BadParameter` if it is neither."""
        if self.speed is None:
            return None if self.printed else DEFAULT_SPEED
        if self.speed == "max":
            return None
        with contextlib.suppress(ValueError):
            factor = float(self.speed)
            if factor > 0 and math.isfinite(factor):
                return factor
        raise typer.BadParameter("is a number above 0, or max", param_hint="--speed")


def play(source: Callable[[Run], Iterator[Timed]], *, seed: int, way: Way) -> None:
    """Run one source to its end, or to Ctrl-C, and say what was published."""
    start_ms = clock.now_ms()
    run = Run(f"{start_ms:x}", start_ms, seed)
    factor = way.factor
    playing = _print(source(run), factor) if way.printed else _publish(source(run), factor, bootstrap=way.bootstrap)
    try:
        stopped = asyncio.run(playing)
    except BrokenPipeError:
        raise  # `| head` had enough: typer ends such a program quietly
    except _FAULTS as error:
        refuse("source", str(error))
    if stopped:
        raise typer.Exit(INTERRUPTED)


async def _print(stream: Iterator[Timed], factor: float | None) -> bool:
    async def write(event: Timed) -> None:
        sys.stdout.write(json_bytes(event.event).decode() + "\n")
        if factor is not None:
            sys.stdout.flush()  # what is paced is looked at while it comes

    # One at a time: what is printed is in order of time, not only of each subject.
    return (await _feed(Feed(write, now_ms=clock.now_ms, in_flight=1), stream, factor)).stopped


async def _publish(stream: Iterator[Timed], factor: float | None, *, bootstrap: str | None) -> bool:
    async with Client(load(bootstrap=bootstrap).kafka, patience_s=_PATIENCE_S) as client:

        async def send(event: Timed) -> None:
            await client.publish(event.lane, event.event, codes=event.codes)

        feed = Feed(send, now_ms=clock.now_ms)
        telling = asyncio.create_task(_tell_progress(feed))
        try:
            await _feed(feed, stream, factor)
        finally:
            telling.cancel()
        return feed.stopped


async def _feed(feed: Feed, stream: Iterator[Timed], factor: float | None) -> Feed:
    """Run the feed; the first Ctrl-C ends it in order, the second at once."""
    stop_on_interrupt(feed.stop)
    begun_ms = clock.monotonic_ms()
    await feed.run(replay(stream, speed=factor, clock=feed.clock))
    say(f"{_summary(feed.tally)} in {(clock.monotonic_ms() - begun_ms) / 1000:.1f} s{' (interrupted)' * feed.stopped}")
    return feed


async def _tell_progress(feed: Feed) -> None:
    """A line now and then while events go out."""
    silence = Silence(clock.monotonic_ms())
    while not feed.stopped:
        await asyncio.sleep(_PROGRESS_SECONDS)
        held = silence.after(feed.tally.published.total(), feed.in_flight, clock.monotonic_ms())
        say(f"{_summary(feed.tally)}, {held or f'{feed.tally.behind_ms} ms behind'}")


@dataclass(slots=True)
class Silence:
    """Since when Kafka has acknowledged nothing although something waits for it."""

    since_ms: int
    """When Kafka acknowledged something last, milliseconds since the epoch."""
    published: int = 0

    def after(self, published: int, in_flight: int, now_ms: int) -> str:
        """Returns what to say of a Kafka that has been silent for long; empty while it answers, or owes nothing."""
        if published != self.published or not in_flight:
            self.published, self.since_ms = published, now_ms
        silent_s = (now_ms - self.since_ms) // 1_000
        if silent_s < _SILENT_S:
            return ""
        return f"Kafka has acknowledged nothing for {silent_s} s: waiting, {_PATIENCE_S:g} s at most"


def _summary(tally: Tally) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.published.items()))
    return f"{tally.published.total():,} events" + (f" ({kinds})" if kinds else "")
