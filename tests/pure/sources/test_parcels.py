"""The source `parcels`: a shop's day."""

from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import phonenumbers
import pytest

from schemas.lanes import Lane
from schemas.request import Notification
from streams.dev.sources.parcels import ANNOUNCED, DELIVERED, MISSED, MOVED, OUT, PARCELS_A_DAY, parcels
from streams.dev.sources.timed import Run, Timed

RUN = Run("r1", 1_760_000_000_000, seed=1)


@pytest.fixture(scope="module")
def day() -> list[Timed]:
    """A whole day of the shop."""
    return list(parcels(RUN))


def by_parcel(day: list[Timed]) -> dict[str, list[dict[str, Any]]]:
    """What was said about each parcel, in order."""
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for timed in day:
        grouped[timed.event["subject"]].append(timed.event["data"])
    return grouped


def test_same_run_same_events(day: list[Timed]) -> None:
    """The same run, start and seed give the same events; another seed gives others."""
    assert list(parcels(RUN)) == day
    assert list(parcels(Run("r1", RUN.start_ms, seed=2))) != day


def test_order_and_identity(day: list[Timed]) -> None:
    """Events come in order of time, and no two share source and id."""
    assert all(earlier.at_ms <= later.at_ms for earlier, later in pairwise(day))
    assert len({(timed.event["source"], timed.event["id"]) for timed in day}) == len(day)


def test_every_parcel_has_a_plausible_day(day: list[Timed]) -> None:
    """Announced, out, at the door, and if missed perhaps once more; its window may move before the door, twice at most."""
    doors = {(OUT, DELIVERED), (OUT, MISSED), (OUT, MISSED, DELIVERED), (OUT, MISSED, MISSED)}
    seen: Counter[tuple[str, ...]] = Counter()
    for said in by_parcel(day).values():
        words = [data["template"] for data in said]
        seen[tuple(word for word in words if word not in {ANNOUNCED, MOVED})] += 1
        assert words.index(ANNOUNCED) == 0
        assert words.count(ANNOUNCED) == 1
        assert words.count(MOVED) <= 2
        assert MOVED not in words[min(words.index(door) for door in (DELIVERED, MISSED) if door in words) :]
    assert set(seen) == doors
    assert seen.total() == PARCELS_A_DAY
    assert seen[OUT, DELIVERED] > PARCELS_A_DAY * 0.8


def test_all_is_one_fact_with_rising_versions(day: list[Timed]) -> None:
    """So that a newer word supersedes whatever older one still waits; times rise as well."""
    last: dict[str, tuple[int, int]] = {}
    for each in day:
        subject, data = each.event["subject"], each.event["data"]
        now = (data["version"], each.at_ms)
        then = last.get(subject, (0, 0))
        assert data["facet"] == "status"
        assert now[0] > then[0]
        assert now[1] > then[1]
        last[subject] = now


def params_of(data: dict[str, Any]) -> dict[str, str]:
    """What stands in the message."""
    params: dict[str, str] = data["to"]["recipients"][0]["params"]
    return params


def test_windows_move(day: list[Timed]) -> None:
    """Each move names the window that was told before; the van goes out with the newest; the last one holds the door."""
    moved = 0
    for said in by_parcel(day).values():
        window = params_of(said[0])["window"]
        for data in said[1:]:
            params = params_of(data)
            if data["template"] == MOVED:
                assert params["before"] == window
                assert params["window"] != window
                window = params["window"]
                moved += 1
            elif data["template"] == OUT:
                assert params["window"] == window
        door = next(params_of(data) for data in said if data["template"] in {DELIVERED, MISSED})
        begin, end = window.split("-")
        assert begin <= door["event_time"].split()[1] < end
    assert PARCELS_A_DAY * 0.3 < moved < PARCELS_A_DAY * 0.6


def test_some_moves_are_corrected_at_once(day: list[Timed]) -> None:
    """A second move within a minute and a half: replayed fast, the first still waits and is superseded."""
    moves: dict[str, list[int]] = defaultdict(list)
    for each in day:
        if each.event["data"]["template"] == MOVED:
            moves[each.event["subject"]].append(each.at_ms)
    twice = [later - earlier for earlier, later in (found for found in moves.values() if len(found) == 2)]
    assert PARCELS_A_DAY * 0.05 < len(twice) < PARCELS_A_DAY * 0.2
    assert min(twice) >= 20_000
    assert max(twice) <= 90_000


def test_contract(day: list[Timed]) -> None:
    """Each event names one valid number, expires within the lane's lifetime, and has no unknown field."""
    people = defaultdict(set)
    for timed in day:
        data = msgspec.convert(timed.event["data"], Notification)
        (recipient,) = data.to.recipients
        lived = datetime.fromisoformat(timed.event["expirytime"]) - datetime.fromisoformat(timed.event["time"])
        assert phonenumbers.is_valid_number(phonenumbers.parse(recipient.address.removeprefix("tel:")))
        assert 0 < lived.total_seconds() * 1000 <= Lane.UPDATE.rules.windows.lifetime_max_ms
        assert timed.lane is Lane.UPDATE
        people[timed.event["subject"]].add(recipient.address)
    assert {len(addresses) for addresses in people.values()} == {1}


def test_count() -> None:
    """A smaller day has as many parcels as are asked for."""
    assert len(by_parcel(list(parcels(RUN, count=25)))) == 25
