"""The flights of one day, read from on-time records, as instants.

Owns the meaning of the records (`records.py` has their tables). They give local wall-clock times without dates; a flight's
instants follow from the time zones of its two airports: it leaves `dep_delay` minutes after its scheduled time, and lands
at the first moment after leaving at which the destination's clocks show `arr_time`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from schemas.lanes import MINUTE_MS
from streams.dev.sources import records
from streams.dev.sources.records import YEAR_HINT, Records, Row, TimetableError
from streams.dev.sources.timed import instant_ms

STORM_DAY: Final = date(2013, 2, 8)
"""The first day of the blizzard: 472 of 930 flights cancelled."""

_PUERTO_RICO: Final = "America/Puerto_Rico"
_MISSING_AIRPORTS: Final = (
    ("BQN", "Rafael Hernandez", _PUERTO_RICO),
    ("PSE", "Mercedita", _PUERTO_RICO),
    ("SJU", "Luis Munoz Marin Intl", _PUERTO_RICO),
    ("STT", "Cyril E King", "America/St_Thomas"),
)
"""Destinations of the records that their own list of airports leaves out."""


@dataclass(frozen=True, slots=True)
class Airport:
    """An airport: its code, its name, and where its clocks are."""

    code: str
    name: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Flight:
    """Holds a scheduled flight and what became of it.

    `departed_ms` is None if it was cancelled, `landed_ms` if it never reached its destination.
    """

    carrier: str
    number: int
    day: date
    origin: Airport
    destination: Airport
    miles: int
    scheduled_ms: int
    """Scheduled departure, milliseconds since the epoch."""
    departed_ms: int | None
    """Departure, milliseconds since the epoch; None: it was cancelled."""
    landed_ms: int | None
    """Landing, milliseconds since the epoch; None: it never reached its destination."""

    @property
    def designator(self) -> str:
        """Returns the designator that stands on the ticket: `UA1545`."""
        return f"{self.carrier}{self.number}"

    @property
    def leg(self) -> tuple[str, str, str]:
        """Returns the key that no other flight has: designator, scheduled date, origin."""
        return self.designator, self.day.isoformat(), self.origin.code

    @property
    def delay_ms(self) -> int:
        """Returns how late it left; 0 if it was early or never left."""
        return max(0, (self.departed_ms or 0) - self.scheduled_ms)


class Timetable:
    """Records and the airports that they name; one day of flights is made at a time."""

    def __init__(self, table: Records, airports: Iterable[Path] = ()) -> None:
        self._table = table
        self._zones = {code: (name, zone) for code, name, zone in _MISSING_AIRPORTS}
        rows = records.airport_rows(*airports)
        self._zones |= {row["faa"]: (row["name"], row["tzone"]) for row in rows if _happened(row["tzone"])}

    def has(self, day: date) -> bool:
        """Returns if the records have rows of `day`."""
        return day in self._table.days

    def days(self, first: date, last: date) -> list[date]:
        """The days from `first` to `last` that have flights; `TimetableError` if there is none."""
        known = self._table.days
        days = [day for day in known if first <= day <= last]
        if days:
            return days
        if not known:
            raise TimetableError("no flights at all")
        wanted = f"on {first}" if first == last else "on any of these days"
        raise TimetableError(f"no flight {wanted}; the records have {known[0]} to {known[-1]}")

    def flights(self, day: date) -> list[Flight]:
        """The flights of `day` in order of their scheduled departure; `TimetableError` for an unknown airport."""
        return self.read(day)[0]

    def read(self, day: date) -> tuple[list[Flight], list[str]]:
        """Returns the flights of `day` and, of each row that is left out, which it is and why."""
        rows = self._table.rows(day)
        named = {row[end] for row in rows for end in ("origin", "dest") if _happened(row[end])}
        unknown = named - self._zones.keys()
        if unknown:
            raise TimetableError(
                f"no time zone for {', '.join(sorted(unknown))}: give --airports a CSV file with faa,name,tzone"
            )
        airports = {code: Airport(code, name, ZoneInfo(zone)) for code in named for name, zone in (self._zones[code],)}
        flights: list[Flight] = []
        left_out: list[str] = []
        for row in rows:
            try:
                flights.append(_flight(row, day, airports))
            except _UnusableRowError as error:
                left_out.append(f"{row['carrier'] or '?'}{row['flight'] or '?'} ({error})")
        return sorted(flights, key=lambda flight: (flight.scheduled_ms, flight.leg)), left_out


def timetable_of(first: date, last: date, *, file: Path | None = None, airports: Path | None = None) -> Timetable:
    """The records that hold these days: those of `file`, or the ten days we carry, or the whole year if it is installed.

    `file` has the same columns, plain or packed; `airports` is a list with `faa,name,tzone` that is read after ours.
    Raises `TimetableError` if the days are in no records at hand, or a column is missing, and `OSError` if a file is.
    """
    ours = [] if airports is None else [airports]
    if file is not None:
        return Timetable(records.of_file(file), ours)
    table = records.carried()
    if table.days[0] <= first and last <= table.days[-1]:
        return Timetable(table, ours)
    folder = records.year_folder()
    if folder is None:
        wanted = f"no flight on {first}" if first == last else "not all of these days are here"
        raise TimetableError(f"{wanted}; the records have {table.days[0]} to {table.days[-1]}, and {YEAR_HINT}")
    return Timetable(records.of_year(folder), [folder / "airports.csv", *ours])


def flights_of(day: date, *, file: Path | None = None, airports: Path | None = None) -> list[Flight]:
    """The flights of one day, as :func:`timetable_of` finds it."""
    timetable = timetable_of(day, day, file=file, airports=airports)
    (found,) = timetable.days(day, day)
    return timetable.flights(found)


def airlines() -> dict[str, str]:
    """Every carrier of the records: code and name."""
    return {row["carrier"]: row["name"] for row in records.airline_rows()}


class _UnusableRowError(Exception):
    """A row lacks a value that its flight cannot be told without; the sentence says which."""


def _flight(row: Row, day: date, airports: dict[str, Airport]) -> Flight:
    origin, destination = (airports[_text(row, end)] for end in ("origin", "dest"))
    scheduled_ms = instant_ms(day, _minutes(row, "sched_dep_time"), origin.zone)
    departed_ms = landed_ms = None
    if _happened(row["dep_time"]):
        departed_ms = scheduled_ms + _number(row, "dep_delay") * MINUTE_MS
        if _happened(row["arr_time"]):
            landed_ms = _first_after(departed_ms, day=day, minutes=_minutes(row, "arr_time"), zone=destination.zone)
    return Flight(
        carrier=_text(row, "carrier"),
        number=_number(row, "flight"),
        day=day,
        origin=origin,
        destination=destination,
        miles=_number(row, "distance"),
        scheduled_ms=scheduled_ms,
        departed_ms=departed_ms,
        landed_ms=landed_ms,
    )


def _happened(value: str | None) -> bool:
    """R writes a missing value as NA, others as nothing; a row that breaks off has None."""
    return value not in {"", "NA", None}


def _text(row: Row, column: str) -> str:
    if not _happened(row[column]):
        raise _UnusableRowError(f"{column} is empty")
    return row[column]


def _number(row: Row, column: str) -> int:
    text = _text(row, column)
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        raise _UnusableRowError(f"{column} is no number") from None


def _minutes(row: Row, column: str) -> int:
    """Minutes from midnight of a local time such as `517` or `2400`."""
    hours, minutes = divmod(_number(row, column), 100)
    if not (0 <= hours <= 24 and minutes < 60):
        raise _UnusableRowError(f"{column} is no time of day")
    return hours * 60 + minutes


def _first_after(departed_ms: int, *, day: date, minutes: int, zone: ZoneInfo) -> int:
    """The first time after departure at which clocks in `zone` show `minutes` (from midnight).

    When clocks are set back they show an hour twice, and both are times.
    """
    shown = (instant_ms(day, minutes + days * 24 * 60, zone) for days in range(-1, 4))
    return next(at_ms for once_ms in shown for at_ms in (once_ms, _again(once_ms, zone)) if at_ms > departed_ms)


def _again(at_ms: int, zone: ZoneInfo) -> int:
    """The second time at which clocks in `zone` show what they show at `at_ms`: mostly the same."""
    return int(datetime.fromtimestamp(at_ms // 1000, zone).replace(fold=1).timestamp()) * 1000
