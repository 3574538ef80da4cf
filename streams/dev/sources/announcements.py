"""Derives what an airline says of a flight, when, and who follows it: the part behind the source `flights`.

The on-time records tell what became of a flight; this module tells when its airline knew, and in which steps it would
have said so. Departures and landings are real to the minute. When a delay was announced and when a flight was cancelled
the records do not tell: those instants are drawn from a seed under the rules below, a cancellation always ahead of the
scheduled departure. Facets, versions and dominance: PROTOCOL.md section 4.

Owns the lists: one for each flight, larger the farther the flight goes, with a few people who follow two flights
(somebody with two bookings, or who waits for somebody). The proof of consent goes with every event (GDPR art. 7(1)).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from schemas.lanes import DAY_MS, HOUR_MS, MINUTE_MS, Lane
from schemas.request import MAX_RECIPIENTS, OPTIN_TYPE
from streams.dev.sources.seeded_people import person
from streams.dev.sources.timed import Run, Timed, instant_ms, timed
from streams.dev.sources.timetable import Airport, Flight

STATUS: Final = "status"
EVERYTHING: Final = "*"
"""The facet that dominates all others: after a cancellation nothing else about the flight is news."""

WORTH_TELLING_MS: Final = 15 * MINUTE_MS
"""From here on a departure counts as delayed in the records' own statistics; below it airlines say nothing."""

_LIFETIME_MS: Final = {"flight_cancelled": 24 * HOUR_MS, "flight_departed": 4 * HOUR_MS, "flight_landed": 4 * HOUR_MS}
_DELAY_LIFETIME_LEAST_MS: Final = 30 * MINUTE_MS
"""An announced delay is worthless once the announced departure has passed, but may travel this long at least."""

_WAVE_LEAD_HOURS: Final = 4
_WAVE_SHARE: Final = 0.6
_WAVE_SPREAD_MS: Final = 10 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Announcement:
    """Holds an announcement about a flight: when the airline knew, which template, and what the template needs."""

    at_ms: int
    """When the airline knew, milliseconds since the epoch, on the day itself."""
    template: str
    params: dict[str, str]
    lifetime_ms: int
    """Milliseconds that it is worth telling."""

    @property
    def facet(self) -> str:
        """Which fact of the flight it is: a cancellation ends all of them."""
        return EVERYTHING if self.template == "flight_cancelled" else STATUS


def closures(flights: Sequence[Flight], seed: int) -> dict[tuple[str, str], int]:
    """When each airline gave up the later part of the day at each airport, in one stroke: some time in the morning.

    In a storm most cancellations are decided like this, hours ahead, which is what makes them come in waves.
    """
    stations = {(flight.carrier, flight.origin.code): flight for flight in flights}
    return {
        station: instant_ms(flight.day, Random(f"{seed}/closure/{station}").randint(330, 600), flight.origin.zone)
        for station, flight in stations.items()
    }


def announcements(
    flight: Flight, *, seed: int, earliest_ms: int, waves: Mapping[tuple[str, str], int]
) -> list[Announcement]:
    """All that is said about one flight, in strictly rising order of time.

    What was known before `earliest_ms` is said then. `waves` are the `closures` of the day.
    """
    dice = Random(f"{seed}/announcements/{flight.leg}")
    if flight.departed_ms is None:
        said = _cancelled(flight, dice, wave_ms=waves[flight.carrier, flight.origin.code])
    else:
        said = _flown(flight, flight.departed_ms, dice=dice)
    rising = []
    for announcement in said:
        at_ms = max(announcement.at_ms, earliest_ms)
        rising.append(replace(announcement, at_ms=at_ms))
        earliest_ms = at_ms + 1
    return rising


def _cancelled(flight: Flight, dice: Random, *, wave_ms: int) -> list[Announcement]:
    """With the wave if the flight was to leave well after it; else alone, at times after a delay was announced."""
    lead_ms = flight.scheduled_ms - wave_ms
    if lead_ms > _WAVE_LEAD_HOURS * HOUR_MS and dice.random() < _WAVE_SHARE:
        return [_cancellation(flight, wave_ms + dice.randrange(_WAVE_SPREAD_MS))]
    lead_ms = dice.randint(40, 240) * MINUTE_MS - dice.randrange(MINUTE_MS)
    at_ms = flight.scheduled_ms - lead_ms
    said = [_cancellation(flight, at_ms)]
    if lead_ms < 150 * MINUTE_MS and dice.random() < 0.5:
        hoped_ms = dice.randrange(30, 125, 5) * MINUTE_MS
        said.insert(0, _delay(flight, at_ms - dice.randint(20, 60) * MINUTE_MS, by_ms=hoped_ms))
    return said


def _flown(flight: Flight, departed_ms: int, *, dice: Random) -> list[Announcement]:
    said = [_delay(flight, at_ms, by_ms=by_ms) for at_ms, by_ms in _delay_steps(flight, dice)]
    said.append(_moved(flight, "flight_departed", departed_ms + dice.randrange(MINUTE_MS), airport=flight.origin))
    if flight.landed_ms is not None:
        landed_ms = flight.landed_ms + dice.randrange(MINUTE_MS)
        said.append(_moved(flight, "flight_landed", landed_ms, airport=flight.destination))
    return said


def _delay_steps(flight: Flight, dice: Random) -> list[tuple[int, int]]:
    """(when said, late by how much): one to four estimates growing to the real delay, each before the last ran out."""
    if flight.delay_ms < WORTH_TELLING_MS:
        return []
    final = flight.delay_ms // MINUTE_MS // 5 * 5
    count = 1 + (final >= 45) + (final >= 120) + (final >= 240)
    estimates = sorted({max(15, round(final * part / count / 5) * 5) for part in range(1, count)} | {final})
    said = [-dice.randint(15, 60), *(estimate - dice.randint(5, 14) for estimate in estimates[:-1])]
    return [
        (flight.scheduled_ms + at * MINUTE_MS + dice.randrange(MINUTE_MS), by * MINUTE_MS)
        for at, by in zip(said, estimates, strict=True)
    ]


def _delay(flight: Flight, at_ms: int, *, by_ms: int) -> Announcement:
    expected_ms = flight.scheduled_ms + by_ms
    params = _plan(flight, at_ms) | {
        "expected": _clock(expected_ms, flight.origin.zone),
        "minutes": str(by_ms // MINUTE_MS),
    }
    return Announcement(at_ms, "flight_delay", params, max(_DELAY_LIFETIME_LEAST_MS, expected_ms - at_ms))


def _cancellation(flight: Flight, at_ms: int) -> Announcement:
    return Announcement(at_ms, "flight_cancelled", _plan(flight, at_ms), _LIFETIME_MS["flight_cancelled"])


def _moved(flight: Flight, template: str, at_ms: int, *, airport: Airport) -> Announcement:
    """The flight left, or came down, at `airport`, by the clocks there."""
    params = {
        "flight": flight.designator,
        "origin": _place(flight.origin),
        "destination": _place(flight.destination),
        "event_time": _event_time(at_ms, airport.zone),
    }
    return Announcement(at_ms, template, params, _LIFETIME_MS[template])


def _plan(flight: Flight, at_ms: int) -> dict[str, str]:
    """Returns the parameters that every announcement about a flight still on the ground has."""
    zone = flight.origin.zone
    return {
        "flight": flight.designator,
        "origin": _place(flight.origin),
        "destination": _place(flight.destination),
        "scheduled": _clock(flight.scheduled_ms, zone),
        "event_time": _event_time(at_ms, zone),
    }


def _place(airport: Airport) -> str:
    return f"{airport.name} ({airport.code})"


def _clock(at_ms: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(at_ms // 1000, zone):%H:%M}"


def _event_time(at_ms: int, zone: ZoneInfo) -> str:
    """When it was known, on the day that is replayed: `2013-02-08 05:17 EST`, the same in every language."""
    return f"{datetime.fromtimestamp(at_ms // 1000, zone):%Y-%m-%d %H:%M %Z}"


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
