"""The source `logins`: a bank's one-time codes."""

from collections import Counter
from datetime import datetime, time
from itertools import islice, pairwise

import msgspec
import phonenumbers
import pytest

from schemas.names import Lane
from schemas.request import Notification
from schemas.topics import HOUR_MS, MINUTE_MS
from streams.sources.logins import CODE_LIFETIME_MS, DAILY_CURVE, Traffic, logins
from streams.sources.timed import DAY_BEGINS, Run, Timed

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
    """At 180,000 an hour from nine o'clock the codes come about 80 a second, and a limit ends the stream."""
    begun = list(logins(RUN, Traffic(begin=time(9), per_hour=180_000, limit=4_000)))
    seconds = (begun[-1].at_ms - begun[0].at_ms) / 1000
    assert len(begun) == 4_000
    assert 70 < len(begun) / seconds < 100
    assert begun == list(islice(logins(RUN, Traffic(begin=time(9), per_hour=180_000)), 4_000))


@pytest.mark.parametrize("rate", [0, -1])
def test_rate_is_positive(rate: float) -> None:
    """A rate that would never send is refused."""
    with pytest.raises(ValueError, match="above 0"):
        Traffic(per_hour=rate)
