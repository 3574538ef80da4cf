"""Days of flights as the airlines would have told them: the source `flights`.

Owns the stream: of each day first the opt-ins of those who follow the flights, then, in order of time, every announcement (delay
announced, delay grown, cancelled, departed, landed), addressed to that flight's list and with a higher version each
time. Versions count through all facets of a flight, so that a cancellation stands above all that was said before it.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from schemas.lanes import Lane
from schemas.request import NOTIFICATION_TYPE
from streams.dev.sources.announcements import (
    OPTIN_SPAN_MS,
    Announcement,
    Sizes,
    announcements,
    business_of,
    closures,
    list_of,
    optins,
    subject_of,
)
from streams.dev.sources.records import TimetableError
from streams.dev.sources.timed import DAY_BEGINS, Run, Timed, instant_ms, timed
from streams.dev.sources.timetable import STORM_DAY, Flight, Timetable, timetable_of

_NAMED: Final = 5
"""Rows of a day that are named when they are left out; the others are counted."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which flights: the days from `day` to `through` (None: that day), the records they stand in, how many at most.

    `limit` is a sample of each day by seed; None is all. `otherwise_all` is for a day that nobody asked for: if it is not in
    the records, all their days are taken.
    """

    day: date = STORM_DAY
    file: Path | None = None
    airports: Path | None = None
    limit: int | None = None
    through: date | None = None
    otherwise_all: bool = False

    def timetable(self) -> tuple[Timetable, list[date]]:
        """The records and the days in them; raises `TimetableError` or `OSError`."""
        last = self.through or self.day
        timetable = timetable_of(self.day, last, file=self.file, airports=self.airports)
        if self.otherwise_all and not timetable.has(self.day):
            return timetable, timetable.days(date.min, date.max)
        return timetable, timetable.days(self.day, last)

    def sample(self, flights: list[Flight], day: date, seed: int) -> list[Flight]:
        """Returns the flights of a day that are played, in order of scheduled departure."""
        if self.limit is None or self.limit >= len(flights):
            return flights
        kept = Random(f"{seed}/sample/{day}").sample(range(len(flights)), max(1, self.limit))
        return [flights[position] for position in sorted(kept)]


def flights(
    run: Run,
    selection: Selection | None = None,
    sizes: Sizes | None = None,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Timed]:
    """The events of the days in order of time. Raises `TimetableError` if there is no such day in the records.

    A day begins at `DAY_BEGINS` where the first flight of all leaves; no announcement about its flights is due before the
    last of its opt-ins is. One day is held at a time, and of the day before what is still to be said about its flights.
    Rows that no flight can be made of are left out, and `say` is told which and why.
    """
    selection, sizes = selection or Selection(), sizes or Sizes()
    timetable, days = selection.timetable()
    zone = _zone(timetable, days)
    begins = [instant_ms(day, DAY_BEGINS, zone) for day in days]
    late: list[Timed] = []
    for position, (day, begins_ms) in enumerate(zip(days, begins, strict=True)):
        found, left_out = timetable.read(day)
        if left_out:
            say(_left_out(day, left_out, of=len(found) + len(left_out)))
        chosen = selection.sample(found, day, run.seed)
        shift_ms = run.start_ms - begins[0]
        events = heapq.merge(late, _day(chosen, run, sizes, begins_ms, shift_ms), key=lambda event: event.at_ms)
        if position + 1 == len(days):
            yield from events
            return
        late = []
        for event in events:
            if event.at_ms < begins[position + 1] + shift_ms:
                yield event
            else:
                late.append(event)


def _zone(timetable: Timetable, days: list[date]) -> ZoneInfo:
    """Returns the time zone of the first flight of all; a day of which every row is left out has none."""
    for day in days:
        if found := timetable.flights(day):
            return found[0].origin.zone
    raise TimetableError(f"no flight can be made of any row: {', '.join(timetable.read(days[0])[1][:_NAMED])}")


def _left_out(day: date, rows: list[str], *, of: int) -> str:
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"{day}: {len(rows)} of {of} rows left out: {', '.join(rows[:_NAMED])}{more}"


def _day(chosen: list[Flight], run: Run, sizes: Sizes, begins_ms: int, shift_ms: int) -> Iterator[Timed]:
    """Yields a day's events in order of time; `shift_ms` moves the day's own instants to the run's."""
    yield from optins(chosen, run, sizes, begins_ms=begins_ms + shift_ms)
    waves = closures(chosen, run.seed)
    said = [
        (announcement.at_ms, position, count, announcement)
        for position, flight in enumerate(chosen)
        for count, announcement in enumerate(
            announcements(flight, seed=run.seed, earliest_ms=begins_ms + OPTIN_SPAN_MS, waves=waves), start=1
        )
    ]
    for known_ms, position, count, announcement in sorted(said, key=lambda row: row[:3]):
        yield _event(chosen[position], announcement, run=run, count=count, at_ms=known_ms + shift_ms)


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
