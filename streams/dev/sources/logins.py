"""A bank's one-time codes: the source `logins`.

Owns the stream: people sign in as a Poisson process whose rate follows the day, and some ask for another code when the
first is slow. Each code goes to one recipient, is worth nothing after five minutes, and is not in the event: it stands
beside it in `Timed.codes` until whoever publishes seals it to the gateway's key (PROTOCOL.md section 6).
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from random import Random
from typing import Final

from schemas.lanes import DAY_MS, HOUR_MS, MINUTE_MS, Lane
from schemas.request import NOTIFICATION_TYPE
from streams.dev.sources.seeded_people import CUSTOMERS, person
from streams.dev.sources.timed import DAY_BEGINS, NEW_YORK, Run, Timed, instant_ms, timed
from streams.dev.sources.timetable import STORM_DAY

BUSINESS: Final = "bank-meridian"
TEMPLATE: Final = "login_code"
PURPOSE: Final = "login"

CODE_LIFETIME_MS: Final = 5 * MINUTE_MS
"""A code and its message live equally long: a code that arrives dead costs money and trust."""

DAILY_CURVE: Final = (
    *(0.25, 0.15, 0.10, 0.10, 0.15, 0.35, 0.85, 1.70, 2.50, 1.85, 1.40, 1.20),
    *(1.25, 1.15, 1.05, 1.00, 1.05, 1.20, 1.40, 1.45, 1.25, 0.90, 0.50, 0.30),
)
"""Sign-ins in each hour of New York's day, relative to one another: quiet at night, a peak from eight to nine in the morning,
2.6 times the mean, and a low one in the evening. Within an hour the rate is even."""

TOP: Final = max(DAILY_CURVE)
MEAN: Final = sum(DAILY_CURVE) / len(DAILY_CURVE)

_ASKS_AGAIN: Final = 0.06
_ASKS_AGAIN_AFTER_MS: Final = (35_000, 75_000)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Describes the sign-ins of a day: `per_hour` on average, from `begin` on the clock, for 24 hours.

    `peak_per_s` is the rate of the busiest hour instead. Who asks again for a code comes on top of either. `limit` ends the
    stream after so many codes.
    """

    day: date = STORM_DAY
    begin: time = DAY_BEGINS
    per_hour: float = 200.0
    limit: int | None = None
    peak_per_s: float | None = None
    """Sign-ins a second of the busiest hour; None: as ``per_hour`` has it."""

    def __post_init__(self) -> None:
        if self.top_per_ms <= 0:
            raise ValueError("a rate is above 0")

    @property
    def top_per_ms(self) -> float:
        """Sign-ins a millisecond in the busiest hour."""
        return self.per_hour * TOP / MEAN / HOUR_MS if self.peak_per_s is None else self.peak_per_s / 1_000


def logins(run: Run, traffic: Traffic | None = None) -> Iterator[Timed]:
    """Yields an event for each code that is asked for, in order of time."""
    traffic = traffic or Traffic()
    begins_ms = instant_ms(traffic.day, traffic.begin, NEW_YORK)
    dice = Random(f"{run.seed}/logins")
    for count, (at_ms, whom) in enumerate(_asked(traffic, dice), start=1):
        if traffic.limit is not None and count > traffic.limit:
            return
        yield _event(count, whom, run=run, at_ms=run.start_ms + at_ms - begins_ms, code=f"{dice.randrange(10**6):06d}")


def _asked(traffic: Traffic, dice: Random) -> Iterator[tuple[int, int]]:
    """(when, who) of every code asked for: sign-ins, merged with those who ask again."""
    again: list[tuple[int, int]] = []
    for at_ms in _arrivals(traffic, dice):
        while again and again[0][0] <= at_ms:
            yield heapq.heappop(again)
        whom = dice.randrange(CUSTOMERS)
        if dice.random() < _ASKS_AGAIN:
            heapq.heappush(again, (at_ms + dice.randint(*_ASKS_AGAIN_AFTER_MS), whom))
        yield at_ms, whom
    yield from sorted(again)


def _arrivals(traffic: Traffic, dice: Random) -> Iterator[int]:
    """Instants of an inhomogeneous Poisson process over one day, by thinning (Lewis and Shedler, 1979)."""
    begins_ms = instant_ms(traffic.day, traffic.begin, NEW_YORK)
    at_ms = float(begins_ms)
    while True:
        at_ms += dice.expovariate(traffic.top_per_ms)
        if at_ms >= begins_ms + DAY_MS:
            return
        hour = datetime.fromtimestamp(at_ms / 1_000, NEW_YORK).hour
        if dice.random() < DAILY_CURVE[hour] / TOP:
            yield int(at_ms)


def _event(count: int, whom: int, *, run: Run, at_ms: int, code: str) -> Timed:
    who = person(run.seed, whom)
    head = {
        "type": NOTIFICATION_TYPE,
        "source": run.source(BUSINESS, "sign-in"),
        "id": f"code-{count:07d}",
        "subject": PURPOSE,
    }
    body = {
        "sender": f"{BUSINESS}/main",
        "template": TEMPLATE,
        "params": {"minutes": str(CODE_LIFETIME_MS // MINUTE_MS)},
        "to": {"recipients": [{"address": who.address, "locale": who.locale}]},
    }
    sent = timed(at_ms, lane=Lane.OTP, lifetime_ms=CODE_LIFETIME_MS, head=head, body=body)
    return sent.with_codes({"code": code})
