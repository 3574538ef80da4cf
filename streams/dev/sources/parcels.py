"""Makes a shop's deliveries: a day of them, the source `parcels`, or single updates at a flat rate, the source `singles`.

Of a day, each parcel is announced for a window of two hours, goes out in the morning, and is delivered or missed on
the van's round; some of what was missed gets a second try in the evening. A third of the vans are late: the window is moved,
sometimes to a first guess that is corrected a minute later. One recipient each, named in the request; all of it is one fact
of the parcel with rising versions, so that whatever still waits when a newer word comes is superseded, and nothing is told
after "delivered" (PROTOCOL.md section 4).

At a flat rate there is one message a request, a request every 1 / rate seconds, each to the next of so many people, so that a
person is told again only when all others were. A shop sends them from the number that it has in the development registry.
"""

from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from random import Random
from typing import Final, NamedTuple

from schemas.lanes import HOUR_MS, MINUTE_MS, Lane
from schemas.request import NOTIFICATION_TYPE
from streams.dev.sources.seeded_people import CUSTOMERS, person
from streams.dev.sources.timed import DAY_BEGINS, NEW_YORK, Run, Timed, instant_ms, timed
from streams.dev.sources.timetable import STORM_DAY

BUSINESS: Final = "shop-parcelo"
PARCELS_A_DAY: Final = 2_000

ANNOUNCED: Final = "parcel_announced"
MOVED: Final = "parcel_moved"
OUT: Final = "parcel_out_for_delivery"
DELIVERED: Final = "parcel_delivered"
MISSED: Final = "parcel_missed"

_LIFETIME_MS: Final = dict.fromkeys((ANNOUNCED, MOVED, OUT), 12 * HOUR_MS) | dict.fromkeys(
    (DELIVERED, MISSED), 24 * HOUR_MS
)
"""When a parcel comes is news while the van may still come; the others until the next day."""

_ANNOUNCED_MINUTES: Final = (5 * 60, 6 * 60 + 15)
_DEPOT_MINUTES: Final = (6 * 60 + 30, 9 * 60 + 30)
_ROUND_MINUTES: Final = (45, 8 * 60)
_SECOND_TRY_MINUTES: Final = (18 * 60, 20 * 60 + 30)
_FIRST_TRY_DELIVERS: Final = 0.86
_HAS_SECOND_TRY: Final = 0.5
_SECOND_TRY_DELIVERS: Final = 0.8
_WINDOW_MINUTES: Final = 120
"""The shop names a time of arrival to within two hours."""

_LATE: Final = 0.35
_LATE_BY_MINUTES: Final = (60, 180)
_KNOWN_AT_DEPOT: Final = 0.4
"""Of the late vans: how many are known to be late before they leave. The others find out on their way."""
_GUESSED: Final = 0.3
_CORRECTED_AFTER_MS: Final = (20_000, 90_000)
_AGAIN_AFTER_MS: Final = HOUR_MS


class _Scan(NamedTuple):
    """Holds a piece of news of a parcel, `at_ms` from midnight; `window` and `before` as its template needs them."""

    at_ms: int
    """Milliseconds from midnight of the day."""
    template: str
    window: str = ""
    before: str = ""


def parcels(run: Run, *, day: date = STORM_DAY, count: int = PARCELS_A_DAY) -> Iterator[Timed]:
    """The day's events of `count` parcels, in order of time. The day begins at `DAY_BEGINS` in New York."""
    midnight_ms = instant_ms(day, 0, NEW_YORK)
    begins_ms = instant_ms(day, DAY_BEGINS, NEW_YORK)
    scanned = [
        (midnight_ms + scan.at_ms, number, version, scan)
        for number in range(1, count + 1)
        for version, scan in enumerate(_scans(number, run.seed), start=1)
    ]
    for known_ms, number, version, scan in sorted(scanned):
        params = {
            "parcel": f"PL{run.seed % 1000:03d}{number:07d}",
            "event_time": f"{datetime.fromtimestamp(known_ms // 1000, NEW_YORK):%Y-%m-%d %H:%M %Z}",
        }
        params |= {name: value for name, value in (("window", scan.window), ("before", scan.before)) if value}
        at_ms = run.start_ms + known_ms - begins_ms
        yield _event(number, version, run=run, at_ms=at_ms, template=scan.template, params=params)


def _scans(number: int, seed: int) -> list[_Scan]:
    """All that is said of one parcel, in strictly rising order of time."""
    dice = Random(f"{seed}/parcel/{number}")
    out_ms = _instant(dice, _DEPOT_MINUTES)
    planned_ms = out_ms + _instant(dice, _ROUND_MINUTES)
    late_ms = dice.randint(*_LATE_BY_MINUTES) * MINUTE_MS if dice.random() < _LATE else 0
    windows = [_Scan(_instant(dice, _ANNOUNCED_MINUTES), ANNOUNCED, _window(planned_ms))]
    if late_ms:
        windows += _moves(dice, out_ms=out_ms, planned_ms=planned_ms, late_ms=late_ms)
    windows = [
        windows[0],
        *(now._replace(before=was.window) for was, now in pairwise(windows) if now.window != was.window),
    ]
    known = [scan.window for scan in windows if scan.at_ms < out_ms]
    return sorted([*windows, _Scan(out_ms, OUT, known[-1]), *_doors(dice, planned_ms + late_ms)])


def _moves(dice: Random, *, out_ms: int, planned_ms: int, late_ms: int) -> list[_Scan]:
    """The words about a late van: before it leaves or on its way, at times with a wrong guess first."""
    if dice.random() < _KNOWN_AT_DEPOT:
        at_ms = dice.randrange((_ANNOUNCED_MINUTES[1] + 1) * MINUTE_MS, out_ms)
    else:
        at_ms = out_ms + int((planned_ms - out_ms) * dice.uniform(0.2, 0.8))
    moved = _Scan(at_ms, MOVED, _window(planned_ms + late_ms))
    if dice.random() >= _GUESSED:
        return [moved]
    guess = _Scan(at_ms, MOVED, _window(planned_ms + 2 * late_ms))
    return [guess, moved._replace(at_ms=at_ms + dice.randint(*_CORRECTED_AFTER_MS))]


def _doors(dice: Random, door_ms: int) -> list[_Scan]:
    """Returns the scans at the door, and at the second try if there is one."""
    if dice.random() < _FIRST_TRY_DELIVERS:
        return [_Scan(door_ms, DELIVERED)]
    if dice.random() >= _HAS_SECOND_TRY:
        return [_Scan(door_ms, MISSED)]
    again_ms = max(door_ms + _AGAIN_AFTER_MS, _instant(dice, _SECOND_TRY_MINUTES))
    return [_Scan(door_ms, MISSED), _Scan(again_ms, DELIVERED if dice.random() < _SECOND_TRY_DELIVERS else MISSED)]


def _instant(dice: Random, minutes: tuple[int, int]) -> int:
    """Some millisecond of some minute of a span."""
    return dice.randint(*minutes) * MINUTE_MS + dice.randrange(MINUTE_MS)


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


_SINGLE_LIFETIME_MS: Final = HOUR_MS


def singles(run: Run, *, rate_per_s: float, people: int, seconds: float | None = None) -> Iterator[Timed]:
    """Yields an update every 1 / `rate_per_s` seconds, to each of `people` people in turn, for `seconds`; None: for ever."""
    count = 0
    while seconds is None or count < seconds * rate_per_s:
        yield _single(count, run=run, at_ms=run.start_ms + round(count * 1_000 / rate_per_s), people=people)
        count += 1


def _single(count: int, *, run: Run, at_ms: int, people: int) -> Timed:
    who = person(run.seed, count % people)
    parcel = f"SG{run.seed % 1000:03d}{count + 1:09d}"
    params = {"parcel": parcel, "event_time": f"{datetime.fromtimestamp(at_ms / 1_000, NEW_YORK):%H:%M:%S %Z}"}
    head = {
        "type": NOTIFICATION_TYPE,
        "source": run.source(BUSINESS, "singles"),
        "id": parcel,
        "subject": f"parcel/{parcel}",
    }
    body = {
        "sender": f"{BUSINESS}/main",
        "template": DELIVERED,
        "to": {"recipients": [{"address": who.address, "locale": who.locale, "params": params}]},
    }
    return timed(at_ms, lane=Lane.UPDATE, lifetime_ms=_SINGLE_LIFETIME_MS, head=head, body=body)
