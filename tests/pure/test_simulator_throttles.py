"""The platform's limits: what they let through, what they refuse, and the figures they answer with."""

from hypothesis import given
from hypothesis import strategies as st

from streams.simulator.throttles import PAIR_BURST, PAIR_EVERY_MS, PairLimit, SenderThroughput

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


def test_pair_burst_borrows_from_the_future() -> None:
    """45 at once pass, the next waits 6 s, and each pause pays for what fits into it."""
    pairs = PairLimit()
    taken = [pairs.take("s", b"p", NOW_MS) for _ in range(PAIR_BURST)]
    assert taken == [0] * PAIR_BURST
    assert pairs.take("s", b"p", NOW_MS) == PAIR_EVERY_MS
    assert pairs.take("s", b"p", NOW_MS + PAIR_EVERY_MS - 1) == 1
    assert pairs.take("s", b"p", NOW_MS + PAIR_EVERY_MS) == 0
    assert pairs.take("s", b"p", NOW_MS + PAIR_EVERY_MS) > 0
    assert pairs.take("s", b"other", NOW_MS) == 0
    assert pairs.take("other", b"p", NOW_MS) == 0


_ASKS = st.lists(st.tuples(st.integers(0, 9_000), st.lists(st.integers(0, 5), max_size=6)), max_size=30)


@given(_ASKS, st.integers(1, 3))
def test_many_at_once_are_counted_as_one_by_one(asks: list[tuple[int, list[int]]], burst: int) -> None:
    """Whoever stands in a frame, strangers or not, twice or not: the same waits."""
    together, singly, now_ms = PairLimit(burst=burst), PairLimit(burst=burst), NOW_MS
    for wait_ms, people in asks:
        now_ms += wait_ms
        column = [one.to_bytes(16) for one in people]
        each = {place: wait for place, one in enumerate(column) if (wait := singly.take("s", one, now_ms))}
        assert together.take_all("s", column, now_ms) == each


def test_pairs_are_forgotten_only_when_paid() -> None:
    """Thousands of others do not make the limit forget one who owes."""
    pairs = PairLimit(burst=1)
    assert pairs.take("s", b"owes", NOW_MS) == 0
    for number in range(20_000):
        pairs.take("s", number.to_bytes(16), NOW_MS - PAIR_EVERY_MS if number % 2 else NOW_MS)
    assert pairs.take("s", b"owes", NOW_MS + 1) == PAIR_EVERY_MS - 1
