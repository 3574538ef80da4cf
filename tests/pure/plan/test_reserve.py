"""Sender throughput: exact at its source, recoverable from the journal, and refused when it cannot be in time."""

from typing import Any

import msgspec
import pytest
from hypothesis import given as check
from hypothesis import settings
from hypothesis import strategies as st

from broker.plan.outputs import outputs
from broker.plan.verdict import Rate, reserve
from broker.registry.fold import share_of
from schemas.facts import ListSize
from schemas.lanes import HOUR_MS, MINUTE_MS, Lane
from schemas.reasons import Reason
from schemas.registry import Business, Sender
from schemas.status import Status
from schemas.wire.timestamps import text_of
from streams.simulator.registry import Registered
from tests.support.plan_bench import NOW_MS, SHARDS, Bench, event, facts, given, told


def slow(number: int, people: int = 1, minutes: int = 10) -> dict[str, Any]:
    """A request of the sender that may send one a second."""
    expires = text_of(NOW_MS + minutes * MINUTE_MS)
    return event(data={"sender": "slow"}, id=str(number), people=range(people), expirytime=expires)


@pytest.mark.parametrize(
    ("per_s", "shares", "rate"),
    [
        pytest.param(80, {}, Rate(24, 2), id="a number's default: 30 % for updates"),
        pytest.param(1_000, {"update": 100}, Rate(1_000, 100), id="a carrier's, all for updates"),
        pytest.param(80, {"otp": 50, "update": 20}, Rate(16, 1), id="a lane's share"),
        pytest.param(1, {"update": 100}, Rate(1, 1), id="one a second has no burst"),
    ],
)
def test_a_rate_is_a_share_of_the_senders(per_s: int, shares: dict[str, int], rate: Rate) -> None:
    """A burst is a tenth of a second's worth."""
    sender = Sender("shop/main", "shop", "+18005550101", rate_per_s=per_s, shares=shares)
    assert Rate.of(share_of(sender, Lane.UPDATE)) == rate


@pytest.mark.parametrize("shares", [{}, {"update": 33, "campaign": 67}], ids=["by default", "as registered"])
@pytest.mark.parametrize("lane", Lane, ids=lambda lane: lane.word)
def test_plan_and_gateway_divide_a_number_alike_though_each_by_itself(lane: Lane, shares: dict[str, int]) -> None:
    """Its lanes together have no more than all of it; a lane without a share may not use it."""
    sender = Sender("shop/main", "shop", "+18005550101", rate_per_s=99, shares=shares)
    gateway = Registered([Business("shop", "Shop"), sender])
    assert share_of(sender, lane) == gateway.throughput(sender.id, lane.word)
    assert gateway.may_send("shop", sender.id, lane.word) is (not shares or lane is not Lane.OTP)
    assert sum(share_of(sender, one) for one in Lane) <= sender.rate_per_s


REQUESTS = st.lists(st.tuples(st.integers(0, 500), st.integers(1, 60)), min_size=1, max_size=40)
"""(milliseconds since the last request, recipients)."""


@settings(deadline=None)
@check(REQUESTS, st.integers(1, 2_000))
def test_no_window_holds_more_than_the_bound(requests: list[tuple[int, int]], per_s: int) -> None:
    """Starts within any window of T seconds: at most rate x T + max(burst, the last request)."""
    rate, free_us, now = Rate.of(per_s), 0, NOW_MS
    starts: list[tuple[int, int]] = []
    for gap, count in requests:
        now += gap
        reservation = reserve(free_us, now, count, rate)
        assert reservation.start_ms >= now
        assert reservation.free_us >= free_us
        free_us = reservation.free_us
        starts.append((reservation.start_ms, count))
    assert starts == sorted(starts, key=lambda start: start[0]), "first come, first served"
    for i, (begin, _) in enumerate(starts):
        for j in range(i, len(starts)):
            end, last = starts[j]
            sent = sum(count for _, count in starts[i : j + 1])
            assert sent * 1000 <= per_s * (end - begin) + max(rate.burst, last) * 1000


def test_an_idle_sender_begins_at_once_and_saves_nothing_up() -> None:
    """After an hour of silence the burst is the same as after a second."""
    rate = Rate.of(100)
    used = reserve(0, NOW_MS, 10, rate)
    later = [used.free_us]
    starts: list[int] = []
    for _ in range(20):
        reservation = reserve(later[-1], NOW_MS + 3_600_000, 1, rate)
        starts.append(reservation.start_ms - NOW_MS - 3_600_000)
        later.append(reservation.free_us)
    assert used.start_ms == NOW_MS
    assert starts == [0] * 10 + [10 * n for n in range(1, 11)]


def test_requests_of_one_sender_wait_for_one_another() -> None:
    """Two within one step and one in the next: each begins when the one before is paid for."""
    bench = Bench()
    step = bench.run(given(slow(1, 3), 1), given(slow(2), 2))
    assert [entry.start_ms - NOW_MS for entry in step.journal] == [0, 3_000]
    (entry,) = bench.run(given(slow(3), 3)).journal
    assert entry.start_ms - NOW_MS == 4_000
    (entry,) = bench.run(given(event(id="4"), 4)).journal
    assert entry.start_ms == NOW_MS, "another sender waits for nobody"


def test_a_request_that_could_not_begin_in_time_is_refused_with_the_time_to_come_again() -> None:
    """``backlog_full`` reserves nothing and says when."""
    bench = Bench()
    bench.run(given(slow(1, 500), 1))
    (entry,) = bench.run(given(slow(2, 1, minutes=5), 2)).journal
    assert Reason(entry.verdict) is Reason.BACKLOG_FULL
    assert bench.direct[-1].status.retry_at_ms == NOW_MS + 500_000
    (entry,) = bench.run(given(slow(3), 3)).journal
    assert (entry.verdict, entry.start_ms) == (0, NOW_MS + 500_000)


def test_lists_reserve_nothing_and_limits_can_be_off() -> None:
    """The pace of a list is deliver's; a benchmark has no limits."""
    bench = Bench()
    bench.run(given(slow(1, 500), 1))
    (entry,) = bench.run(given(event(data={"sender": "slow", "to": {"list": "l"}}, id="2"), 2)).journal
    assert (entry.start_ms, entry.free_us, entry.per_s) == (NOW_MS, 0, 1)
    bench.policy = msgspec.structs.replace(bench.policy, limits=False)
    (entry,) = bench.run(given(slow(3), 3)).journal
    assert (entry.start_ms, entry.free_us, entry.per_s) == (NOW_MS, 0, 0)


def test_a_list_is_accepted_with_its_size_its_rate_and_when_it_will_be_through() -> None:
    """After what was asked of the number's slots before; and how many cannot be told before it expires."""
    bench = Bench()
    for shard in range(2):
        bench.sizes.apply(ListSize("airline", "l", shard, count=150, upto=7))
    first = event(data={"sender": "slow", "to": {"list": "l"}}, id="1", expirytime=text_of(NOW_MS + HOUR_MS))
    (entry,) = bench.run(given(first, 1)).journal
    assert (entry.people, entry.per_s, entry.through_ms) == (300, 1, NOW_MS + 300_000)
    second = event(data={"sender": "slow", "to": {"list": "l"}}, id="2", expirytime=text_of(NOW_MS + 500_000))
    bench.run(given(second, 2))
    status = told(bench.direct[-1])
    assert isinstance(status, Status)
    assert (status.people, status.rate_per_s, status.eta_ms, status.unreached) == (300, 1, NOW_MS + 600_000, 100)
    assert "100 of them cannot be told before it expires" in status.detail


def test_more_explicit_recipients_than_a_burst_go_out_in_slots() -> None:
    """They are reserved as ever, but not sent all at once."""
    bench = Bench()
    (few,) = bench.run(given(event(people=range(10), id="1"), 1)).journal
    (many,) = bench.run(given(event(people=range(50), id="2"), 2)).journal
    assert (few.per_s, few.through_ms) == (0, 0)
    assert (many.per_s, many.people, many.through_ms) == (100, 50, many.start_ms + 500)
    assert {item.per_s for item in outputs(few, SHARDS).work.values()} == {0}
    assert {item.per_s for item in outputs(many, SHARDS).work.values()} == {100}


@settings(deadline=None, max_examples=30)
@check(st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 20)), min_size=1, max_size=12))
def test_the_debt_is_in_the_journal(requests: list[tuple[int, int]]) -> None:
    """A new owner reserves exactly what the old one would have, even if the rate was changed in between."""
    living, dying = Bench(Lane.UPDATE), Bench(Lane.UPDATE)
    for number, (gap, people) in enumerate(requests):
        for bench in (living, dying):
            bench.now_ms += gap
            bench.run(given(slow(number, people), number))
        dying.crash()
        assert living.log == dying.log
        sender = msgspec.structs.replace(living.registry.senders["airline/slow"], rate_per_s=1 + number % 3)
        living.registry.add(sender)
        dying.registry.add(sender)
    assert facts(living.state, living.now_ms) == facts(dying.state, dying.now_ms)
