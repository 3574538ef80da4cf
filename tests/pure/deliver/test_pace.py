"""Lists go out at their number's pace: everybody is told, no window holds more than the bound, whatever dies or is ill."""

import random
from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.deliver.gateway_answer import GatewayClock
from broker.deliver.limits.slots import FRAME_LATE_MS, LATE_MS, Pace, Slots
from schemas.facts import Suppression
from schemas.gateway_api import Code, FrameAnswer, Refused
from schemas.lanes import Lane
from schemas.plan_journal import WorkItem
from tests.pure.deliver.paced_shards import PacedShards
from tests.support.shard_bench import HOUR_MS, NOW_MS, Bench, change, explicit, listed, name

SENDER = "airline/main"
DAY_MS = 24 * HOUR_MS


def paced(number: int, list_id: str, per_s: int, **fields: object) -> WorkItem:
    """Work for a list that goes out in slots, with two days to live."""
    life = {"expires_ms": NOW_MS + 2 * DAY_MS, "keep_ms": NOW_MS + 3 * DAY_MS}
    return msgspec.structs.replace(listed(number, list_id, **(life | fields)), per_s=per_s)


def bound(per_s: int, window_ms: int, skew_ms: int = 0) -> float:
    """R x T + 2q + 2eR, as PROTOCOL.md section 5.2 states it."""
    quantum = Pace(per_s, 0, 1).quantum
    return per_s * window_ms / 1_000 + 2 * quantum + per_s * (2 * skew_ms + LATE_MS + FRAME_LATE_MS) / 1_000


# -- slots


@given(st.integers(1, 2_000_000), st.integers(1, 64), st.integers(NOW_MS, NOW_MS + 10_000_000), st.data())
def test_a_slot_of_a_shard_begins_before_now_and_the_next_one_after(
    per_s: int, shards: int, now_ms: int, data: st.DataObject
) -> None:
    """Each instant lies between two slots of a shard, about S x q / R apart."""
    pace = Pace(per_s, data.draw(st.integers(0, shards - 1)), shards)
    slot_ms = pace.slot_ms(now_ms)
    next_ms = pace.next_ms(slot_ms)
    span_ms = 1_000 * shards * pace.quantum / per_s
    assert slot_ms <= now_ms < next_ms or next_ms - slot_ms <= 1
    assert abs(next_ms - slot_ms - span_ms) <= max(1, span_ms)
    assert now_ms - slot_ms <= span_ms + 1


@settings(max_examples=40)
@given(st.integers(1, 5_000), st.integers(1, 16), st.integers(0, 10_000))
def test_the_slots_of_all_shards_together_hold_no_more_than_the_rate(per_s: int, shards: int, begins_ms: int) -> None:
    """Over any window of 1 s: R + 2q at most, if every slot is used on the dot."""
    used = []
    for shard in range(shards):
        pace = Pace(per_s, shard, shards)
        at_ms = pace.next_ms(pace.slot_ms(NOW_MS + begins_ms))
        while at_ms < NOW_MS + begins_ms + 3_000:
            used.append(at_ms)
            at_ms = pace.next_ms(at_ms)
    used.sort()
    quantum = Pace(per_s, 0, shards).quantum
    for first, at_ms in enumerate(used):
        inside = sum(quantum for other in used[first:] if other < at_ms + 1_000)
        assert inside <= per_s + 2 * quantum


def test_a_slot_is_used_once_whoever_owns_the_shard() -> None:
    """An owner counts what it used, and leaves what began before it did to the one before."""
    pace, slots = Pace(200, 0, 16), Slots(NOW_MS)
    begins_ms = pace.next_ms(NOW_MS)
    slots.spend(SENDER, begins_ms, 7)
    slots.spend(SENDER, begins_ms, 2)
    assert slots.left(SENDER, pace, begins_ms + 10) == 1
    assert slots.left("other/main", pace, begins_ms + 10) == 10
    assert slots.left(SENDER, pace, begins_ms + LATE_MS + 1) == 0
    assert slots.left(SENDER, pace, pace.next_ms(begins_ms)) == 10
    assert Slots(begins_ms).left(SENDER, pace, begins_ms + 10) == 0


@given(
    st.integers(1, 3_000),
    st.integers(1, 16),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 200)), max_size=60),
)
def test_no_shard_uses_more_than_its_slots_however_late_it_looks(
    per_s: int, shards: int, looks: list[tuple[int, int]]
) -> None:
    """Whenever it looks and whatever it takes, each message fits into a slot of the shard that began not long before."""
    pace, slots, now_ms, taken = Pace(per_s, 0, shards), Slots(NOW_MS), NOW_MS, Counter[int]()
    for pause_ms, wanted in looks:
        now_ms += pause_ms
        count = min(wanted, slots.left(SENDER, pace, now_ms))
        if not count:
            continue
        slots.spend(SENDER, pace.slot_ms(now_ms), count)
        for slot_ms in pace.usable(now_ms):
            granted = min(count, pace.quantum - taken[slot_ms])
            taken[slot_ms] += granted
            count -= granted
        assert count == 0


@pytest.mark.parametrize("beat_ms", [5, 40, 200])
def test_a_busy_process_keeps_the_pace(beat_ms: int) -> None:
    """Shards that come to their turn seldom use the slots that went by meanwhile, and no window holds more than the bound."""
    world = PacedShards(Lane.CAMPAIGN, 8)
    world.rates[SENDER] = 1_000
    world.join("L", 10_000)
    world.take(paced(1, "L", 1_000))
    world.run(NOW_MS + 60_000, every_ms=beat_ms)
    assert world.ends() == {"ACCEPTED": 10_000}
    assert world.now - NOW_MS <= 1.15 * 10_000
    assert world.worst(SENDER, 1_000) <= bound(1_000, 1_000)


# -- lists


@pytest.mark.parametrize(
    ("people", "per_s", "lane"),
    [
        pytest.param(2_000, 80, Lane.CAMPAIGN, id="2,000 at 80/s"),
        pytest.param(20_000, 1_000, Lane.CAMPAIGN, id="20,000 at 1,000/s"),
        pytest.param(5_000, 1_000, Lane.UPDATE, id="an update to 5,000 at 1,000/s"),
    ],
)
def test_everybody_on_a_list_is_told_at_the_numbers_pace(people: int, per_s: int, lane: Lane) -> None:
    """Eight shards that never talk to one another lose nobody, throttle nothing, and take the time it takes."""
    world = PacedShards(lane, 8)
    world.rates[SENDER] = per_s
    world.join("L", people)
    world.take(paced(1, "L", per_s))
    world.run(NOW_MS + 3 * people * 1_000 // per_s)
    assert world.ends() == {"ACCEPTED": people}
    assert not world.refused
    for window_ms in (1_000, 10_000):
        assert world.worst(SENDER, window_ms) <= bound(per_s, window_ms)
    assert world.now - NOW_MS <= 1.15 * people * 1_000 / per_s


@pytest.mark.parametrize("seed", range(4))
def test_the_bound_holds_whatever_dies_while_clocks_differ(seed: int) -> None:
    """Owners die in the middle of slots and with frames in the air; 20 ms between the clocks of machines."""
    world, dice = PacedShards(Lane.CAMPAIGN, 8, seed=seed, skew_ms=20), random.Random(seed)
    world.rates[SENDER] = 500
    world.join("L", 2_000)
    world.take(paced(1, "L", 500))
    while world.open or world.now == NOW_MS:
        world.run(world.now + dice.randint(1, 400))
        shard = dice.randrange(8)
        world.shards[shard].append()
        if dice.random() < 0.5:
            world.shards[shard].send()
        world.restart(shard)
    assert world.ends() == {"ACCEPTED": 2_000}
    assert world.worst(SENDER, 1_000) <= bound(500, 1_000, 20)
    assert world.worst(SENDER, 2_000) <= bound(500, 2_000, 20)


def test_two_lists_of_one_number_share_its_slots() -> None:
    """Together they take what they would take one after the other, and both are under way all the time."""
    world = PacedShards(Lane.CAMPAIGN, 4)
    world.rates[SENDER] = 400
    world.join("L", 1_000)
    world.join("M", 1_000)
    world.take(paced(1, "L", 400))
    world.take(paced(2, "M", 400))
    world.run(NOW_MS + 2_500)
    sent = Counter(request for shard in world.shards for request, _ in shard.sent)
    assert abs(sent[1] - sent[2]) <= 40
    world.run(NOW_MS + 60_000)
    assert world.ends() == {"ACCEPTED": 2_000}
    assert world.worst(SENDER, 1_000) <= bound(400, 1_000)
    assert world.now - NOW_MS <= 1.15 * 5_000


def test_in_the_update_lane_the_nearest_deadline_uses_the_slots_first() -> None:
    """A short-lived update to a list overtakes one that lives for days."""
    world = PacedShards(Lane.UPDATE, 2)
    world.rates[SENDER] = 200
    world.join("L", 600)
    world.take(paced(1, "L", 200))
    world.run(NOW_MS + 500)
    world.take(paced(2, "L", 200, expires_ms=NOW_MS + 60_000))
    world.run(NOW_MS + 4_000)
    told = Counter(request for shard in world.shards for request, _ in shard.sent)
    assert told[2] == 600
    assert told[1] < 300


def test_single_messages_of_a_number_that_is_busy_with_a_list_take_its_slots_first() -> None:
    """They go ahead of the list, within the same rate; without a list they need no slot."""
    bench = Bench(Lane.UPDATE, shards=1, limits=False)
    bench.audience.apply(change("L", range(1, 500)), 0)
    bench.take(explicit(7, [1_000]))
    bench.run()
    assert bench.sent == [(7, 0)]
    bench.take(paced(1, "L", 100))
    for _ in range(3):
        bench.append()
    bench.take(explicit(8, [1_001]))
    slots = []
    while (8, 0) not in bench.sent:
        bench.now += 10
        bench.append()
        batch = bench.send()
        if batch is not None:
            slots.append(batch.rows())
            bench.engine.answered(batch, FrameAnswer(bench.now, tuple(() for _ in batch.parts)), bench.now)
    assert sum(slots) <= bound(100, bench.now - NOW_MS)
    assert len(slots) <= 3


def test_who_may_not_be_told_leaves_the_slot_to_the_next() -> None:
    """A list of which half has stopped takes half the time."""
    bench = Bench(Lane.CAMPAIGN, shards=1)
    bench.audience.apply(change("L", range(1, 401)), 0)
    for person in range(1, 401, 2):
        bench.consent.apply(Suppression(name(person), "airline", 1, revoke=True, evidence_ms=1, received_ms=1))
    bench.take(paced(1, "L", 100))
    while bench.state.items or bench.engine.backlog:
        bench.now += 5
        bench.run()
    assert len(bench.sent) == 200
    assert bench.now - NOW_MS <= 2_200


def test_what_is_over_for_all_alike_needs_no_slot() -> None:
    """An expired list ends at once, not at its pace."""
    bench = Bench(Lane.CAMPAIGN, shards=1)
    bench.audience.apply(change("L", range(1, 2_001)), 0)
    bench.take(paced(1, "L", 10, expires_ms=NOW_MS + 1_000))
    bench.run()
    bench.now += 1_000
    bench.run()
    assert not bench.state.items


# -- gateways that refuse


def test_a_throttled_message_comes_again_in_a_slot_and_not_before_its_time() -> None:
    """A gateway that allows less than what is registered loses nobody: the rest waits."""
    world = PacedShards(Lane.CAMPAIGN, 4)
    world.rates[SENDER] = 200
    world.join("L", 600)
    world.take(paced(1, "L", 400))
    for shard in world.shards:
        shard.rates = {SENDER: 400}
    world.run(NOW_MS + 60_000)
    assert world.ends() == {"ACCEPTED": 600}
    assert world.refused[Code.SENDER_THROTTLED]


@pytest.mark.parametrize(
    ("lane", "ill_s", "live_s"),
    [
        pytest.param(Lane.OTP, 10, 900, id="codes, 10 s"),
        pytest.param(Lane.UPDATE, 360, 172_800, id="updates, 6 min"),
        pytest.param(Lane.CAMPAIGN, 20, 172_800, id="offers, 20 s"),
    ],
)
def test_a_gateway_that_is_ill_for_a_while_costs_nobody(lane: Lane, ill_s: int, live_s: int) -> None:
    """131016 says nothing about a message. A code goes again within two seconds of its end."""
    world = PacedShards(lane, 1)
    world.rates[SENDER] = 1_000
    world.gateway_ill_until_ms = NOW_MS + ill_s * 1_000
    for number in range(1, 101):
        world.take(explicit(number, [number], expires_ms=NOW_MS + live_s * 1_000, keep_ms=NOW_MS + 2 * DAY_MS))
    world.run(NOW_MS + live_s * 1_000, every_ms=20)
    assert world.ends() == {"ACCEPTED": 100}
    if lane is Lane.OTP:
        assert world.now - world.gateway_ill_until_ms <= 2_100


@pytest.mark.parametrize(("lane", "ahead_ms"), [(Lane.UPDATE, 1_200), (Lane.OTP, 5_100), (Lane.CAMPAIGN, -1_500)])
def test_a_gateway_whose_clock_is_off_costs_nobody(lane: Lane, ahead_ms: int) -> None:
    """Its first answer tells the difference, and frames are stamped by its clock from then on."""
    world = PacedShards(lane, 1)
    world.rates[SENDER] = 1_000
    world.gateway_ahead_ms = ahead_ms
    for number in range(1, 51):
        world.take(explicit(number, [number], expires_ms=NOW_MS + 900_000))
    world.run(NOW_MS + 60_000)
    assert world.ends() == {"ACCEPTED": 50}
    assert world.now - NOW_MS <= 100
    assert world.shards[0].engine.gateway_clock.ahead_ms == ahead_ms


def test_a_gateway_that_is_slow_to_look_at_frames_is_not_asked_all_the_time() -> None:
    """Frames that are stale again and again wait a little longer each time."""
    bench = Bench()
    bench.answering = lambda batch: FrameAnswer(bench.now, (tuple(Refused(0, Code.STALE_FRAME) for _ in batch.parts),))
    bench.take(explicit(1, [1]))
    for _ in range(3_000):
        bench.append()
        batch = bench.send()
        if batch is not None:
            bench.engine.answered(batch, bench.answering(batch), bench.now)
        bench.now += 10
    assert 5 < len(bench.sent) < 20


def test_a_business_whose_frame_is_refused_holds_back_nobody_else() -> None:
    """429 for the whole frame: each business is asked for by itself, and waits for its own Retry-After."""
    bench = Bench(limits=False)
    bench.take(explicit(1, [1]), explicit(2, [2], business="shop", sender="shop/main"))
    bench.append()
    both = bench.send()
    assert both is not None
    bench.engine.throttled(both, 5_000, bench.now)
    first, second = bench.send(), None
    assert first is not None
    bench.engine.throttled(first, 5_000, bench.now)
    second = bench.send()
    assert second is not None
    bench.engine.answered(second, FrameAnswer(bench.now, ((),)), bench.now)
    bench.take(explicit(3, [3]), explicit(4, [4], business="shop", sender="shop/main"))
    bench.run()
    assert (4, 0) in bench.sent
    assert (3, 0) not in bench.sent
    bench.now += 5_000
    bench.run()
    assert (3, 0) in bench.sent
    assert not bench.state.items


# -- the gateway's clock


@given(st.integers(-10_000, 10_000), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1))
def test_the_difference_of_clocks_is_never_overestimated(ahead_ms: int, trips: list[tuple[int, int]]) -> None:
    """Whatever the ways take, moving a frame's end by the estimate never gives it more time than it has."""
    clock, now = GatewayClock(), NOW_MS
    for there_ms, back_ms in trips:
        clock.note(now, now + there_ms + ahead_ms, now + there_ms + back_ms)
        now += 50
    assert clock.ahead_ms <= max(ahead_ms, 0)
    if ahead_ms > 0:
        assert clock.ahead_ms >= min(ahead_ms - min(back for _, back in trips), ahead_ms) or clock.ahead_ms == 0


def test_a_clock_that_is_set_is_measured_anew() -> None:
    """Answers that contradict the older ones replace them."""
    clock = GatewayClock()
    clock.note(NOW_MS, NOW_MS + 2_005, NOW_MS + 10)
    assert clock.ahead_ms == 1_995
    clock.note(NOW_MS + 50, NOW_MS + 55, NOW_MS + 60)
    assert clock.ahead_ms == 0


def test_a_shard_that_works_one_item_at_a_time_gets_through_its_slots() -> None:
    """Under suspicion of poison each turn is taken alone: the queue of a number moves on after it as after any other."""
    bench = Bench(Lane.UPDATE, shards=1, limits=False)
    bench.audience.apply(change("L", range(1, 6)), 0)
    bench.engine._suspects.careful = True
    bench.take(paced(1, "L", 100), paced(2, "L", 100))
    for _ in range(400):
        bench.now += 5
        bench.append()
        batch = bench.send()
        if batch is not None:
            bench.engine.answered(batch, FrameAnswer(bench.now, tuple(() for _ in batch.parts)), bench.now)
    assert len(bench.sent) == 10
    assert not bench.state.items


def test_a_new_owner_whose_first_frame_is_stale_sends_it_again_at_once() -> None:
    """However often the message was tried before: what was wrong is the owner's idea of the gateway's clock, and it knows now."""
    world = PacedShards(Lane.UPDATE, 1)
    world.rates[SENDER] = 1_000
    world.gateway_ill_until_ms = NOW_MS + 60_000
    world.take(explicit(1, [1], expires_ms=NOW_MS + 900_000))
    world.run(NOW_MS + 59_000)
    world.gateway_ahead_ms = 2_000
    world.restart(0)
    world.run(NOW_MS + 300_000)
    assert world.ends() == {"ACCEPTED": 1}
    assert world.refused[Code.STALE_FRAME] == 1
