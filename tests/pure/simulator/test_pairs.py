"""The platform's limit per person: what it lets through, whom it lets wait and how long, and whom it forgets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.simulator.platform_limits import PAIR_BURST, PAIR_EVERY_MS, PairLimit

NOW_MS = 1_000_000_000
MANY = 300
"""People from which on a number is kept in columns."""


def column(people: list[int]) -> bytes:
    """Ids whose halves are shared by others."""
    return b"".join((one % 7).to_bytes(8) + (one // 7).to_bytes(8) for one in people)


def test_pair_burst_borrows_from_the_future() -> None:
    """45 at once pass, the next waits 6 s, and each pause pays for what fits into it."""
    pairs, person = PairLimit(), column([1])
    assert pairs.take("s", person * (PAIR_BURST + 1), NOW_MS) == {PAIR_BURST: PAIR_EVERY_MS}
    assert pairs.take("s", person, NOW_MS + PAIR_EVERY_MS - 1) == {0: 1}
    assert pairs.take("s", person, NOW_MS + PAIR_EVERY_MS) == {}
    assert pairs.take("s", person, NOW_MS + PAIR_EVERY_MS) == {0: PAIR_EVERY_MS}
    assert pairs.take("s", column([2]), NOW_MS) == {}
    assert pairs.take("other", person, NOW_MS) == {}


_PEOPLE = st.lists(st.integers(0, 12), max_size=10)
_FRAMES = st.lists(st.tuples(st.integers(0, 9_000), _PEOPLE, st.sampled_from([0, 0, MANY])), max_size=14)


@given(_FRAMES, st.integers(1, 3))
@settings(max_examples=100)
def test_frames_are_counted_as_a_dict_counts_one_by_one(frames: list[tuple[int, list[int], int]], burst: int) -> None:
    """Whoever stands in a frame, strangers or not, twice or not, a few or hundreds: the waits of a plain dict."""
    pairs, paid_ms, now_ms = PairLimit(burst=burst), dict[int, int](), NOW_MS
    for wait_ms, people, others in frames:
        now_ms += wait_ms
        frame = [*people, *range(8, 8 + others)]
        wanted = {}
        for place, one in enumerate(frame):
            until_ms = max(paid_ms.get(one, 0), now_ms)
            over_ms = until_ms - now_ms - PAIR_EVERY_MS * (burst - 1)
            if over_ms > 0:
                wanted[place] = over_ms
            else:
                paid_ms[one] = until_ms + PAIR_EVERY_MS
        assert pairs.take("s", column(frame), now_ms) == wanted


def test_pairs_are_forgotten_only_when_paid() -> None:
    """Thousands of others, a few at a time and hundreds, do not make the limit forget one who owes; those who do not are gone."""
    pairs, owes = PairLimit(burst=1), column([1])
    assert pairs.take("s", owes, NOW_MS) == {}
    for size in (1, 500):
        for crowd in range(10_000 // size):
            people = list(range(10 + crowd * size, 10 + (crowd + 1) * size))
            pairs.take("s", column(people), NOW_MS - PAIR_EVERY_MS * (10_000 // size - crowd))
            assert len(pairs) <= 4_096 + size
    assert pairs.take("s", owes, NOW_MS + 1) == {0: PAIR_EVERY_MS - 1}


def test_a_number_that_is_calm_again_is_kept_simply() -> None:
    """Once everybody of a campaign has paid, nothing is left of them."""
    pairs = PairLimit()
    for first in range(0, 5_000, 500):
        pairs.take("s", column(list(range(first, first + 500))), NOW_MS)
    assert len(pairs) == 5_000
    for first in range(10_000, 20_000, 500):
        pairs.take("s", column(list(range(first, first + 500))), NOW_MS + PAIR_EVERY_MS)
    assert 5_000 <= len(pairs) <= 10_000
