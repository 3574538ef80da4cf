"""What an owner knows of work that was taken over before it, whatever the clocks say and however late a copy comes."""

from schemas.delivery_journal import Members, Opened, Outcome
from schemas.lanes import Lane
from schemas.wire.header import Kind, body_of, head_of
from tests.support.shard_bench import HOUR_MS, NOW_MS, Bench, change, explicit, listed

QUARTER_MS = Lane.UPDATE.rules.windows.fold_ms // 4


def _outcomes(bench: Bench) -> list[Outcome]:
    return [body_of(record, Outcome) for record in bench.log if head_of(record).kind is Kind.OUTCOME]


def _openings(bench: Bench) -> list[Opened]:
    return [one for body in _outcomes(bench) for one in body.opened]


def _frozen(bench: Bench) -> list[Members]:
    return [one for body in _outcomes(bench) for one in body.members]


def test_a_new_owner_reads_the_audience_again_though_the_clock_of_the_one_before_was_behind() -> None:
    """Somebody joins, the list is asked for, a worker that is a second behind takes it over and dies.

    The next one's view of the audience is older than the joining, and younger than what the first one's clock said.
    """
    bench = Bench()
    bench.audience.apply(change("L", [1, 2]), 0)
    bench.now = NOW_MS - 1_000
    bench.restart()
    bench.take(listed(1, "L"))
    bench.append()
    bench.now, bench.audience_age_ms = NOW_MS, 20
    bench.restart()
    bench.append()
    assert not _frozen(bench)
    bench.audience.apply(change("L", [3]), 1)
    bench.now, bench.audience_age_ms = NOW_MS + 10, 5
    bench.append()
    assert [members.count for members in _frozen(bench)] == [3]


def test_a_wall_clock_that_is_put_forward_makes_no_view_of_the_audience_newer() -> None:
    """Work is taken, the clock is set a second ahead, and the audience was last read before both."""
    bench = Bench()
    bench.audience.apply(change("L", [1, 2]), 0)
    bench.audience_age_ms = 20
    bench.take(listed(1, "L"))
    bench.append()
    bench.append()
    bench.now, bench.stepped_ms = NOW_MS + 1_010, 1_000
    bench.append()
    assert not _frozen(bench)
    bench.now += 20
    bench.append()
    assert [members.count for members in _frozen(bench)] == [2]


def test_a_name_is_known_for_as_long_as_its_work_may_come_again() -> None:
    """A list is told, its input is not committed, nobody serves for hours, and the next owner restates before it reads the copy.

    The name is past its time by then. Opened again, the copy would have other people for members.
    """
    bench = Bench()
    bench.audience.apply(change("L", [1, 2]), 0)
    work = listed(1, "L", keep_ms=NOW_MS + 2 * HOUR_MS)
    bench.take(work)
    bench.run()
    bench.audience.apply(change("L", [3]), 1)
    bench.now, bench.uncommitted_ms = NOW_MS + 3 * HOUR_MS, NOW_MS
    bench.restart()
    _rounds(bench, 3)
    bench.restart()
    bench.take(work)
    bench.run()
    assert not _openings(bench)
    assert not _frozen(bench)
    assert len(bench.finished) == 2


def test_a_name_past_its_time_is_forgotten_once_all_work_of_that_time_is_committed() -> None:
    """What is not committed was appended after the name's time: it is no copy, and the name takes no room any more."""
    bench = Bench()
    bench.take(explicit(1, [1], keep_ms=NOW_MS + 2 * HOUR_MS), explicit(2, [2], keep_ms=NOW_MS + 90 * HOUR_MS))
    bench.run()
    bench.uncommitted_ms = NOW_MS + 2 * HOUR_MS
    _rounds(bench, 1)
    assert [int.from_bytes(request) for request in bench.state.closed] == [2]


def _rounds(bench: Bench, count: int) -> None:
    """Whole rounds of restating; then the fold begins at the last but one, as its claim would say."""
    starts = []
    for _ in range(count):
        starts.append(len(bench.log))
        bench.now += QUARTER_MS + 1
        while bench.engine.restating.claim_due is None:
            bench.append()
        bench.claim(bench.engine.restating.claim_due)
        bench.engine.restating.claimed()
    bench.log = bench.log[starts[-2] if count > 1 else 0 :]
