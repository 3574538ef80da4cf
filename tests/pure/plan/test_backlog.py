"""What a business may have waiting: bounded over all its numbers, refused early with the time to come again, in the journal."""

import msgspec
import pytest
from hypothesis import given as check
from hypothesis import settings
from hypothesis import strategies as st

from broker.deliver.gate import ASLEEP_TIMES
from broker.deliver.policy import DeliverPolicy
from broker.plan.backlog import Backlog, Owed
from schemas.lanes import HOUR_MS, Lane
from schemas.plan_journal import Planned
from schemas.reasons import Reason
from schemas.registry import DEFAULT_BACKLOG, MAX_BACKLOG, Business, Sender
from schemas.request import MAX_RECIPIENTS
from schemas.status import Status
from schemas.wire.timestamps import text_of
from tests.support.plan_bench import BUSINESS, NOW_MS, WHOLE, Bench, event, given, told


def bench_with(backlog: int, *senders: tuple[str, int]) -> Bench:
    """A partition where the airline may have ``backlog`` messages waiting; numbers by name and messages a second."""
    bench = Bench()
    bench.registry.add(Business(BUSINESS, "Airline", backlog=backlog))
    for number, (name, rate) in enumerate(senders):
        bench.registry.add(
            Sender(f"{BUSINESS}/{name}", BUSINESS, f"+1201555990{number}", rate_per_s=rate, shares=WHOLE)
        )
    return bench


def ask(bench: Bench, number: int, people: int = 1, sender: str = "slow") -> Planned:
    """Publish a request that lives for an hour."""
    expires = text_of(bench.now_ms + HOUR_MS)
    whole = event(data={"sender": sender}, id=str(number), people=range(people), expirytime=expires)
    (entry,) = bench.run(given(whole, number)).journal
    return entry


def test_a_business_hears_early_what_is_left_and_when_there_is_room_again() -> None:
    """A refusal reserves nothing; at the time that it names the same is taken."""
    bench = bench_with(100)
    assert ask(bench, 1, 90).verdict == 0
    assert Reason(ask(bench, 2, 20).verdict) is Reason.BACKLOG_FULL
    status = told(bench.direct[-1])
    assert isinstance(status, Status)
    assert (status.reason, status.left, status.people) == ("backlog_full", 10, 0)
    assert status.retry_at_ms == NOW_MS + 10_000
    assert "90 messages of the business wait" in status.detail
    assert ask(bench, 3, 10).verdict == 0, "what is left may be used"
    bench.now_ms = status.retry_at_ms
    assert ask(bench, 4, 11).verdict != 0
    assert ask(bench, 5, 10).verdict == 0


def test_all_numbers_of_a_business_share_what_may_wait_and_nobody_elses_do() -> None:
    """Who splits its messages over many numbers has no more places for it."""
    bench = bench_with(50, ("one", 1), ("two", 2))
    assert [ask(bench, 1, 30, "one").verdict, ask(bench, 2, 20, "two").verdict] == [0, 0]
    assert Reason(ask(bench, 3).verdict) is Reason.BACKLOG_FULL
    assert ask(bench, 4, sender="main").verdict == Reason.BACKLOG_FULL, "a number that owes nothing, too"
    bench.registry.add(Business(BUSINESS, "Airline", backlog=51))
    assert ask(bench, 5, sender="main").verdict == 0, "what is registered holds at once"


def test_copies_in_one_step_count_although_nothing_of_it_is_in_the_journal() -> None:
    """A step sees what it has accepted itself."""
    bench = bench_with(10)
    expires = text_of(NOW_MS + HOUR_MS)
    inputs = [
        given(event(data={"sender": "slow"}, id=str(n), people=range(4), expirytime=expires), n) for n in range(4)
    ]
    assert [entry.verdict for entry in bench.run(*inputs).journal] == [0, 0, Reason.BACKLOG_FULL, Reason.BACKLOG_FULL]


def test_lists_wait_for_no_place_and_a_benchmark_has_no_quota() -> None:
    """A list goes out in slots whatever else waits."""
    bench = bench_with(10)
    ask(bench, 1, 10)
    (entry,) = bench.run(given(event(data={"sender": "slow", "to": {"list": "l"}}, id="2"), 2)).journal
    assert entry.verdict == 0
    bench.policy = msgspec.structs.replace(bench.policy, limits=False)
    assert ask(bench, 3, 50).verdict == 0


@settings(deadline=None, max_examples=40)
@check(
    st.lists(
        st.tuples(st.integers(0, 4_000), st.integers(1, 20), st.sampled_from(("slow", "one", "two"))),
        min_size=1,
        max_size=30,
    )
)
def test_no_more_ever_waits_than_may_and_a_new_owner_reckons_the_same(requests: list[tuple[int, int, str]]) -> None:
    """Of all that was accepted so far, what begins later than now; whoever owns the partition."""
    living, dying = (bench_with(40, ("one", 1), ("two", 3)) for _ in range(2))
    begins: list[tuple[int, int]] = []
    for number, (gap, people, sender) in enumerate(requests):
        for bench in (living, dying):
            bench.now_ms += gap
        dying.crash()
        entry, same = ask(living, number, people, sender), ask(dying, number, people, sender)
        assert entry == same
        if entry.verdict == 0:
            begins.append((entry.start_ms, people))
        assert sum(count for start_ms, count in begins if start_ms > living.now_ms) <= 40


@settings(deadline=None)
@check(
    st.lists(st.tuples(st.integers(0, 9_000_000), st.integers(1, 1_000)), max_size=6),
    st.integers(1, 500),
    st.integers(0, 2_000),
)
def test_the_time_to_come_again_is_the_first_at_which_there_is_room(
    debts: list[tuple[int, int]], count: int, more: int
) -> None:
    """Not a millisecond earlier, with however many numbers."""
    backlog = Backlog(count + more, [Owed(NOW_MS * 1000 + us, per_s) for us, per_s in debts])
    refusal = backlog.refusal(count, NOW_MS)
    if refusal is None:
        assert backlog.waiting(NOW_MS) + count <= backlog.most
        return
    assert backlog.waiting(refusal.retry_at_ms) + count <= backlog.most
    assert backlog.waiting(refusal.retry_at_ms - 1) + count > backlog.most
    assert not refusal.left or backlog.refusal(refusal.left, NOW_MS) is None
    assert backlog.refusal(refusal.left + 1, NOW_MS) is not None


@pytest.mark.parametrize("lane", Lane, ids=lambda lane: lane.word)
def test_a_shard_has_room_for_what_the_largest_business_may_have_waiting(lane: Lane) -> None:
    """Even if all of it is for people of one shard; and a whole request always fits."""
    most = DeliverPolicy.of(lane, 0, b"").max_open
    assert MAX_RECIPIENTS <= DEFAULT_BACKLOG <= MAX_BACKLOG <= ASLEEP_TIMES * most
