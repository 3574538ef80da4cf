"""The auditor's second folds against the first ones: it shares no code with the workers, so the two must be held together."""

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audience.consent import Consent
from broker.audience.members import Audience
from broker.audit.invariants import Findings
from broker.audit.journal_rules import DECIDED, EXCEPTED, OPEN, SENT, Epochs
from broker.audit.limit_checks import _Told
from broker.audit.message_columns import ColumnsError, Mark, Ranks, segments, spans
from broker.audit.prohibitions import ShardStops, Spoken, forbids, upto_offset
from broker.audit.recipients import ShardPeople, shards_of
from broker.audit.sources import Logged
from broker.journal import Fold
from broker.lifecycle import MOVES, may_follow
from schemas.facts import AudienceChange, ReceiptStatus, Scope, Suppression
from schemas.ids import shard_of
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.reasons import MESSAGE_REASONS, State
from schemas.wire.arrays import intervals_of, runs_of
from schemas.wire.columns import i64s, interval, ranks_of, values_of
from schemas.wire.header import Header, Kind, head_of, pack

_TIMES = st.integers(1, 6)
_PEOPLE = st.integers(0, 5)


def one(number: int) -> bytes:
    """Person ``number``."""
    return number.to_bytes(16)


def test_both_tables_of_moves_are_the_same() -> None:
    """What may be decided and answered, for every pair of status bytes."""
    statuses = [*State, *MESSAGE_REASONS]
    for before in State:
        for after in statuses:
            mine = (before in OPEN and after in DECIDED) or (
                before in SENT and (after == State.ACCEPTED or after in EXCEPTED)
            )
            receipts = before in {State.ACCEPTED, State.IN_DOUBT} and after in MOVES[before]
            assert (mine or receipts) == may_follow(before, after), (before, after)


@given(st.lists(st.binary(min_size=16, max_size=16), max_size=40), st.integers(1, 300))
def test_shards_of_a_column_are_those_of_its_ids(people: list[bytes], shards: int) -> None:
    """Murmur2 over columns is murmur2."""
    assert shards_of(b"".join(people), shards) == [shard_of(person, shards) for person in people]


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["", "a", "b"])), max_size=12))
def test_both_epoch_rules_admit_the_same_records(written: list[tuple[int, str]]) -> None:
    """Claims (by an instance) and other records, in any order of epochs."""
    fold, epochs = Fold(), Epochs()
    for offset, (epoch, instance) in enumerate(written):
        kind = Kind.CLAIM if instance else Kind.TRYING
        value = pack(Header(kind, Lane.OTP, 0, epoch, 0), Claim(instance))
        record = Logged("outcomes.otp", 0, offset, offset, None, value)
        assert epochs.valid(record, head_of(value), Findings()) == (fold.admit(value) is not None)


_SUPPRESSIONS = st.builds(
    Suppression,
    st.builds(one, _PEOPLE),
    st.sampled_from(["shop", "*"]),
    st.sampled_from(Scope),
    st.booleans(),
    _TIMES,
    _TIMES,
    list=st.sampled_from(["", "l", "m"]),
)
_JOINS = st.tuples(_PEOPLE, st.sampled_from(["l", "m"]), st.booleans(), st.booleans(), st.booleans(), _TIMES, _TIMES)


@given(
    st.lists(_SUPPRESSIONS, max_size=12),
    st.lists(_JOINS, max_size=6),
    st.sampled_from(Lane),
    st.sampled_from(["", "l"]),
)
def test_both_folds_of_suppressions_forbid_the_same(
    entries: list[Suppression], joins: list[tuple[int, str, bool, bool, bool, int, int]], lane: Lane, list_id: str
) -> None:
    """After each prefix of the two logs, for each person; some came back by an act of theirs, others were imported."""
    consent, stops, audience = Consent(), ShardStops(), Audience()
    changes = [
        AudienceChange("shop", named, join, one(who), bytes(33), bytes(2), bytes(2), i64s([at]), received, "", *how)
        for who, named, join, *how, at, received in joins
    ]
    for offset, entry in enumerate(entries):
        stops.add(offset, offset, entry)
    for offset, change in enumerate(changes):
        stops.add_joins(offset, offset, change)
    ordinals = AudienceChange(
        "none", "n", join=False, recipients=b"".join(map(one, range(6))), addresses=b"", locales=b"", markets=b"",
        evidence_ms=bytes(48), received_ms=0,
    )  # fmt: skip
    audience.apply(ordinals, -1)
    everybody = b"".join(map(one, range(6))) + bytes(16 * 20)
    said = stops.concerning(everybody, "shop")
    for offset in range(max(len(entries), len(changes))):
        for entry in entries[offset : offset + 1]:
            consent.apply(entry)
        for change in changes[offset : offset + 1]:
            audience.apply(change, offset)
        for person in range(6):
            mine = forbids(upto_offset(said.get(person, Spoken()), offset, offset), lane, list_id)
            returns = audience.returns("shop", list_id, person)
            assert mine == consent.verdict(one(person), "shop", lane=lane, list_id=list_id, returns=returns)


@given(
    st.lists(
        st.tuples(st.lists(st.tuples(_PEOPLE, _TIMES), min_size=1, max_size=4), st.booleans(), _TIMES), max_size=8
    ),
    st.lists(st.integers(0, 7), max_size=6),
)
def test_both_folds_of_lists_have_the_same_members(
    said: list[tuple[list[tuple[int, int]], bool, int]], asked: list[int]
) -> None:
    """At every offset, asked in any order; ordinals and the ids behind them, too."""
    changes = []
    for people, join, received in said:
        ids = b"".join(one(person) for person, _ in people)
        count, times = len(people), i64s(at for _, at in people)
        changes.append(
            AudienceChange(
                "shop", "l", join, ids, bytes(33 * count), bytes(2 * count), bytes(2 * count), times, received
            )
        )
    mine, members_at = ShardPeople(), []
    audience = Audience()
    for offset, change in enumerate(changes):
        mine.add(offset, offset, change)
        audience.apply(change, offset)
        ordinals = list(audience.freeze("shop", "l"))
        members_at.append((ordinals, audience.rows(ordinals).recipients))
    for offset in [*range(len(changes)), *(at for at in asked if at < len(changes))]:
        joined = mine.list("shop", "l").fold_to(offset).nonzero()[0].astype(np.uint32)
        assert joined.tolist() == members_at[offset][0]
        assert mine.ids(joined) == members_at[offset][1]


@given(st.dictionaries(st.integers(0, 60), st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=40))
def test_segments_are_the_columns_cut_where_something_changes(rows: dict[int, tuple[int, int]]) -> None:
    """Put together again they are what went in; and every neighbour differs."""
    ranks = sorted(rows)
    statuses, attempts = bytes(rows[rank][0] for rank in ranks), bytes(rows[rank][1] for rank in ranks)
    found = list(segments(intervals_of(ranks), runs_of(statuses), runs_of(attempts)))
    assert [rank for first, count, _, _ in found for rank in range(first, first + count)] == ranks
    assert b"".join(bytes((status,)) * count for _, count, status, _ in found) == statuses
    assert b"".join(bytes((attempt,)) * count for _, count, _, attempt in found) == attempts


@given(st.integers(1, 20), st.integers(1, 20))
def test_columns_of_different_length_are_refused(ranks: int, statuses: int) -> None:
    """Too few statuses, or too many."""
    columns = intervals_of(range(ranks)), runs_of(bytes(statuses)), runs_of(bytes(ranks))
    try:
        assert sum(count for _, count, _, _ in segments(*columns)) == ranks == statuses
    except ColumnsError:
        assert ranks != statuses
    assert ranks_of(columns[0]) == list(range(ranks)), values_of(columns[1])


_DEEDS = st.one_of(
    st.tuples(st.just("mark"), st.sampled_from(Mark)),
    st.tuples(st.just("heard"), st.sampled_from(ReceiptStatus)),
    st.tuples(st.just("confirmed"), st.sampled_from(ReceiptStatus)),
)


@given(st.lists(st.tuples(_DEEDS, st.integers(0, 5), st.integers(0, 5)), max_size=20), st.integers(0, 2))
def test_one_message_is_treated_as_many_are(deeds: list[tuple[tuple[str, Any], int, int]], before: int) -> None:
    """Single messages are indices and others slices of the columns: both come to the same."""
    whole, apart = Ranks(), Ranks()
    assert whole.allot(before + 6) == 0
    assert [apart.allot(1) for _ in range(before + 6)] == list(range(before + 6))
    for (deed, what), lo, count in deeds:
        hi = min(lo + count, 6)
        getattr(whole, deed)(lo, hi, what)
        for at in range(lo, hi):
            getattr(apart, deed)(at, at + 1, what)
        if deed == "mark":
            assert whole.marked(lo, hi, what) == sum(apart.marked(at, at + 1, what) for at in range(lo, hi)) == hi - lo
    for column in ("status", "attempt", "marks", "progress", "reported", "market", "epoch", "sent_ms", "due_ms"):
        assert getattr(whole, column) == getattr(apart, column)


@given(
    st.lists(st.tuples(st.sampled_from(["shop", "bank"]), st.lists(_PEOPLE, max_size=4), _TIMES), max_size=20),
    st.integers(0, 4),
)
def test_who_was_handed_more_than_so_many_is_found(said: list[tuple[str, list[int], int]], most: int) -> None:
    """The times of each person of each group, ascending, in any order of people; nobody's is another's."""
    told, times = _Told(), defaultdict[tuple[str, int], list[int]](list)
    for group, people, at_ms in said:
        told.add(group, b"".join(one(person)[::-1] for person in people), at_ms)
        for person in people:
            times[group, person].append(at_ms)
    assert sorted(told.more_than(most)) == sorted(sorted(each) for each in times.values() if len(each) > most)


@given(st.integers(1, 4), st.integers(0, 300), st.integers(1, 4), st.integers(1, 4))
def test_a_single_interval_is_told_as_it_stands(count: int, first: int, statuses: int, attempts: int) -> None:
    """The short way of one run of each column, and the long way of all others, say the same or refuse the same."""
    columns = (interval(first, count), runs_of(bytes((7,)) * statuses), runs_of(bytes((1,)) * attempts))
    assert list(spans(columns[0])) == [(first, count)]
    if count == statuses == attempts:
        assert list(segments(*columns)) == [(first, count, 7, 1)]
    elif statuses != count or attempts < count:
        with pytest.raises(ColumnsError):
            list(segments(*columns))
