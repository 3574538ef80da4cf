"""The pair limit of deliver: a chunk of strangers is quick, and says the same as one by one."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from broker.deliver.limits import PairStamps
from broker.deliver.policy import PairLimit

NOW_MS = 1_900_000_000_000
LIMIT = PairLimit(per_minute=6, burst=3)
_CHUNKS = st.lists(st.tuples(st.integers(0, 40_000), st.lists(st.integers(0, 5), unique=True, max_size=6)), max_size=25)


@given(_CHUNKS)
def test_a_chunk_waits_as_its_people_would_one_by_one(chunks: list[tuple[int, list[int]]]) -> None:
    """GCRA by hand: ten seconds each, three at once, whoever is in a chunk with whom."""
    stamps, paid_ms, now_ms = PairStamps(LIMIT), Counter[int](), NOW_MS
    for wait_ms, people in chunks:
        now_ms += wait_ms
        dues = stamps.dues("s", [one.to_bytes(16) for one in people], now_ms, Counter())
        wanted = {place: max(paid_ms[one], now_ms) - 20_000 for place, one in enumerate(people)}
        assert dues == {place: due_ms for place, due_ms in wanted.items() if due_ms > now_ms}
        sent = [one for place, one in enumerate(people) if place not in dues]
        stamps.spend("s", [one.to_bytes(16) for one in sent], now_ms)
        for one in sent:
            paid_ms[one] = max(paid_ms[one], now_ms) + 10_000


def test_what_is_decided_in_the_same_append_counts() -> None:
    """Four chunks of one append to the same two people: the fourth waits, and so does who stands twice in one of them."""
    stamps, ahead = PairStamps(LIMIT), Counter[bytes]()
    both = [b"a" * 16, b"b" * 16]
    assert [len(stamps.dues("s", both, NOW_MS, ahead)) for _ in range(4)] == [0, 0, 0, 2]
    assert stamps.dues("s", [b"c" * 16] * 4, NOW_MS, ahead) == {3: NOW_MS + 10_000}
    assert stamps.dues("other", both, NOW_MS, Counter()) == {}
