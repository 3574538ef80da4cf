"""The pair limit of deliver: columns of people say the same as a dict of them, one by one; and what is over is forgotten."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.deliver.limits.limit import Limits, Unfolded, said
from broker.deliver.limits.pair import PairLimiter
from broker.deliver.limits.person_times import FEW, MANY, FewTimes, ManyTimes, distinct
from schemas.lanes import PairLimit
from schemas.wire.columns import cells

NOW_MS = 1_900_000_000_000
LIMIT = PairLimit(per_minute=6, burst=3)
_WHO = st.integers(0, 3 * FEW)
PEOPLE = st.one_of(
    st.lists(_WHO, max_size=2 * FEW), st.lists(_WHO, unique=True), st.lists(_WHO, unique=True, min_size=FEW + 1)
)
"""Few and alike, so that they come again; more than a few at a time, and fewer; twice in a column, or not."""
_APPENDS = st.lists(
    st.tuples(st.integers(0, 40_000), st.lists(PEOPLE, max_size=3), st.sampled_from([0, 0, MANY])), max_size=12
)


def column(people: list[int]) -> bytes:
    """Ids of which the first half is shared by others."""
    return b"".join((one % 7).to_bytes(8) + one.to_bytes(8) for one in people)


@given(_APPENDS)
@settings(max_examples=60)
def test_an_append_waits_as_its_people_would_one_by_one(appends: list[tuple[int, list[list[int]], int]]) -> None:
    """GCRA by hand: ten seconds each, three at once, whoever is in a section with whom, twice or not, also in one append."""
    stamps, paid_ms, now_ms = PairLimiter(LIMIT), Counter[int](), NOW_MS
    for wait_ms, small, others in appends:
        now_ms += wait_ms
        sections = [*small, list(range(3 * FEW - 2, 3 * FEW - 2 + others))]
        unfolded, counted, decided = Unfolded(), Counter[int](), []
        for people in sections:
            wanted = {}
            for place, one in enumerate(people):
                due_ms = max(paid_ms[one], now_ms) + 10_000 * counted[one] - 20_000
                if due_ms > now_ms:
                    wanted[place] = due_ms
                else:
                    counted[one] += 1
            assert stamps.due_ms("s", column(people), now_ms, unfolded) == wanted
            decided.append([one for place, one in enumerate(people) if place not in wanted])
        for sent in decided:
            stamps.spend("s", column(sent), now_ms)
            for one in sent:
                paid_ms[one] = max(paid_ms[one], now_ms) + 10_000


def test_what_is_decided_in_the_same_append_counts() -> None:
    """Four chunks of one append to the same two people: the fourth waits, and so does who stands twice in one of them."""
    stamps, unfolded = PairLimiter(LIMIT), Unfolded()
    both = b"a" * 16 + b"b" * 16
    assert [len(stamps.due_ms("s", both, NOW_MS, unfolded)) for _ in range(4)] == [0, 0, 0, 2]
    assert stamps.due_ms("s", b"c" * 64, NOW_MS, unfolded) == {3: NOW_MS + 10_000}
    assert stamps.due_ms("other", both, NOW_MS, Unfolded()) == {}


def test_of_a_large_chunk_only_those_wait_who_have_to() -> None:
    """A hundred people, of whom one has had three: all others go, and count."""
    stamps, everybody = PairLimiter(LIMIT), list(range(100))
    for crowd in ([42], list(range(42, 42 + MANY)), [42]):
        stamps.spend("s", column(crowd), NOW_MS)
    unfolded = Unfolded()
    assert stamps.due_ms("s", column(everybody), NOW_MS, unfolded) == {42: NOW_MS + 10_000}
    assert unfolded.counts() == Counter(column([one]) for one in everybody if one != 42)


_SETS = st.lists(st.tuples(st.integers(0, 25), PEOPLE), max_size=12)


@pytest.mark.parametrize("made", [FewTimes, ManyTimes])
@given(sets=_SETS)
@settings(max_examples=40)
def test_times_agree_with_a_dict(made: type[FewTimes] | type[ManyTimes], sets: list[tuple[int, list[int]]]) -> None:
    """Through every growth, whoever owes nothing is forgotten or not, which is the same; nobody else is."""
    times, model, now_ms = made(), dict[int, int](), 1
    for number, (wait_ms, people) in enumerate(sets):
        now_ms += wait_ms
        crowd = column(list(range(1_000 * (number + 1), 1_000 * (number + 1) + 400)))
        times.raise_to(crowd, now_ms, 30, over_ms=now_ms)
        times.raise_to(column(people), now_ms, 10, over_ms=now_ms)
        for one in people:
            model[one] = max(model.get(one, 0), now_ms) + 10
        asked = list(range(3 * FEW + 1))
        found = times.of(column(asked))
        assert [max(each, now_ms) for each in found] == [max(model.get(one, 0), now_ms) for one in asked]
        assert times.of(column(asked[:FEW])) == found[:FEW]
        mine = {column([one]): time_ms for one, time_ms in model.items() if time_ms > now_ms}
        assert dict(times.after(now_ms)).items() >= mine.items()


def test_what_is_over_is_forgotten() -> None:
    """A hundred thousand strangers in a hundred chunks, each over before the next: the table keeps the size of a few chunks."""
    stamps = PairLimiter(PairLimit(per_minute=60, burst=1))
    for chunk in range(100):
        stamps.spend("s", column(list(range(1_000 * chunk, 1_000 * (chunk + 1)))), NOW_MS + 1_000 * chunk)
    assert len(stamps) <= 4_096
    (spent,) = said(Limits([stamps]).restate(NOW_MS + 1_000 * 99))
    assert sorted(cells(spent.recipients, 16)) == sorted(cells(column(list(range(99_000, 100_000))), 16))


def test_half_an_id_may_be_shared() -> None:
    """Ids that share a half are different people, in a table and in a column of many; whoever stands there twice is noticed."""
    people = list(range(10 * FEW))
    assert distinct(column(people))
    assert not distinct(column([*people, 3]))
    assert not distinct(b"".join(one.to_bytes(8) + bytes(8) for one in people))  # the second half decides
    times = ManyTimes()
    times.raise_to(b"a" * 8 + b"b" * 8, NOW_MS, 10, over_ms=NOW_MS)
    assert times.of(b"a" * 16 + b"b" * 8 + b"a" * 8 + b"a" * 8 + b"b" * 8) == [0, 0, NOW_MS + 10]
