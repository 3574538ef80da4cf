"""The source `flights`: a real storm day as its airlines would have told it."""

import gzip
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, datetime
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import phonenumbers
import pytest

from schemas.ids import business_of
from schemas.lanes import HOUR_MS, MINUTE_MS, Lane
from schemas.request import NOTIFICATION_TYPE, OPTIN_TYPE, Notification, Optin
from streams.dev.sources.announcements import EVERYTHING, Sizes
from streams.dev.sources.flights import Selection, flights
from streams.dev.sources.records import TimetableError
from streams.dev.sources.timed import Run, Timed
from streams.dev.sources.timetable import STORM_DAY, flights_of

START_MS = 1_760_000_000_000
RUN = Run("r1", START_MS, seed=1)
HEADER = "year,month,day,sched_dep_time,dep_time,dep_delay,arr_time,carrier,flight,origin,dest,distance\n"


@pytest.fixture(scope="module")
def storm() -> list[Timed]:
    """The whole storm day."""
    return list(flights(RUN))


@pytest.fixture(scope="module")
def optins(storm: list[Timed]) -> list[Timed]:
    """Its opt-ins."""
    return [timed for timed in storm if timed.event["type"] == OPTIN_TYPE]


@pytest.fixture(scope="module")
def told(storm: list[Timed]) -> list[Timed]:
    """What the airlines told about it."""
    return [timed for timed in storm if timed.event["type"] == NOTIFICATION_TYPE]


def by_flight(told: list[Timed]) -> Mapping[str, list[dict[str, Any]]]:
    """What was told about each flight, in order, with `at_ms`."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for timed in told:
        grouped[timed.event["subject"]].append(timed.event["data"] | {"at_ms": timed.at_ms})
    return grouped


def test_storm_day_counts(told: list[Timed], optins: list[Timed]) -> None:
    """On 8 February 2013, 472 of 930 flights are told to be cancelled, 458 to have left, 456 to have landed."""
    counts = Counter(timed.event["data"]["template"] for timed in told)
    assert len(optins) == 930
    assert (counts["flight_cancelled"], counts["flight_departed"], counts["flight_landed"]) == (472, 458, 456)
    assert counts["flight_delay"] > 200


def test_same_run_same_events(storm: list[Timed]) -> None:
    """The same run, start and seed give the same events, byte for byte."""
    again = list(flights(RUN))
    assert [msgspec.json.encode(timed.event) for timed in again] == [
        msgspec.json.encode(timed.event) for timed in storm
    ]


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        pytest.param(Run("r2", START_MS, seed=1), {"source"}, id="another run has other sources"),
        pytest.param(Run("r1", START_MS, seed=2), {"data"}, id="another seed has other people"),
        pytest.param(
            Run("r1", START_MS + 1, seed=1), {"time", "expirytime", "data"}, id="another start has other times"
        ),
    ],
)
def test_what_makes_runs_differ(storm: list[Timed], other: Run, differs: set[str]) -> None:
    """A run's name, start and seed each change what they should in the first event, and nothing else."""
    first, theirs = storm[0].event, next(iter(flights(other))).event
    assert {name for name in first if first[name] != theirs[name]} == differs


def test_identities_are_unique(storm: list[Timed]) -> None:
    """No two events of a run share source and id."""
    identities = Counter((timed.event["source"], timed.event["id"]) for timed in storm)
    assert [identity for identity, count in identities.items() if count > 1] == []


def test_order_of_time(storm: list[Timed], optins: list[Timed]) -> None:
    """Events come in order of time, and nobody is told anything before all have opted in."""
    assert all(earlier.at_ms <= later.at_ms for earlier, later in pairwise(storm))
    assert storm[: len(optins)] == optins
    assert storm[0].at_ms == START_MS


def test_versions_rise(told: list[Timed]) -> None:
    """What is said about one flight has strictly rising versions and strictly rising times, through all facets."""
    for said in by_flight(told).values():
        assert all(earlier["version"] < later["version"] for earlier, later in pairwise(said))
        assert all(earlier["at_ms"] < later["at_ms"] for earlier, later in pairwise(said))


def test_versions_rise_from_run_to_run(told: list[Timed]) -> None:
    """A run that began a minute later has only higher versions, or its news would be taken for old."""
    later = Run("r2", START_MS + MINUTE_MS, seed=1)
    lowest = min(timed.event["data"]["version"] for timed in flights(later) if timed.event["type"] == NOTIFICATION_TYPE)
    assert max(timed.event["data"]["version"] for timed in told) < lowest


def test_stories(told: list[Timed]) -> None:
    """A flight is at most delayed, then either cancelled, which is the last word, or left and perhaps landed."""
    endings = {("flight_cancelled",), ("flight_departed",), ("flight_departed", "flight_landed")}
    for said in by_flight(told).values():
        words = [each["template"] for each in said]
        delays = words.count("flight_delay")
        assert words[:delays] == ["flight_delay"] * delays
        assert tuple(words[delays:]) in endings
        assert [each["facet"] == EVERYTHING for each in said] == [word == "flight_cancelled" for word in words]


def test_delays_grow(told: list[Timed]) -> None:
    """Each further delay of a flight is longer than the one before; the last is no longer than the real one."""
    real = {"/".join(("flight", *flight.leg)): flight for flight in flights_of(STORM_DAY)}
    for subject, said in by_flight(told).items():
        minutes = [int(each["params"]["minutes"]) for each in said if each["template"] == "flight_delay"]
        assert minutes == sorted(set(minutes))
        if minutes and real[subject].departed_ms is not None:
            assert minutes[-1] <= real[subject].delay_ms // MINUTE_MS < minutes[-1] + 5


def test_cancelled_before_departure(told: list[Timed]) -> None:
    """Every cancellation is told before the flight was to leave, and most of them hours before."""
    scheduled = {"/".join(("flight", *flight.leg)): flight.scheduled_ms for flight in flights_of(STORM_DAY)}
    begins_ms = scheduled_of_three_oclock()
    leads = [
        scheduled[timed.event["subject"]] - (timed.at_ms - START_MS + begins_ms)
        for timed in told
        if timed.event["data"]["template"] == "flight_cancelled"
    ]
    assert min(leads) > 0
    assert sorted(leads)[len(leads) // 2] > 2 * HOUR_MS


def scheduled_of_three_oclock() -> int:
    """Three in the morning of the storm day in New York (UTC-5), when the replayed day begins."""
    return int(datetime.fromisoformat("2013-02-08T03:00:00-05:00").timestamp()) * 1000


def test_lists(optins: list[Timed], told: list[Timed]) -> None:
    """Each flight has one list of 20 to 220 different people, of its own airline, and all its news goes there."""
    sizes = {}
    for timed in optins:
        optin = msgspec.convert(timed.event["data"], Optin)
        addresses = {member.address for member in optin.members}
        assert len(addresses) == len(optin.members)
        assert optin.op == "join"
        assert optin.evidence is not None
        sizes[business_of(timed.event["source"]), optin.list] = len(addresses)
    assert len(sizes) == 930
    assert (min(sizes.values()), max(sizes.values())) == (20, 220)
    for timed in told:
        assert (business_of(timed.event["source"]), timed.event["data"]["to"]["list"]) in sizes


def test_farther_is_larger(optins: list[Timed]) -> None:
    """The lists of the longest flights are several times as large as those of the shortest."""
    members = {timed.event["data"]["list"]: len(timed.event["data"]["members"]) for timed in optins}
    ordered = sorted(flights_of(STORM_DAY), key=lambda flight: flight.miles)
    sizes = [members["-".join(("flight", *flight.leg))] for flight in ordered]
    assert sum(sizes[-100:]) > 3 * sum(sizes[:100])


def test_passengers(optins: list[Timed]) -> None:
    """Numbers are valid, countries and languages three; some people follow two flights; consent came before the day."""
    members = [member for timed in optins for member in timed.event["data"]["members"]]
    addresses = Counter(member["address"] for member in members)
    numbers = [phonenumbers.parse(address.removeprefix("tel:")) for address in addresses]
    assert all(phonenumbers.is_valid_number(number) for number in numbers)
    assert {number.country_code for number in numbers} == {1, 44, 91}
    assert {member["locale"] for member in members} == {"en", "es", "hi"}
    assert 500 < sum(count > 1 for count in addresses.values()) < 5_000
    assert all(member["evidence_ms"] < START_MS for member in members)


def test_contract(told: list[Timed]) -> None:
    """Every event keeps the contract: lane, expiry within the lane's lifetime, no unknown field, text parameters."""
    for timed in told:
        event, data = timed.event, msgspec.convert(timed.event["data"], Notification)
        lived = datetime.fromisoformat(event["expirytime"]) - datetime.fromisoformat(event["time"])
        assert timed.lane is Lane.UPDATE
        assert 0 < lived.total_seconds() * 1000 <= Lane.UPDATE.rules.windows.lifetime_max_ms
        assert data.sender == f"{business_of(event['source'])}/main"
        assert all(isinstance(value, str) for value in data.params.values())
        assert str(data.params["event_time"]).startswith(("2013-02-08 ", "2013-02-09 "))


def test_limit_keeps_whole_flights() -> None:
    """A limit takes a sample of flights with everything that belongs to them, the same for the same seed."""
    some = list(flights(RUN, Selection(limit=40), Sizes(5, 9)))
    subjects = {timed.event["subject"] for timed in some}
    joined = {timed.event["subject"] for timed in some if timed.event["type"] == OPTIN_TYPE}
    assert len(subjects) == 40
    assert joined == subjects
    assert {5 <= len(t.event["data"]["members"]) <= 9 for t in some if t.event["type"] == OPTIN_TYPE} == {True}


def test_large_lists_are_split() -> None:
    """A list of more than 1,000 people joins in several events of at most 1,000."""
    events = [
        t.event["data"] for t in flights(RUN, Selection(limit=1), Sizes(2_500, 2_500)) if "members" in t.event["data"]
    ]
    assert [len(data["members"]) for data in events] == [1_000, 1_000, 500]
    assert len({member["address"] for data in events for member in data["members"]}) == 2_500


@pytest.mark.parametrize("day", range(4, 14))
def test_flights_take_as_long_as_flights_take(day: int) -> None:
    """On all ten days, each flight that landed did so 20 minutes to 13 hours after it left, over whatever zones."""
    for flight in flights_of(date(2013, 2, day)):
        if flight.departed_ms is not None and flight.landed_ms is not None:
            assert 20 * MINUTE_MS < flight.landed_ms - flight.departed_ms < 13 * HOUR_MS


@pytest.mark.parametrize(
    ("rows", "landed"),
    [
        pytest.param(
            "2013,7,4,900,910,10,1040,UA,1,EWR,ORD,719", "2013-07-04T10:40:00-05:00", id="summer, one zone west"
        ),
        pytest.param("2013,2,8,2359,2400,1,436,B6,2,JFK,BQN,1576", "2013-02-09T04:36:00-04:00", id="left at midnight"),
        pytest.param(
            "2013,2,8,2040,2053,13,2400,B6,3,JFK,PDX,2454", "2013-02-09T00:00:00-08:00", id="landed at midnight"
        ),
        pytest.param("2013,2,8,2200,2150,-10,2215,UA,4,EWR,ORD,719", "2013-02-08T22:15:00-06:00", id="early"),
        pytest.param("2013,2,8,10,15,5,2300,XX,5,NRT,HNL,3830", "2013-02-07T23:00:00-10:00", id="the day before"),
    ],
)
def test_instants_from_local_times(tmp_path: Path, rows: str, landed: str) -> None:
    """Local times without a date become the right instants, over zones, summer time, midnight and early departures."""
    file, airports = tmp_path / "flights.csv", tmp_path / "airports.csv"
    file.write_text(HEADER + rows + "\n", encoding="utf-8")
    airports.write_text("faa,name,tzone\nNRT,Narita,Asia/Tokyo\n", encoding="utf-8")
    day = date(*(int(part) for part in rows.split(",")[:3]))
    (flight,) = flights_of(day, file=file, airports=airports)
    assert flight.landed_ms == int(datetime.fromisoformat(landed).timestamp()) * 1000


def test_what_was_known_too_early_is_said_late(tmp_path: Path) -> None:
    """What happened before the opt-ins were out is told right after them, still in order, one instant after another."""
    file = tmp_path / "flights.csv"
    file.write_text(HEADER + "2013,2,8,30,150,80,240,UA,6,EWR,ORD,719\n", encoding="utf-8")
    (joined, *told) = flights(RUN, Selection(file=file))
    assert [timed.event["data"]["template"] for timed in told] == [
        *["flight_delay"] * 2,
        "flight_departed",
        "flight_landed",
    ]
    assert joined.at_ms < told[0].at_ms
    assert [timed.at_ms - told[0].at_ms for timed in told] == [0, 1, 2, 3]
    assert told[2].event["data"]["params"]["event_time"] == "2013-02-08 01:50 EST"


def test_other_records_and_airports(tmp_path: Path) -> None:
    """Records of another year and airport, gzipped and with R's NA, are replayed if their airports are given."""
    file, airports = tmp_path / "flights.csv.gz", tmp_path / "airports.csv"
    file.write_bytes(gzip.compress((HEADER + "2022,7,1,600,NA,NA,NA,XX,7,DEL,BOM,708\n").encode()))
    airports.write_text("faa,name,tzone\nDEL,Delhi,Asia/Kolkata\nBOM,Mumbai,Asia/Kolkata\n", encoding="utf-8")
    events = [timed.event for timed in flights(RUN, Selection(date(2022, 7, 1), file, airports))]
    assert [event["data"].get("template") for event in events[-1:]] == ["flight_cancelled"]
    assert events[-1]["subject"] == "flight/XX7/2022-07-01/DEL"
    assert events[-1]["data"]["params"]["event_time"].endswith("IST")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param("a,b\n1,2\n", "lack the columns", id="other columns"),
        pytest.param(HEADER, "no flights at all", id="nothing"),
        pytest.param(HEADER + "2013,2,9,600,,,,UA,1,EWR,ORD,719\n", "no flight on 2013-02-08", id="another day"),
        pytest.param(HEADER + "2013,2,8,600,,,,UA,1,EWR,ZZZ,719\n", "no time zone for ZZZ", id="unknown airport"),
    ],
)
def test_bad_records(tmp_path: Path, text: str, sentence: str) -> None:
    """Records that cannot be replayed are refused with a sentence that says why."""
    file = tmp_path / "flights.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TimetableError, match=sentence):
        flights_of(STORM_DAY, file=file)


def test_origin_and_licence_travel_with_the_records() -> None:
    """The records lie beside a page that says where they come from and under which licence."""
    page = (resources.files("streams.dev.sources") / "new_york" / "ORIGIN.md").read_text(encoding="utf-8")
    assert "Bureau of Transportation" in page
    assert "CC0" in page
