"""The source `parcels`: a shop's day."""

from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
import phonenumbers
import pytest

from schemas.names import Lane
from schemas.request import Notification
from schemas.topics import WINDOWS
from streams.sources.parcels import DELIVERED, MISSED, OUT, PARCELS_A_DAY, parcels
from streams.sources.timed import Run, Timed

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
    """A parcel goes out, is delivered or missed, and if missed may be tried once more; its versions rise strictly."""
    days = {(OUT, DELIVERED), (OUT, MISSED), (OUT, MISSED, DELIVERED), (OUT, MISSED, MISSED)}
    seen: Counter[tuple[str, ...]] = Counter()
    for said in by_parcel(day).values():
        seen[tuple(data["template"] for data in said)] += 1
        assert all(earlier["version"] < later["version"] for earlier, later in pairwise(said))
    assert set(seen) == days
    assert seen.total() == PARCELS_A_DAY
    assert seen[OUT, DELIVERED] > PARCELS_A_DAY * 0.8


def test_contract(day: list[Timed]) -> None:
    """Each event names one valid number, expires within the lane's lifetime, and has no unknown field."""
    people = defaultdict(set)
    for timed in day:
        data = msgspec.convert(timed.event["data"], Notification)
        (recipient,) = data.to.recipients
        lived = datetime.fromisoformat(timed.event["expirytime"]) - datetime.fromisoformat(timed.event["time"])
        assert phonenumbers.is_valid_number(phonenumbers.parse(recipient.address.removeprefix("tel:")))
        assert 0 < lived.total_seconds() * 1000 <= WINDOWS[Lane.UPDATE].lifetime_max_ms
        assert timed.lane is Lane.UPDATE
        people[timed.event["subject"]].add(recipient.address)
    assert {len(addresses) for addresses in people.values()} == {1}


def test_count() -> None:
    """A smaller day has as many parcels as are asked for."""
    assert len(by_parcel(list(parcels(RUN, count=25)))) == 25
