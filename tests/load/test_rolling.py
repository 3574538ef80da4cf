"""What the figures of a rolling restart count: pure, without a process."""

import pytest

from schemas.lanes import Lane
from tests.load.rolling import by_lane, longest_s


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        pytest.param([9_000, 10_500, 12_000], 1.5, id="between two hand-offs"),
        pytest.param([1_000, 10_500, 12_000], 9.5, id="begun before the span"),
        pytest.param([10_500, 11_000, 19_000], 8.0, id="ended after it"),
        pytest.param([1_000, 9_000, 10_100, 11_900, 30_000], 18.1, id="only what touches the span"),
        pytest.param([9_000, 10_500], 9.5, id="never again: until the load ended"),
        pytest.param([], 10.0, id="never at all"),
    ],
)
def test_a_silence_is_the_longest_time_between_two_hand_offs(times: list[int], seconds: float) -> None:
    """Of the span from 10 to 12 s, in a run that ended at 20 s."""
    assert longest_s(times, (10_000, 12_000), until_ms=20_000) == seconds


def test_the_excess_is_what_a_shard_was_silent_beyond_its_own_usual() -> None:
    """Usual is what the load alone leaves between two hand-offs of that shard."""
    handed = {
        (Lane.OTP, 0): [1_000, 2_000, 3_000, 4_000, 7_000, 8_000],
        (Lane.UPDATE, 0): [1_000, 3_500, 7_000, 8_000],
    }
    found = by_lane(handed, calm=(1_000, 3_000), rolling=(3_600, 7_500), until_ms=8_000)
    assert found["silence_s"] == {"otp": {"p50": 3.0, "max": 3.0}, "update": {"p50": 3.5, "max": 3.5}, "campaign": {}}
    assert found["usual_s"] == {"otp": {"p50": 1.0, "max": 1.0}, "update": {"p50": 2.5, "max": 2.5}, "campaign": {}}
    assert found["beyond_usual_s"] == 2.0
