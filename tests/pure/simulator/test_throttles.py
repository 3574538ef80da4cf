"""The platform's limit of throughput: what it lets through, what it refuses, and the figures it answers with."""

from hypothesis import given
from hypothesis import strategies as st

from streams.simulator.platform_limits import SenderThroughput

NOW_MS = 1_000_000_000


@given(st.integers(1, 50_000_000), st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 6_000)), max_size=30))
def test_sender_throughput_is_bounded(rate: int, asks: list[tuple[int, int]]) -> None:
    """In any span a sender gets at most one second's burst and its rate times the span."""
    throughput, now_ms, passed = SenderThroughput(), NOW_MS, 0
    for wait_ms, wanted in asks:
        now_ms += wait_ms
        granted = throughput.take("s", rate, wanted, now_ms)
        assert 0 <= granted <= wanted
        passed += granted
        assert passed * 1_000 <= rate * (1_000 + now_ms - NOW_MS)


@given(st.integers(1, 2_000), st.integers(0, 3_000))
def test_sender_wait_is_true(rate: int, place: int) -> None:
    """Who waits as long as its n-th refused message was told finds n tokens; a millisecond earlier there are fewer."""
    place %= rate
    for early_ms in (0, 1):
        throughput = SenderThroughput()
        assert throughput.take("s", rate, rate + 1, NOW_MS) == rate
        wait_ms = throughput.wait_ms("s", place, NOW_MS)
        granted = throughput.take("s", rate, place + 1, NOW_MS + wait_ms - early_ms)
        assert (granted == place + 1) is (early_ms == 0)


def test_a_clock_that_was_set_back_gives_nothing_away() -> None:
    """A bucket that was filled by a clock ahead is empty until that time comes again, and owes nobody."""
    throughput = SenderThroughput()
    assert throughput.take("s", 10, 10, NOW_MS + 2_000) == 10
    assert throughput.take("s", 10, 10, NOW_MS) == 0
    assert throughput.take("s", 10, 1, NOW_MS + 2_100) == 1
    assert throughput.take("s", 10, 1, NOW_MS + 2_100) == 0


def test_senders_do_not_share() -> None:
    """One sender's spent tokens are no other's."""
    throughput = SenderThroughput()
    assert throughput.take("a", 10, 50, NOW_MS) == 10
    assert throughput.take("a", 10, 50, NOW_MS) == 0
    assert throughput.take("b", 10, 50, NOW_MS) == 10
