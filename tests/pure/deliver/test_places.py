"""What takes a place in a shard: only what competes for the gateway. Who waits for a time of its own keeps nobody out."""

import msgspec

from schemas.facts import ControlAction
from schemas.gateway_api import Code
from tests.support.shard_bench import HOUR_MS, NOW_MS, Bench, explicit, listed, refusing


def later(bench: Bench, first: int, count: int, **fields: object) -> None:
    """Work that begins in half an hour."""
    for number in range(first, first + count):
        item = explicit(number, [number], **fields)
        bench.take(msgspec.structs.replace(item, start_ms=NOW_MS + HOUR_MS // 2))


def test_what_is_not_due_takes_no_place() -> None:
    """A burst that begins later leaves room for who begins now; so it is for a new owner."""
    bench = Bench(max_open=3)
    later(bench, 1, 3)
    full = [bench.engine.full]
    bench.run()
    full.append(bench.engine.full)
    bench.restart()
    full.append(bench.engine.full)
    assert full == [True, False, False], "before they are opened nobody knows when they begin"
    bench.take(explicit(99, [99], business="bank", sender="bank/main"))
    bench.run()
    assert bench.sent == [(99, 0)]


def test_what_sleeps_is_bounded_by_itself() -> None:
    """Four times as many, for each takes memory; then the shard takes no more until some are due and gone."""
    bench = Bench(max_open=3)
    for first in range(1, 15, 2):
        assert not bench.engine.full
        later(bench, first, 2)
        bench.run()
    later(bench, 15, 1)
    bench.run()
    assert bench.engine.full
    bench.now += HOUR_MS // 2
    bench.run()
    assert (len(bench.sent), bench.engine.full, bench.state.items) == (15, False, {})


def test_who_waits_for_the_pair_limit_or_a_sick_gateway_takes_no_place() -> None:
    """It comes again at a time of its own."""
    bench = Bench(max_open=2)
    burst = bench.policy.pair_limit.burst
    for number in range(burst + 4):
        bench.take(explicit(number + 1, [1]))
        bench.run()
    assert len(bench.sent) == burst
    assert not bench.engine.full
    bench.answering = refusing((0, Code.SERVICE_UNAVAILABLE, 0))
    bench.take(explicit(99, [2], expires_ms=NOW_MS + HOUR_MS))
    bench.append()
    batch = bench.send()
    assert batch is not None
    bench.engine.answered(batch, bench.answering(batch), bench.now)
    bench.append()
    assert not bench.engine.full


def test_nobody_sleeps_once_all_is_over() -> None:
    """Paused, cancelled, expired, paced or late: who is closed is not counted any more."""
    bench = Bench(max_open=4)
    later(bench, 1, 2)
    bench.take(explicit(3, [3]), msgspec.structs.replace(explicit(4, [4, 5, 6]), per_s=1))
    bench.take(msgspec.structs.replace(listed(5, "nobody"), per_s=1))
    bench.say(ControlAction.PAUSE, 3)
    bench.run()
    assert bench.engine._scheduler.asleep
    bench.say(ControlAction.CANCEL, 2, NOW_MS + 1)
    bench.run()
    bench.say(ControlAction.RESUME, 3, NOW_MS + 2)
    while bench.state.items:
        bench.now += 100
        bench.run()
    assert bench.engine._scheduler.asleep == 0
