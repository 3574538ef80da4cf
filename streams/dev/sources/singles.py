"""Single updates at a flat rate: the source `singles`, for load tests.

Owns the stream: one message a request, a request every 1 / rate seconds, each to the next of so many people, so that a
person is told again only when all others were. A shop sends them from the number that it has in the development registry.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from schemas.ids import Lane
from schemas.request import NOTIFICATION_TYPE
from schemas.topics import HOUR_MS
from streams.dev.sources.parcels import BUSINESS, DELIVERED
from streams.dev.sources.people import person
from streams.dev.sources.timed import NEW_YORK, Run, Timed, timed

_LIFETIME_MS: Final = HOUR_MS


def singles(run: Run, *, rate_per_s: float, people: int, seconds: float | None = None) -> Iterator[Timed]:
    """Yields an update every 1 / `rate_per_s` seconds, to each of `people` people in turn, for `seconds`; None: for ever."""
    count = 0
    while seconds is None or count < seconds * rate_per_s:
        yield _event(count, run=run, at_ms=run.start_ms + round(count * 1_000 / rate_per_s), people=people)
        count += 1


def _event(count: int, *, run: Run, at_ms: int, people: int) -> Timed:
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
    return timed(at_ms, lane=Lane.UPDATE, lifetime_ms=_LIFETIME_MS, head=head, body=body)
