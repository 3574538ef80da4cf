"""What is quick for a whole chunk says the same as one by one: cells, intervals, ranks not decided yet, attempts."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from broker.deliver.decide import MOST_ATTEMPTS
from broker.deliver.item import Item
from schemas.delivery_journal import Answered, Decided, Opened, Outcome
from schemas.facts import ReceiptRun, Receipts
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import State
from schemas.wire.arrays import intervals_of
from schemas.wire.columns import cells, count_of, interval, ranks_of
from schemas.wire.header import Header, Kind, body_of, pack, unpack
from tests.support.shard_bench import NOW_MS, explicit

NAME = bytes(range(16))
HEADER = Header(Kind.RECEIPT, Lane.UPDATE, 3, 0, NOW_MS)


@given(st.binary(max_size=2_000), st.integers(1, 33))
def test_a_column_is_cut_into_its_cells(column: bytes, width: int) -> None:
    """Long or short, whole or not: joined they are the column, and all but the last have its width."""
    cut = cells(column, width)
    assert b"".join(cut) == column
    assert all(len(cell) == width for cell in cut[:-1])


RANKS = st.one_of(st.sets(st.integers(0, 300), min_size=1), st.sets(st.integers(0, 1 << 24), min_size=60, max_size=300))
"""Runs and gaps; many that are apart."""


@given(RANKS)
def test_intervals_hold_their_ranks(ranks: set[int]) -> None:
    """One run or many."""
    intervals = intervals_of(sorted(ranks))
    assert ranks_of(intervals) == sorted(ranks)
    assert count_of(intervals) == len(ranks)


@given(st.lists(RANKS, max_size=4))
def test_a_record_holds_the_same_ranks_in_either_format(columns: list[set[int]]) -> None:
    """Format 2 is taken where it is shorter, gives back the very intervals, and is never longer."""
    packed = [intervals_of(sorted(ranks)) for ranks in columns]
    for body in (
        Receipts(tuple(ReceiptRun(NAME, ranks, 2, 1, 2) for ranks in packed)),
        Outcome(
            decided=tuple(Decided(NAME, ranks, b"", b"", b"", 1) for ranks in packed),
            answered=tuple(Answered(NAME, ranks, 1) for ranks in packed),
        ),
    ):
        plain, short = pack(HEADER, body, 1), pack(HEADER, body)
        assert unpack(plain, type(body)) == unpack(short, type(body)) == (HEADER, body)
        assert (plain[0], short == plain or (short[0] == 2 and len(short) < len(plain))) == (1, True)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 1 << 16)), min_size=64, max_size=90))
def test_intervals_in_any_order_come_back_as_they_were(pairs: list[tuple[int, int]]) -> None:
    """Overlapping, empty or repeated, as only a foreign program would write them: they are left alone."""
    body = Receipts((ReceiptRun(NAME, b"".join(struct.pack(">II", *pair) for pair in pairs), 2, 1, 2),))
    assert body_of(pack(HEADER, body), Receipts) == body


def test_ranks_that_nobody_could_unpack_stay_intervals() -> None:
    """Four thousand million in a few bytes."""
    odd = b"".join(interval(each * 60_000_000, 50_000_000) for each in range(70))
    body = Receipts((ReceiptRun(NAME, odd, 2, 1, 2),))
    assert pack(HEADER, body) == pack(HEADER, body, 1)


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
