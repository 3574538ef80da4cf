"""Pairs an event of a replay with the instant at which it is due, and the run it belongs to.

Owns the shape that every source yields and the CloudEvents envelope of it. Rules: PROTOCOL.md section 7 (the
contract with producers) and section 8 (a replay has a run id inside `source` and its times shifted, or staleness would
rightly refuse all of it).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from schemas.lanes import Lane
from schemas.wire.timestamps import text_of

Event: TypeAlias = dict[str, Any]
"""A CloudEvent as the JSON of structured mode would hold it."""

DAY_BEGINS: Final = time(3)
"""Local time at which a replayed day begins: the first flight leaves New York two hours later, the first van later
still."""

NEW_YORK: Final = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Run:
    """Identifies a replay, which makes its events new, and repeatable.

    `name` goes into every `source`, so that a second run is not taken for duplicates of the first. `start_ms` is the
    instant on the wall clock that the day's beginning falls on; versions count up from it, so that they rise from run
    to run as well. `seed` decides all that the records do not tell.
    """

    name: str
    start_ms: int
    """Instant that the day's beginning falls on, milliseconds since the epoch."""
    seed: int = 1

    def source(self, business: str, system: str) -> str:
        """The CloudEvents `source` of one system of one business in this run."""
        return f"//{business}/{system}/{self.name}"

    def version(self, count: int) -> int:
        """The `count`-th version (from 1) of a fact of this run; above every version of runs that began earlier."""
        return self.start_ms + count


@dataclass(frozen=True, slots=True)
class Timed:
    """An event and when it is due.

    `at_ms` is on the timeline of the run: `Run.start_ms` plus how long after the day's beginning it happened. `codes`
    holds one-time codes in clear, by parameter name. They are never inside `event`: whoever publishes seals them first.
    They are left out of `repr`, so that no log or traceback shows one.
    """

    at_ms: int
    """When it is due on the timeline of the run, milliseconds since the epoch."""
    lane: Lane
    event: Event
    lifetime_ms: int
    """Milliseconds after which it is not worth telling any more."""
    codes: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def thread(self) -> str:
        """Events of one thread are published in order: all about one subject, opt-ins too. A code is its own thread."""
        return (
            f"{self.event['source']} {self.event['id']}"
            if self.lane.rules.carries_codes
            else str(self.event["subject"])
        )

    def released(self, now_ms: int) -> "Timed":
        """The same event as published at `now_ms`: its `time` is then, and its lifetime begins."""
        stamps = {"time": text_of(now_ms), "expirytime": text_of(now_ms + self.lifetime_ms)}
        return replace(self, event=self.event | stamps)

    def with_codes(self, codes: Mapping[str, str]) -> "Timed":
        """The same event with one-time codes beside it, still to be sealed."""
        return replace(self, codes=codes)


def timed(at_ms: int, *, lane: Lane, lifetime_ms: int, head: Mapping[str, str], body: Mapping[str, Any]) -> Timed:
    """An event of `lane`, due at `at_ms` and worthless `lifetime_ms` later.

    `head` holds `type`, `source`, `id` and `subject`; `body` is the event's `data`.
    """
    event: Event = {"specversion": "1.0", **head, "data": dict(body)}
    return Timed(at_ms, lane, event, lifetime_ms).released(at_ms)


def instant_ms(day: date, at: time | int, zone: ZoneInfo) -> int:
    """Milliseconds since the epoch of a local time; an integer counts minutes from midnight and may pass 24 hours."""
    if isinstance(at, int):
        days, minute = divmod(at, 24 * 60)
        day, at = day + timedelta(days=days), time(minute // 60, minute % 60)
    return int(datetime.combine(day, at, zone).timestamp()) * 1000
