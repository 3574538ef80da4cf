"""The life cycle is what deliver's fold executes: an illegal move changes nothing, is counted, and is not appended at all."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.audience.members import Audience
from broker.deliver.item import Item
from broker.deliver.moves import IllegalMoveError, legal, legal_answers, legal_decisions, may_be_decided
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import ShardState
from broker.lifecycle import DECIDABLE, MOVES, may_follow
from schemas.delivery_journal import Answered, Decided, Opened, OpenItem, Outcome, Restated
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import MESSAGE_REASONS, Reason, State
from schemas.wire.arrays import intervals_of, runs_of
from schemas.wire.columns import i64s, ranks_of, u16s, u32s
from schemas.wire.header import Header, Kind
from tests.support.shard_bench import NOW_MS, explicit, name

REQUEST = name(1)
STATUSES = (*State, *MESSAGE_REASONS)
HEAD = Header(Kind.OUTCOME, Lane.UPDATE, 0, 1, NOW_MS)

columns = st.lists(st.tuples(st.sampled_from(STATUSES), st.sampled_from(STATUSES)), min_size=1, max_size=80)
decisions = {(before, after) for before in DECIDABLE for after in MOVES[before]}
answers = {(State.SENDING, after) for after in MOVES[State.SENDING]}


def opened(count: int) -> Opened:
    """A request to so many people, taken over."""
    return Opened(explicit(1, range(1, count + 1)), Origin(0, 0), NOW_MS)


def item_in(before: Sequence[int]) -> Item:
    """The item whose ranks stand so."""
    dues = i64s(NOW_MS + rank for rank, status in enumerate(before) if status == State.WAITING)
    entry = OpenItem(opened(len(before)), None, runs_of(bytes(before)), runs_of(bytes(len(before))), dues)
    return Item.restored(entry, NOW_MS)


def decided(after: Sequence[int], ranks: Sequence[int] | None = None) -> Decided:
    """A decision about ranks, each with a market and a due time of its own."""
    placed = range(len(after)) if ranks is None else ranks
    said = list(zip(placed, after, strict=True))
    return Decided(
        REQUEST,
        intervals_of(placed),
        runs_of(bytes(after)),
        runs_of(bytes(rank % 200 + 1 for rank in placed)),
        u16s(rank + 1 for rank, status in said if status == State.SENDING),
        0,
        i64s(NOW_MS + 1_000 + rank for rank, status in said if status == State.WAITING),
    )


def answered(after: Sequence[int], ranks: Sequence[int] | None = None) -> Answered:
    """An answer about ranks, each exception with a code and a due time of its own."""
    placed = range(len(after)) if ranks is None else ranks
    odd = [(rank, status) for rank, status in zip(placed, after, strict=True) if status != State.ACCEPTED]
    return Answered(
        REQUEST,
        intervals_of(placed),
        NOW_MS,
        u32s(rank for rank, _ in odd),
        bytes(status for _, status in odd),
        u32s(1_000 + rank for rank, _ in odd),
        i64s(NOW_MS + rank if status == State.WAITING else 0 for rank, status in odd),
    )


def facts(item: Item) -> object:
    """All that is known of an item's ranks."""
    return item.statuses, item.attempts, item.markets, item.dues, item.pending, item.left


@given(column=columns)
def test_a_column_may_move_if_each_rank_may(column: list[tuple[int, int]]) -> None:
    """Columns alike, few and many ranks are looked up in three ways and judged in one."""
    before, after = (bytes(cells) for cells in zip(*column, strict=True))
    each = [old in DECIDABLE and may_follow(old, new) for old, new in column]
    assert may_be_decided(before, after) == all(each)


@given(move=st.sampled_from([(old, new) for old in STATUSES for new in STATUSES]), count=st.integers(1, 70))
def test_a_column_that_goes_one_way_is_judged_like_one_rank(move: tuple[int, int], count: int) -> None:
    """A campaign's chunk costs one look into the table."""
    before, after = (bytes((status,)) * count for status in move)
    assert may_be_decided(before, after) == (move in decisions)


@pytest.mark.parametrize("after", STATUSES, ids=lambda status: status.name.lower())
@pytest.mark.parametrize("before", STATUSES, ids=lambda status: status.name.lower())
def test_the_fold_makes_legal_moves_and_refuses_the_others(before: int, after: int) -> None:
    """For every two statuses, said as a decision and as an answer: what is refused leaves all as it was."""
    held, item = facts(item_in([before])), item_in([before])
    part, refused = legal_decisions(item, decided([after]))
    assert refused == ((before, after) not in decisions)
    item.decided(part)
    assert (facts(item) == held) == (refused > 0)
    item = item_in([before])
    heard, refused = legal_answers(item, answered([after]))
    assert refused == ((before, after) not in answers)
    item.answered(heard)
    assert (facts(item) == held) == (refused > 0)


@settings(deadline=None)
@given(column=columns)
def test_of_a_section_the_legal_part_is_folded(column: list[tuple[int, int]]) -> None:
    """As if the illegal moves had never been said: statuses, attempts, markets and due times stay with their ranks."""
    before, after = (bytes(cells) for cells in zip(*column, strict=True))
    fits = [rank for rank, move in enumerate(column) if move in decisions]
    one, other = item_in(before), item_in(before)
    part, refused = legal_decisions(one, decided(after))
    one.decided(part)
    other.decided(decided([after[rank] for rank in fits], fits))
    assert (facts(one), refused) == (facts(other), len(column) - len(fits))
    fits = [rank for rank, move in enumerate(column) if move in answers]
    one, other = item_in(before), item_in(before)
    heard, refused = legal_answers(one, answered(after))
    one.answered(heard)
    other.answered(answered([after[rank] for rank in fits], fits))
    assert (facts(one), refused) == (facts(other), len(column) - len(fits))


def test_ranks_that_do_not_exist_are_refused() -> None:
    """They would make the item longer than its people."""
    item = item_in([State.PENDING])
    part, refused = legal_decisions(item, decided([State.SENDING, State.SENDING]))
    assert (ranks_of(part.ranks), refused) == ([0], 1)


def test_a_shard_counts_what_it_refuses_and_goes_on() -> None:
    """Whoever folds the same journal has the same state, and no owner ends at a record that stands there for good."""
    state = ShardState(DeliverPolicy.of(Lane.UPDATE, 0, b"ref"), Audience())
    entry = OpenItem(opened(2), None, runs_of(bytes((State.ACCEPTED, State.SENDING))), runs_of(b"\1\1"))
    state.apply(replace_kind(Kind.OUTCOME_RESTATED), Restated(open=(entry,)))
    state.apply(HEAD, Outcome(decided=(decided([State.SENDING, State.SENDING]),)))
    assert (state.refused, list(state.items[REQUEST].statuses)) == (2, [State.ACCEPTED, State.SENDING])
    state.apply(HEAD, Outcome(answered=(answered([Reason.EXPIRED, State.ACCEPTED]),)))
    assert (state.refused, REQUEST in state.closed) == (3, True)


def replace_kind(kind: Kind) -> Header:
    """The head of a record of another kind."""
    return replace(HEAD, kind=kind)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param(Outcome(decided=(decided([State.SENDING, State.SENDING]),)), "a decision", id="decided twice"),
        pytest.param(Outcome(answered=(answered([State.ACCEPTED, State.ACCEPTED]),)), "an answer", id="never sent"),
        pytest.param(
            Outcome(
                (Opened(explicit(2, [1]), Origin(0, 1), NOW_MS),),
                (),
                (replace(decided([State.ACCEPTED]), request=name(2)),),
            ),
            "a decision",
            id="opened and accepted",
        ),
    ],
)
def test_an_illegal_move_is_never_appended(body: Outcome, what: str) -> None:
    """The step raises, and nothing was said: the next owner decides anew."""
    with pytest.raises(IllegalMoveError, match=what):
        legal({REQUEST: item_in([State.PENDING, State.SENDING])}, body)


def test_a_legal_step_passes() -> None:
    """Decisions about open ranks, answers about handed off ones, and an item that is opened in the same record."""
    fresh = Opened(explicit(2, [1]), Origin(0, 1), NOW_MS)
    body = Outcome(
        (fresh,),
        (),
        (decided([State.SENDING], [0]), replace(decided([State.SENDING]), request=name(2))),
        (answered([State.ACCEPTED], [1]),),
    )
    assert legal({REQUEST: item_in([State.PENDING, State.SENDING])}, body) is body
