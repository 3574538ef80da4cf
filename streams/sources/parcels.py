"""A shop's day of deliveries: the source `parcels`.

Owns the stream: each parcel goes out in the morning, is delivered or missed on the van's round, and some of what was
missed gets a second try in the evening. One recipient each, named in the request; versions rise per parcel, so that
"out for delivery" is never told after "delivered" (PROTOCOL.md section 4).
"""

from collections.abc import Iterator
from datetime import date, datetime
from random import Random
from typing import Final

from schemas.names import Lane
from schemas.request import NOTIFICATION_TYPE
from schemas.topics import HOUR_MS, MINUTE_MS
from streams.sources.people import CUSTOMERS, person
from streams.sources.timed import DAY_BEGINS, NEW_YORK, Run, Timed, instant_ms, timed
from streams.sources.timetable import STORM_DAY

BUSINESS: Final = "shop-parcelo"
PARCELS_A_DAY: Final = 2_000

OUT: Final = "parcel_out_for_delivery"
DELIVERED: Final = "parcel_delivered"
MISSED: Final = "parcel_missed"

_LIFETIME_MS: Final = {OUT: 12 * HOUR_MS, DELIVERED: 24 * HOUR_MS, MISSED: 24 * HOUR_MS}
"""Out for delivery is news while the van may still come; the others until the next day."""

_DEPOT_MINUTES: Final = (6 * 60 + 30, 9 * 60 + 30)
_ROUND_MINUTES: Final = (45, 8 * 60)
_SECOND_TRY_MINUTES: Final = (18 * 60, 20 * 60 + 30)
_FIRST_TRY_DELIVERS: Final = 0.86
_HAS_SECOND_TRY: Final = 0.5
_SECOND_TRY_DELIVERS: Final = 0.8
_WINDOW_MINUTES: Final = 120
"""The shop names a time of arrival to within two hours."""


def parcels(run: Run, *, day: date = STORM_DAY, count: int = PARCELS_A_DAY) -> Iterator[Timed]:
    """The day's events of `count` parcels, in order of time. The day begins at `DAY_BEGINS` in New York."""
    midnight_ms = instant_ms(day, 0, NEW_YORK)
    begins_ms = instant_ms(day, DAY_BEGINS, NEW_YORK)
    scanned = [
        (midnight_ms + at_ms, number, version, template, window)
        for number in range(1, count + 1)
        for version, (at_ms, template, window) in enumerate(_scans(number, run.seed), start=1)
    ]
    for known_ms, number, version, template, window in sorted(scanned):
        params = {
            "parcel": f"PL{run.seed % 1000:03d}{number:07d}",
            "event_time": f"{datetime.fromtimestamp(known_ms // 1000, NEW_YORK):%Y-%m-%d %H:%M %Z}",
        }
        if template == OUT:
            params["window"] = window
        at_ms = run.start_ms + known_ms - begins_ms
        yield _event(number, version, run=run, at_ms=at_ms, template=template, params=params)


def _scans(number: int, seed: int) -> list[tuple[int, str, str]]:
    """(milliseconds from midnight, template, promised window) of one parcel, in order of time."""
    dice = Random(f"{seed}/parcel/{number}")
    out_ms = dice.randint(*_DEPOT_MINUTES) * MINUTE_MS + dice.randrange(MINUTE_MS)
    door_ms = out_ms + dice.randint(*_ROUND_MINUTES) * MINUTE_MS + dice.randrange(MINUTE_MS)
    window = _window(door_ms)
    scans = [(out_ms, OUT, window)]
    if dice.random() < _FIRST_TRY_DELIVERS:
        return [*scans, (door_ms, DELIVERED, window)]
    scans.append((door_ms, MISSED, window))
    if dice.random() < _HAS_SECOND_TRY:
        again_ms = dice.randint(*_SECOND_TRY_MINUTES) * MINUTE_MS + dice.randrange(MINUTE_MS)
        scans.append((again_ms, DELIVERED if dice.random() < _SECOND_TRY_DELIVERS else MISSED, _window(again_ms)))
    return scans


def _window(at_ms: int) -> str:
    """The two hours that hold the instant, as the shop announces them: `14:00-16:00`."""
    first = at_ms // MINUTE_MS // _WINDOW_MINUTES * _WINDOW_MINUTES // 60
    return f"{first:02d}:00-{first + _WINDOW_MINUTES // 60:02d}:00"


def _event(number: int, version: int, *, run: Run, at_ms: int, template: str, params: dict[str, str]) -> Timed:
    who = person(run.seed, Random(f"{run.seed}/parcel-for/{number}").randrange(CUSTOMERS))
    head = {
        "type": NOTIFICATION_TYPE,
        "source": run.source(BUSINESS, "warehouse"),
        "id": f"{params['parcel']}-{version}",
        "subject": f"parcel/{params['parcel']}",
    }
    body = {
        "sender": f"{BUSINESS}/main",
        "template": template,
        "to": {"recipients": [{"address": who.address, "locale": who.locale, "params": params}]},
        "facet": "status",
        "version": run.version(version),
    }
    return timed(at_ms, lane=Lane.UPDATE, lifetime_ms=_LIFETIME_MS[template], head=head, body=body)
