"""Rounds of restating: when an owner begins one, and what it says."""

import msgspec

from schemas.lanes import Lane, PairLimit
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
