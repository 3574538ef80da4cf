"""The source `logins`: a bank's one-time codes."""

from collections import Counter
from datetime import date, datetime, time
from itertools import islice, pairwise, takewhile

import msgspec
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.lanes import HOUR_MS, MINUTE_MS, Lane
from schemas.request import Notification
from streams.dev.sources.logins import CODE_LIFETIME_MS, DAILY_CURVE, Traffic, logins
from streams.dev.sources.timed import DAY_BEGINS, NEW_YORK, Run, Timed

RUN = Run("r1", 1_760_000_000_000, seed=1)


@pytest.fixture(scope="module")
def day() -> list[Timed]:
    """A whole day at 200 an hour."""
    return list(logins(RUN))


def test_same_run_same_events(day: list[Timed]) -> None:
    """The same run, start and seed give the same events and codes; another seed gives others."""
    assert list(logins(RUN)) == day
    assert [t.codes for t in logins(RUN)] == [t.codes for t in day]
    assert list(logins(Run("r1", RUN.start_ms, seed=2))) != day


def test_order_and_identity(day: list[Timed]) -> None:
    """Events come in order of time, and no two share source and id."""
    assert all(earlier.at_ms <= later.at_ms for earlier, later in pairwise(day))
    assert len({(timed.event["source"], timed.event["id"]) for timed in day}) == len(day)


def test_no_code_in_clear(day: list[Timed]) -> None:
    """The code stands beside the event, never inside it, and never in what a log would print of it."""
    for timed in day:
        code = timed.codes["code"]
        assert len(code) == 6
        assert code.isdecimal()
        (recipient,) = timed.event["data"]["to"]["recipients"]
        assert recipient.keys() == {"address", "locale"}
        assert code not in str(timed.event["data"]["params"])
        assert "codes" not in repr(timed)


def test_contract(day: list[Timed]) -> None:
    """Each event is of the otp lane, for one valid number, and dies with the code."""
    for timed in day:
        data = msgspec.convert(timed.event["data"], Notification)
        (recipient,) = data.to.recipients
        lived = datetime.fromisoformat(timed.event["expirytime"]) - datetime.fromisoformat(timed.event["time"])
        assert phonenumbers.is_valid_number(phonenumbers.parse(recipient.address.removeprefix("tel:")))
        assert (timed.lane, timed.event["subject"]) == (Lane.OTP, "login")
        assert (data.facet, data.version) == (None, None)
        assert lived.total_seconds() * 1000 == CODE_LIFETIME_MS


def test_follows_the_day(day: list[Timed]) -> None:
    """As many codes as the rate promises, shared among the hours as the curve says (within five deviations)."""
    hours = Counter((DAY_BEGINS.hour + (timed.at_ms - RUN.start_ms) // HOUR_MS) % 24 for timed in day)
    scale = 24 * 200 * 1.06 / sum(DAILY_CURVE)
    for hour, weight in enumerate(DAILY_CURVE):
        assert abs(hours[hour] - scale * weight) < 5 * (scale * weight) ** 0.5 + 5


@given(seed=st.integers(0, 10**6), peak=st.floats(0.2, 1.5), hour=st.integers(0, 23))
@settings(max_examples=25, deadline=None)
def test_the_busiest_hour_has_the_peak_rate(seed: int, peak: float, hour: int) -> None:
    """Whatever the seed: from eight to nine so many a second, and in every hour its part of it (within five deviations)."""
    run = Run("r1", RUN.start_ms, seed=seed)
    traffic = Traffic(begin=time(hour), peak_per_s=peak)
    within = takewhile(lambda each: each.at_ms < RUN.start_ms + HOUR_MS, logins(run, traffic))
    expected = 3_600 * peak * 1.06 * DAILY_CURVE[hour] / DAILY_CURVE[8]
    assert abs(sum(1 for _ in within) - expected) < 5 * expected**0.5 + 5


def test_the_peak_is_from_eight_to_nine() -> None:
    """2.6 times the day's mean; the numbers that the help tells are those of the curve."""
    peak = max(DAILY_CURVE)
    assert DAILY_CURVE.index(peak) == 8
    assert round(peak / (sum(DAILY_CURVE) / 24), 1) == 2.6
    told = {3: 0.04, 6: 0.34, 7: 0.68, 9: 0.74, 19: 0.58}
    assert {hour: round(DAILY_CURVE[hour] / peak, 2) for hour in told} == told


@pytest.mark.parametrize("day", [date(2013, 3, 10), date(2013, 11, 3)])
def test_the_peak_is_at_eight_by_the_clock(day: date) -> None:
    """On the days on which clocks are moved, too: the busiest hour of the day begins at eight where people live."""
    hours: Counter[int] = Counter()
    begins_ms = int(datetime.combine(day, time(0), NEW_YORK).timestamp()) * 1000
    for each in logins(RUN, Traffic(day, time(0), per_hour=400)):
        hours[datetime.fromtimestamp((each.at_ms - RUN.start_ms + begins_ms) / 1000, NEW_YORK).hour] += 1
    assert hours.most_common(1)[0][0] == 8


def test_some_ask_again(day: list[Timed]) -> None:
    """About six in a hundred ask for another code within two minutes, and get one under another id."""
    last: dict[str, int] = {}
    again = 0
    for timed in day:
        address = timed.event["data"]["to"]["recipients"][0]["address"]
        again += timed.at_ms - last.get(address, 0) < 2 * MINUTE_MS
        last[address] = timed.at_ms
    assert 0.03 < again / len(day) < 0.09


def test_rate_and_limit() -> None:
    """At 180,000 an hour from nine o'clock the codes come about 100 a second, and a limit ends the stream."""
    begun = list(logins(RUN, Traffic(begin=time(9), per_hour=180_000, limit=4_000)))
    seconds = (begun[-1].at_ms - begun[0].at_ms) / 1000
    assert len(begun) == 4_000
    assert 90 < len(begun) / seconds < 115
    assert begun == list(islice(logins(RUN, Traffic(begin=time(9), per_hour=180_000)), 4_000))


@pytest.mark.parametrize("rate", [0, -1])
def test_rate_is_positive(rate: float) -> None:
    """A rate that would never send is refused, whichever it is."""
    with pytest.raises(ValueError, match="above 0"):
        Traffic(per_hour=rate)
    with pytest.raises(ValueError, match="above 0"):
        Traffic(peak_per_s=rate)
