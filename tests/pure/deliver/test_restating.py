"""Rounds of restating: when an owner begins one, and what it says."""

from itertools import pairwise

import msgspec
from hypothesis import given as check
from hypothesis import strategies as st

from schemas.delivery_journal import Restated
from schemas.lanes import Lane, PairLimit
from schemas.wire.header import Kind, body_of, head_of
from tests.support.shard_bench import NOW_MS, Bench, explicit

QUARTER_MS = 10_000
WINDOWS = msgspec.structs.replace(Lane.UPDATE.rules.windows, fold_ms=4 * QUARTER_MS)


def test_a_new_owner_restates_at_once_if_the_floor_is_old() -> None:
    """Nobody before it lived for a quarter of a fold."""
    bench = Bench(windows=WINDOWS)
    bench.take(explicit(1, [1]))
    bench.run()
    for life in range(1, 4):
        bench.now = NOW_MS + life * QUARTER_MS * 2 // 3
        bench.restart()
        bench.run()
        assert (bench.engine.restating.claim_due is not None) is (life == 3)
    bench.claim(bench.engine.restating.claim_due or 0)
    bench.engine.restating.claimed()
    assert bench.claims.floor > 0
    assert bench.engine.wake_ms() > bench.now


def test_limits_are_said_anew_in_each_round() -> None:
    """What an earlier round said of a person lacks what was decided since about an item that only this round says.

    Claims stand at 0, 9 and 10.5 s. The third owner's round would rise to the second claim: it says the person's limit, and not
    the item, which was opened later; its owner dies. The fourth owner's round rises to the third claim, behind that opening.
    """
    bench = Bench(windows=WINDOWS, pair_limit=PairLimit(per_minute=1, burst=2))
    late = NOW_MS + 3_600_000
    bench.take(explicit(1, [5], expires_ms=late))
    bench.run()
    bench.now = NOW_MS + 9_000
    bench.restart()
    bench.now = NOW_MS + 9_700
    bench.take(msgspec.structs.replace(explicit(2, [5], expires_ms=late), start_ms=NOW_MS + 20_500))
    bench.run()
    bench.now = NOW_MS + 10_500
    bench.restart()
    floor, claim = len(bench.log), bench.appended - 1
    for at_ms in (20_000, 20_500):
        bench.now = NOW_MS + at_ms
        bench.run()
    assert bench.sent == [(1, 0), (2, 0)]
    bench.now = NOW_MS + 21_000
    bench.restart()
    bench.run()
    assert bench.engine.restating.claim_due == claim
    bench.log = bench.log[floor:]
    bench.restart()
    bench.take(explicit(3, [5], expires_ms=late))
    bench.run()
    assert bench.sent == [(1, 0), (2, 0)]


def _due(bench: Bench) -> None:
    """What was said so far has to be said again."""
    bench.now = NOW_MS + QUARTER_MS
    bench.claim(0)
    bench.now += QUARTER_MS


def test_decisions_go_on_between_two_bites() -> None:
    """Each second append is an ordinary one while names are said again, a few at a time."""
    bench = Bench(windows=WINDOWS, bite=10)
    for number in range(1, 101):
        bench.take(explicit(number, [number]))
    bench.run()
    _due(bench)
    told, logged = list[Kind](), len(bench.log)
    while bench.engine.restating.claim_due is None:
        bench.take(explicit(1_000 + len(told), [1_000 + len(told)]))
        if bench.append():
            told.append(head_of(bench.log[-1]).kind)
    kinds = [head_of(record).kind for record in bench.log[logged:]]
    restated = [at for at, kind in enumerate(kinds) if kind is Kind.OUTCOME_RESTATED]
    assert len(restated) == 10
    assert all(later - earlier == 2 for earlier, later in pairwise(restated))
    closed = [body_of(bench.log[logged + at], Restated).closed for at in restated]
    assert sum(map(len, closed)) == 100


def test_nothing_is_spent_between_two_bites_of_limits() -> None:
    """A number that changed after it was said, about an item behind the floor, would be lost."""
    bench = Bench(windows=WINDOWS, bite=10, pair_limit=PairLimit(per_minute=1, burst=1))
    bench.take(explicit(1, range(1, 101)))
    bench.run()
    _due(bench)
    logged = len(bench.log)
    while bench.engine.restating.claim_due is None:
        number = 1_000 + len(bench.log)
        bench.take(explicit(number, [number]))
        bench.append()
    kinds = [head_of(record).kind for record in bench.log[logged:]]
    first = kinds.index(Kind.LIMITS_RESTATED)
    assert kinds[first:].count(Kind.LIMITS_RESTATED) >= 10
    last = len(kinds) - kinds[::-1].index(Kind.LIMITS_RESTATED)
    assert set(kinds[first:last]) == {Kind.LIMITS_RESTATED}


def test_an_owner_does_not_sleep_in_the_middle_of_a_round() -> None:
    """Its next bite is due at once."""
    bench = Bench(windows=WINDOWS, bite=1)
    bench.take(explicit(1, [1]), explicit(2, [2]))
    bench.run()
    _due(bench)
    bench.append()
    assert bench.engine.wake_ms() == 0


@check(
    st.lists(st.integers(0, 4), min_size=1, max_size=30),
    st.integers(1, 5),
)
def test_a_fold_from_the_floor_knows_what_a_round_in_bites_has_said(acts: list[int], bite: int) -> None:
    """Whatever is opened, decided, finished and waits while the round goes on: the next owner knows each name, and its limits."""
    bench = Bench(windows=WINDOWS, bite=bite, pair_limit=PairLimit(per_minute=1, burst=3))
    late = NOW_MS + 3_600_000
    number = 0

    def act(one: int) -> None:
        nonlocal number
        number += 1
        start_ms = bench.now + one * QUARTER_MS // 2 if one else 0
        item = msgspec.structs.replace(explicit(number, [1 + number % 3], expires_ms=late), start_ms=start_ms)
        bench.take(item)

    for one in acts:
        act(one)
        bench.run()
    bench.now = NOW_MS + QUARTER_MS
    floor = len(bench.log)
    bench.claim(0)
    bench.now += QUARTER_MS
    while bench.engine.restating.claim_due is None:
        act(acts[number % len(acts)])
        bench.append()
        batch = bench.send()
        if batch is not None:
            bench.engine.answered(batch, bench.answering(batch), bench.now)
    living = bench.state
    bench.log = bench.log[floor:]
    bench.restart()
    assert living.items.keys() == bench.state.items.keys()
    assert living.closed.keys() == bench.state.closed.keys()
    assert sorted(living.limits.restate(bench.now)) == sorted(bench.state.limits.restate(bench.now))
