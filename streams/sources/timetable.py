"""The flights of one day, read from on-time records, as instants.

Owns the records that the project carries (`new_york/`, see its ORIGIN.md) and the reading of others with the same
columns. The records give local wall-clock times without dates; a flight's instants follow from the time zones of its
two airports: it leaves `dep_delay` minutes after its scheduled time, and lands at the first moment after leaving at
which the destination's clocks show `arr_time`.
"""

import csv
import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from schemas.topics import MINUTE_MS
from streams.sources.timed import instant_ms

STORM_DAY: Final = date(2013, 2, 8)
"""The first day of the blizzard: 472 of 930 flights cancelled."""

_RECORDS: Final = resources.files("streams.sources") / "new_york"
_FLIGHTS: Final = "flights-2013-02-storm.csv.gz"

_PUERTO_RICO: Final = "America/Puerto_Rico"
_MISSING_AIRPORTS: Final = (
    ("BQN", "Rafael Hernandez", _PUERTO_RICO),
    ("PSE", "Mercedita", _PUERTO_RICO),
    ("SJU", "Luis Munoz Marin Intl", _PUERTO_RICO),
    ("STT", "Cyril E King", "America/St_Thomas"),
)
"""Destinations of the records that their own list of airports leaves out."""

_COLUMNS: Final = frozenset(
    (
        "year",
        "month",
        "day",
        "sched_dep_time",
        "dep_time",
        "dep_delay",
        "arr_time",
        "carrier",
        "flight",
        "origin",
        "dest",
        "distance",
    )
)


class TimetableError(ValueError):
    """The records cannot be replayed; the sentence says what is wrong and what to give instead."""


@dataclass(frozen=True, slots=True)
class Airport:
    """An airport: its code, its name, and where its clocks are."""

    code: str
    name: str
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Flight:
    """One scheduled flight and what became of it.

    `departed_ms` is None if it was cancelled, `landed_ms` if it never reached its destination.
    """

    carrier: str
    number: int
    day: date
    origin: Airport
    destination: Airport
    miles: int
    scheduled_ms: int
    departed_ms: int | None
    landed_ms: int | None

    @property
    def designator(self) -> str:
        """What stands on the ticket: `UA1545`."""
        return f"{self.carrier}{self.number}"

    @property
    def leg(self) -> tuple[str, str, str]:
        """What makes the flight one of a kind: designator, scheduled date, origin."""
        return self.designator, self.day.isoformat(), self.origin.code

    @property
    def delay_ms(self) -> int:
        """How late it left; 0 if it was early or never left."""
        return max(0, (self.departed_ms or 0) - self.scheduled_ms)


def flights_of(day: date, *, file: Path | None = None, airports: Path | None = None) -> list[Flight]:
    """The flights of `day` in order of their scheduled departure.

    `file` names other records with the same columns, plain or gzipped; `airports` a list with `faa,name,tzone` that is
    read before ours. Raises `TimetableError` if a column, the day or an airport is missing, and `OSError` if a file is.
    """
    rows = _rows_of(file.read_bytes() if file else (_RECORDS / _FLIGHTS).read_bytes())
    wanted = [row for row in rows if _day_of(row) == day]
    if not wanted:
        days = sorted({_day_of(row).isoformat() for row in rows})
        raise TimetableError(
            f"no flight on {day}; the records have {days[0]} to {days[-1]}" if days else "no flights at all"
        )
    known = _airports(airports)
    unknown = {row[end] for row in wanted for end in ("origin", "dest")} - known.keys()
    if unknown:
        raise TimetableError(
            f"no time zone for {', '.join(sorted(unknown))}: give --airports a CSV file with faa,name,tzone"
        )
    flights = [_flight(row, day, known) for row in wanted]
    return sorted(flights, key=lambda flight: (flight.scheduled_ms, flight.leg))


def airlines() -> dict[str, str]:
    """Every carrier of the records: code and name."""
    return {row["carrier"]: row["name"] for row in csv.DictReader(_lines((_RECORDS / "airlines.csv").read_bytes()))}


def _rows_of(content: bytes) -> list[dict[str, str]]:
    reader = csv.DictReader(_lines(content))
    absent = _COLUMNS - set(reader.fieldnames or ())
    if absent:
        raise TimetableError(f"the records lack the columns {', '.join(sorted(absent))}")
    return list(reader)


def _lines(content: bytes) -> Iterable[str]:
    plain = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return plain.decode("utf-8-sig").splitlines()


def _airports(extra: Path | None) -> dict[str, Airport]:
    known = {code: Airport(code, name, ZoneInfo(zone)) for code, name, zone in _MISSING_AIRPORTS}
    for content in ((_RECORDS / "airports.csv").read_bytes(), extra.read_bytes() if extra else b""):
        rows = csv.DictReader(_lines(content))
        known |= {row["faa"]: Airport(row["faa"], row["name"], ZoneInfo(row["tzone"])) for row in rows}
    return known


def _day_of(row: Mapping[str, str]) -> date:
    return date(int(row["year"]), int(row["month"]), int(row["day"]))


def _flight(row: Mapping[str, str], day: date, airports: Mapping[str, Airport]) -> Flight:
    origin, destination = airports[row["origin"]], airports[row["dest"]]
    scheduled_ms = instant_ms(day, _minutes(row["sched_dep_time"]), origin.zone)
    departed_ms = landed_ms = None
    if _happened(row["dep_time"]):
        departed_ms = scheduled_ms + int(float(row["dep_delay"])) * MINUTE_MS
        if _happened(row["arr_time"]):
            landed_ms = _first_after(departed_ms, day=day, minutes=_minutes(row["arr_time"]), zone=destination.zone)
    return Flight(
        carrier=row["carrier"],
        number=int(row["flight"]),
        day=day,
        origin=origin,
        destination=destination,
        miles=int(float(row["distance"])),
        scheduled_ms=scheduled_ms,
        departed_ms=departed_ms,
        landed_ms=landed_ms,
    )


def _happened(value: str) -> bool:
    """R writes a missing value as NA, others as nothing."""
    return value not in {"", "NA"}


def _minutes(hhmm: str) -> int:
    """Minutes from midnight of a local time such as `517` or `2400`."""
    hours, minutes = divmod(int(float(hhmm)), 100)
    return hours * 60 + minutes


def _first_after(departed_ms: int, *, day: date, minutes: int, zone: ZoneInfo) -> int:
    """The first time after departure at which clocks in `zone` show `minutes` (from midnight)."""
    candidates = (instant_ms(day, minutes + days * 24 * 60, zone) for days in range(-1, 4))
    return next(at_ms for at_ms in candidates if at_ms > departed_ms)
