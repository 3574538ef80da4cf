"""Who follows which flight, and the opt-in events that say so.

Owns the lists: one for each flight, larger the farther the flight goes, with a few people who follow two flights
(somebody with two bookings, or who waits for somebody). The proof of consent goes with every event (GDPR art. 7(1)).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from schemas.ids import Lane
from schemas.request import MAX_RECIPIENTS, OPTIN_TYPE
from schemas.topics import DAY_MS, HOUR_MS
from streams.dev.sources.people import person
from streams.dev.sources.timed import Run, Timed, timed
from streams.dev.sources.timetable import Flight

OPTIN_SPAN_MS: Final = 75 * 60_000
"""Milliseconds that the airlines take, from the day's beginning, to publish who follows the day's flights."""

_LONGEST_MILES: Final = 5_000
"""A little more than New York to Honolulu (4,983 miles), the longest flight of the records."""

_SHARED: Final = 0.04
"""The part of a list that follows another flight of the same airline as well."""

_OPTIN_LIFETIME_MS: Final = DAY_MS
_BOOKED_AT_MOST_DAYS_AHEAD: Final = 60


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bounds the number of people who follow a flight, at least and at most."""

    smallest: int = 20
    largest: int = 220

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.largest:
            raise ValueError("a list has at least one member, and at least as many at most")

    def draw(self, miles: int, dice: Random) -> int:
        """A size for a flight of so many miles: proportional to the distance, a quarter more or less by chance."""
        mean = self.smallest + (self.largest - self.smallest) * min(1.0, miles / _LONGEST_MILES)
        return max(self.smallest, min(self.largest, round(mean * dice.uniform(0.75, 1.25))))


def business_of(flight: Flight) -> str:
    """The business id of the airline: `airline-ua`."""
    return f"airline-{flight.carrier.lower()}"


def subject_of(flight: Flight) -> str:
    """Returns the subject of the airline's events: `flight/UA1545/2013-02-08/EWR`."""
    return "/".join(("flight", *flight.leg))


def list_of(flight: Flight) -> str:
    """The list of those who follow the flight: `flight-UA1545-2013-02-08-EWR`."""
    return "-".join(("flight", *flight.leg))


def rosters(flights: Sequence[Flight], *, seed: int, sizes: Sizes) -> list[tuple[int, ...]]:
    """For each flight the people (indices of the seed) who follow it; nobody twice on one flight."""
    ours: dict[str, list[int]] = {}
    nobody_yet = 0
    result = []
    for flight in flights:
        dice = Random(f"{seed}/roster/{flight.leg}")
        size = sizes.draw(flight.miles, dice)
        earlier = ours.setdefault(flight.carrier, [])
        again = dice.sample(earlier, min(round(size * _SHARED), len(earlier)))
        fresh = range(nobody_yet, nobody_yet + size - len(again))
        nobody_yet = fresh.stop
        earlier.extend(fresh)
        result.append((*again, *fresh))
    return result


def optins(flights: Sequence[Flight], run: Run, sizes: Sizes, *, begins_ms: int) -> Iterator[Timed]:
    """Yields an event for each list (more, where it has over 1,000 members), spread evenly over `OPTIN_SPAN_MS`."""
    for position, (flight, people) in enumerate(
        zip(flights, rosters(flights, seed=run.seed, sizes=sizes), strict=True)
    ):
        at_ms = begins_ms + OPTIN_SPAN_MS * position // len(flights)
        for first in range(0, len(people), MAX_RECIPIENTS):
            yield _optin(
                flight, people[first : first + MAX_RECIPIENTS], run=run, at_ms=at_ms, part=1 + first // MAX_RECIPIENTS
            )


def _optin(flight: Flight, people: Sequence[int], *, run: Run, at_ms: int, part: int) -> Timed:
    head = {
        "type": OPTIN_TYPE,
        "source": run.source(business_of(flight), "bookings"),
        "id": f"{list_of(flight)}-join-{part}",
        "subject": subject_of(flight),
    }
    body = {
        "list": list_of(flight),
        "op": "join",
        "members": [_member(index, run) for index in people],
        "evidence": {"method": "web_form", "wording": "flight-news-2013-01", "source": "booking"},
    }
    return timed(at_ms, lane=Lane.UPDATE, lifetime_ms=_OPTIN_LIFETIME_MS, head=head, body=body)


def _member(index: int, run: Run) -> dict[str, Any]:
    """A member who gave consent when booking: some hours to some weeks before the run began."""
    who = person(run.seed, index)
    hours_ahead = Random(f"{run.seed}/booked/{index}").randint(2, _BOOKED_AT_MOST_DAYS_AHEAD * 24)
    return {"address": who.address, "locale": who.locale, "evidence_ms": run.start_ms - hours_ahead * HOUR_MS}
