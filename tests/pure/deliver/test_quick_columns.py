"""What is quick for a whole chunk says the same as one by one: cells, intervals, ranks not decided yet, attempts."""

from hypothesis import given
from hypothesis import strategies as st

from broker.deliver.decide import MOST_ATTEMPTS
from broker.deliver.item import Item
from schemas.delivery_journal import Opened
from schemas.plan_journal import Origin
from schemas.reasons import State
from schemas.wire.columns import cells, intervals_of, ranks_of
from tests.support.shard_bench import NOW_MS, explicit


@given(st.binary(max_size=2_000), st.integers(1, 33))
def test_a_column_is_cut_into_its_cells(column: bytes, width: int) -> None:
    """Long or short, whole or not: joined they are the column, and all but the last have its width."""
    cut = cells(column, width)
    assert b"".join(cut) == column
    assert all(len(cell) == width for cell in cut[:-1])


@given(st.sets(st.integers(0, 300), min_size=1))
def test_intervals_hold_their_ranks(ranks: set[int]) -> None:
    """One run or many."""
    assert ranks_of(intervals_of(sorted(ranks))) == sorted(ranks)


@given(
    st.lists(st.sampled_from([State.PENDING, State.SENDING, State.WAITING]), min_size=1, max_size=60),
    st.integers(0, 70),
)
def test_the_next_ranks_are_the_first_that_were_never_decided(statuses: list[State], count: int) -> None:
    """At most so many, ascending."""
    item = Item(Opened(explicit(1, range(len(statuses))), Origin(0, 0), NOW_MS), NOW_MS)
    item.statuses = bytearray(statuses)
    pending = [rank for rank, status in enumerate(statuses) if status == State.PENDING]
    assert item.next_pending(count) == pending[:count]


@given(st.binary(min_size=1, max_size=40), st.data())
def test_attempts_are_those_of_the_ranks(attempts: bytes, data: st.DataObject) -> None:
    """A run of ranks or any others."""
    item = Item(Opened(explicit(1, range(len(attempts))), Origin(0, 0), NOW_MS), NOW_MS)
    item.attempts = bytearray(attempts)
    ranks = sorted(data.draw(st.sets(st.integers(0, len(attempts) - 1))))
    assert item.attempts_of(ranks) == bytes(attempts[rank] for rank in ranks)
    assert max(attempts) <= MOST_ATTEMPTS
