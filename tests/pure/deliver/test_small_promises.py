"""Promises of deliver that no schedule meets: turns of businesses, the instant of a cancellation, what a row carries, poison."""

from schemas.delivery_journal import Outcome
from schemas.ids import fact_key
from schemas.lanes import Lane
from schemas.wire.header import Kind, body_of, head_of
from tests.support.shard_bench import NOW_MS, Bench, all_accepted, change, explicit, listed


def test_two_businesses_with_much_to_say_take_turns_of_a_chunk() -> None:
    """Neither waits for more than one chunk of the other, however long its list (PROTOCOL.md section 3)."""
    bench = Bench(Lane.UPDATE, chunk=4, limits=False)
    bench.audience.apply(change("L", range(40)), 0)
    bench.take(listed(1, "L"), explicit(2, range(100, 120), business="shop", sender="shop/main"))
    bench.run(rounds=100)
    told = [request for request, _ in bench.sent]
    while_both = range(1, max(at for at, request in enumerate(told) if request == 2))
    ahead = [told[:at].count(1) - told[:at].count(2) for at in while_both]
    assert max(map(abs, ahead)) <= 2 * bench.policy.chunk


def test_a_cancellation_dominates_what_happened_at_the_same_instant() -> None:
    """*Not later* includes the instant itself (PROTOCOL.md section 4)."""
    bench = Bench()
    bench.take(
        explicit(1, [1], version=1, entity="flight/1", facet="*", time_ms=NOW_MS + 5),
        explicit(2, [1], version=9, entity="flight/1", facet="gate", time_ms=NOW_MS + 5),
    )
    bench.run()
    assert bench.sent == [(1, 0)]


def test_a_row_carries_fact_and_version() -> None:
    """By them a phone drops the older of two: the last hole that section 4 leaves to the gateway."""
    bench = Bench()
    bench.take(explicit(1, [1], version=7, entity="flight/1", facet="gate"), explicit(2, [2]))
    bench.append()
    batch = bench.send()
    assert batch is not None
    assert batch.frame is not None
    told = [(section.collapse, section.version) for section in batch.frame.sections]
    assert told == [(fact_key("airline", "flight/1", "gate").hex(), 7), ("", -1)]


def test_a_shard_gets_out_of_its_suspicion_of_poison() -> None:
    """What shows a result is no poison: the next owner announces nothing, and opens and decides in one append again."""
    bench = Bench()
    bench.audience.apply(change("L", [1]), 0)
    bench.take(listed(1, "L"))
    bench.append()
    bench.engine._suspects.careful = True
    bench.run()
    assert [head_of(record).kind for record in bench.log].count(
        Kind.TRYING
    ) == 2  # to freeze it, and to decide about it
    bench.restart()
    before = len(bench.log)
    bench.take(explicit(2, [2]), explicit(3, [3]))
    assert bench.append()
    record = bench.log[before]
    assert head_of(record).kind is Kind.OUTCOME
    body = body_of(record, Outcome)
    assert (len(body.opened), len(body.decided)) == (2, 2)
    batch = bench.send()
    assert batch is not None
    bench.engine.answered(batch, all_accepted(batch), bench.now)
