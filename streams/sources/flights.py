"""A day of flights as the airlines would have told it: the source `flights`.

Owns the stream: first the opt-ins of those who follow the flights, then, in order of time, every announcement (delay
announced, delay grown, cancelled, departed, landed), addressed to that flight's list and with a higher version each
time. Versions count through all facets of a flight, so that a cancellation stands above all that was said before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random

from schemas.names import Lane
from schemas.request import NOTIFICATION_TYPE
from streams.sources.announcements import Announcement, announcements, closures
from streams.sources.passengers import OPTIN_SPAN_MS, Sizes, business_of, list_of, optins, subject_of
from streams.sources.timed import DAY_BEGINS, Run, Timed, instant_ms, timed
from streams.sources.timetable import STORM_DAY, Flight, flights_of


@dataclass(frozen=True, slots=True)
class Selection:
    """Which flights: a day, the records it stands in, and how many at most (a sample by seed; None for all)."""

    day: date = STORM_DAY
    file: Path | None = None
    airports: Path | None = None
    limit: int | None = None

    def flights(self, seed: int) -> list[Flight]:
        """The flights in order of their scheduled departure; raises `TimetableError` or `OSError`."""
        flights = flights_of(self.day, file=self.file, airports=self.airports)
        if self.limit is None or self.limit >= len(flights):
            return flights
        kept = Random(f"{seed}/sample/{self.day}").sample(range(len(flights)), max(1, self.limit))
        return [flights[position] for position in sorted(kept)]


def flights(run: Run, selection: Selection | None = None, sizes: Sizes | None = None) -> Iterator[Timed]:
    """The day's events in order of time. Raises `TimetableError` if there is no such day in the records.

    The day begins at `DAY_BEGINS` where the first flight leaves; no announcement is due before the last opt-in is.
    """
    selection = selection or Selection()
    chosen = selection.flights(run.seed)
    begins_ms = instant_ms(selection.day, DAY_BEGINS, chosen[0].origin.zone)
    yield from optins(chosen, run, sizes or Sizes())
    waves = closures(chosen, run.seed)
    said = [
        (announcement.at_ms, position, count, announcement)
        for position, flight in enumerate(chosen)
        for count, announcement in enumerate(
            announcements(flight, seed=run.seed, earliest_ms=begins_ms + OPTIN_SPAN_MS, waves=waves), start=1
        )
    ]
    for known_ms, position, count, announcement in sorted(said, key=lambda row: row[:3]):
        yield _event(chosen[position], announcement, run=run, count=count, at_ms=run.start_ms + known_ms - begins_ms)


def _event(flight: Flight, announcement: Announcement, *, run: Run, count: int, at_ms: int) -> Timed:
    business = business_of(flight)
    head = {
        "type": NOTIFICATION_TYPE,
        "source": run.source(business, "operations"),
        "id": f"{'-'.join(flight.leg)}-{count}",
        "subject": subject_of(flight),
    }
    body = {
        "sender": f"{business}/main",
        "template": announcement.template,
        "params": announcement.params,
        "to": {"list": list_of(flight)},
        "facet": announcement.facet,
        "version": run.version(count),
    }
    return timed(at_ms, lane=Lane.UPDATE, lifetime_ms=announcement.lifetime_ms, head=head, body=body)
