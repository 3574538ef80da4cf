"""The auditor and clocks, rates and patience: what is legal is not found, what is not is found under a skewed gateway, too."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.clocks import AGREE, SLICE_MS, GatewayClock
from broker.audit.early import OPEN_MS
from broker.audit.invariants import Breach
from broker.audit.limit_checks import Rates, nearest
from broker.audit.sources import Limits
from broker.deliver.limits.slots import Pace
from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.facts import Scope
from schemas.gateway_api import Code
from schemas.lanes import Lane
from schemas.reasons import Reason, State
from schemas.wire.header import Kind, body_of, head_of, pack
from tests.pure.audit.plants import pace
from tests.pure.audit.plants.messages import stopped_news
from tests.pure.audit.plants.table import news
from tests.pure.audit.story import Story
from tests.pure.audit.test_audit import audited

TOLERANCE_MS = 50


# -- rates


def test_a_lane_at_its_bound_is_legal_and_named_as_the_busiest() -> None:
    """As many as the bound in one second, as many as its bound in ten; the last line says how near it came."""
    story = Story()
    pace.slow_sender(story)
    pace.hand_off(story, "at-once", pace.BOUND_1S)
    for number in range(9):
        story.now += 1_000
        pace.hand_off(story, f"steady-{number}", 10)
    found = audited(story)
    assert found.violations == ()
    assert nearest(found.busiest, 1) == {
        "shop/slow update": {
            "worst_1s": pace.BOUND_1S,
            "bound_1s": pace.BOUND_1S,
            "worst_10s": pace.BOUND_10S,
            "bound_10s": pace.BOUND_10S,
        }
    }


@pytest.mark.parametrize("per_s", [1, 24, 80, 1_000, 80_000])
def test_the_auditor_reckons_with_the_slots_that_deliver_uses(per_s: int) -> None:
    """R x T + 2q + 2eR and a burst: its q is its own, so that it can be wrong on neither side alone."""
    for seconds in (1, 10):
        allowed = Rates(Limits()).bound(np.array([per_s]), seconds)[0]
        promised = per_s * seconds + 2 * Pace(per_s, 0, 8).quantum + per_s * 600 // 1_000 + max(1, per_s // 10)
        assert allowed == promised


def test_a_rate_that_was_raised_counts_from_then_on() -> None:
    """What a new rate allows is legal as soon as it is registered, and ten seconds after the old one was in force."""
    story = Story()
    pace.slow_sender(story)
    story.now += 1_000
    pace.slow_sender(story, 10_000)
    pace.hand_off(story, "fast", 200)
    pace.slow_sender(story)
    story.now += 5_000
    pace.hand_off(story, "late-news", 200)
    assert audited(story).violations == ()


def test_heartbeats_have_no_rate() -> None:
    """However many there are: they go to nobody, and no throughput counts against them."""
    story = Story()
    pace.slow_sender(story)
    pace.hand_off(story, "beats", 200, business="fanfare-0", template="fanfare_heartbeat_update", test=True)
    assert Breach.RATE_EXCEEDED.word not in audited(story).found


def test_without_limits_nothing_is_said_of_rates() -> None:
    """A run with limits off has neither findings nor busiest windows, and says so by leaving them out."""
    story = Story()
    pace.slow_sender(story)
    pace.hand_off(story, "at-once", 200)
    found = audited(story, limits=None)
    assert (found.violations, found.busiest) == ((), ())


# -- patience


@pytest.mark.parametrize("code", [Code.STALE_FRAME, Code.SENDER_THROTTLED, Code.PAIR_THROTTLED, Code.TRANSIENT])
def test_a_message_that_waits_is_legal(code: Code) -> None:
    """The gateway says later, and later it is."""
    story = Story()
    asked = news(story, "patient")
    pace.refused(story, asked, State.WAITING, code)
    story.now += 1_000
    story.decide(asked, 1, {0: State.SENDING}, attempt=2)
    story.hand(asked, 1, [0], attempt=2)
    story.answer(asked, 1, [0])
    assert audited(story).violations == ()


def test_no_number_of_attempts_is_too_many() -> None:
    """Three hundred times later is later; an attempt is a byte, and those after the last number bear it as well."""
    story = Story()
    asked = news(story, "stubborn", expires_ms=story.now + 3_600_000)
    for attempt in range(1, 300):
        story.decide(asked, 1, {0: State.SENDING}, attempt=min(attempt, 255))
        story.answer(asked, 1, [0], {0: State.WAITING})
        story.now += 1_000
    assert audited(story).violations == ()


@pytest.mark.parametrize(
    ("why", "options"),
    [
        ("it was open too short", {"life_ms": OPEN_MS - 1_000}),
        ("its number was busy", {"beside": 90}),
    ],
)
def test_who_expires_untried_for_a_reason_is_no_finding(why: str, options: dict[str, int]) -> None:
    """Only an idle number and enough time make it one."""
    story = Story()
    pace.forgotten(story, **options)
    assert audited(story).violations == (), why


def test_who_expires_while_the_shard_stands_still_is_no_finding() -> None:
    """An owner or gateway that was away in the last seconds is a fault, and no forgetting."""
    story = Story()
    asked = news(story, "stood-still", expires_ms=story.now + OPEN_MS + 1_000)
    story.now = asked.terms.expires_ms + 10
    story.decide(asked, 1, {0: Reason.EXPIRED})
    assert audited(story).violations == ()


# -- leaving


@pytest.mark.parametrize("wait_ms", [0, 900])
def test_a_hand_off_within_the_bound_of_leaving_is_legal(wait_ms: int) -> None:
    """The frame may have been on its way."""
    story = Story()
    pace.left_offer(story, wait_ms)
    assert audited(story).violations == ()


def test_who_joins_again_may_be_told() -> None:
    """Left, back on the list, and then told: long after the leaving, and rightly."""
    story = Story()
    asked = story.ask(Lane.CAMPAIGN, "back", "offers")
    story.open(asked, 1)
    story.opt("shop", "offers", asked.people[1][:1], join=False)
    story.now += 5_000
    story.opt("shop", "offers", asked.people[1][:1])
    story.send(asked, 1, range(len(asked.people[1])))
    assert audited(story).violations == ()


# -- clocks


def skewed(story: Story, skew_ms: int, *, since_ms: int = 0) -> Story:
    """The same run, as a gateway writes and answers it whose clock is set when it reads ``since_ms``."""
    for lane, log in story.gateway.items():
        story.gateway[lane] = [
            msgspec.structs.replace(
                event, at_ms=event.at_ms + skew_ms, not_after_ms=event.not_after_ms + skew_ms * bool(event.not_after_ms)
            )
            if event.at_ms >= since_ms
            else event
            for event in log
        ]
    for lane in Lane:
        journal = story.logs[topics.outcomes(lane)]
        for at, record in enumerate(journal):
            if head_of(record.value or b"").kind is not Kind.OUTCOME:
                continue
            body = body_of(record.value or b"", Outcome)
            answered = tuple(
                msgspec.structs.replace(one, gateway_ms=one.gateway_ms + skew_ms * (one.gateway_ms >= since_ms))
                for one in body.answered
            )
            value = pack(head_of(record.value or b""), msgspec.structs.replace(body, answered=answered))
            journal[at] = msgspec.structs.replace(record, value=value)
    return story


@pytest.mark.parametrize("skew_ms", [1_500, -1_500, 40_000])
def test_a_skewed_gateway_gives_no_false_finding(skew_ms: int) -> None:
    """The whole clean run, as a gateway with a wrong clock tells it: nothing is found but how wrong the clock was."""
    found = audited(skewed(Story(), skew_ms))
    assert found.violations == ()
    assert abs(found.counts["gateway_clock_off_ms"] - abs(skew_ms)) <= TOLERANCE_MS


@pytest.mark.parametrize("skew_ms", [0, 1_500, -1_500])
def test_a_hand_off_after_a_stop_is_found_whatever_the_gateway_s_clock_says(skew_ms: int) -> None:
    """Two seconds after the STOP by Kafka's clock, which a gateway that is behind dates half a second after it."""
    story = Story()
    stopped_news(story, Scope.ALL, wait_ms=2_000)
    assert set(audited(skewed(story, skew_ms)).found) == {Breach.LATE_AFTER_STOP.word}


@pytest.mark.parametrize("skew_ms", [0, 1_500, -1_500])
def test_a_hand_off_after_its_expiry_is_found_whatever_the_gateway_s_clock_says(skew_ms: int) -> None:
    """Two seconds late by Kafka's clock."""
    story = Story()
    asked = news(story, "late", expires_ms=story.now + 100)
    story.decide(asked, 1, {0: State.SENDING})
    story.now += 2_100
    story.hand(asked, 1, [0])
    story.answer(asked, 1, [0])
    assert Breach.AFTER_EXPIRY.word in audited(skewed(story, skew_ms)).found


def test_a_clock_that_is_set_back_makes_no_rate() -> None:
    """Two seconds that bear the same times are two seconds still."""
    story = Story()
    pace.slow_sender(story)
    began_ms = story.now
    for number in range(8):
        pace.hand_off(story, f"steady-{number}", 10)
        story.now += 1_000
    half = skewed(skewed(story, 2_000, since_ms=began_ms), -2_000, since_ms=began_ms + 8_000)
    assert audited(half).violations == ()


_FRAMES = st.lists(
    st.tuples(st.integers(1, 400), st.integers(1, 200), st.integers(1, 200)), min_size=AGREE, max_size=80
)


@given(_FRAMES, st.integers(-100_000, 100_000))
def test_no_line_is_dated_beside_the_truth(frames: list[tuple[int, int, int]], skew_ms: int) -> None:
    """Whatever frames and answers take, a clock that is wrong by the same all along is seen through, to the tolerance."""
    clock = GatewayClock(TOLERANCE_MS)
    now_ms, lines = 1_900_000_000_000, []
    for pause_ms, before_ms, after_ms in frames:
        now_ms += pause_ms + before_ms
        clock.heard(now_ms + skew_ms, now_ms - before_ms, now_ms + after_ms)
        lines.append(now_ms)
    for true_ms in lines:
        moment = clock.moment(true_ms + skew_ms)
        slack_ms = TOLERANCE_MS + (200 if moment.earliest_ms == moment.latest_ms else 0)
        assert moment.earliest_ms - slack_ms <= true_ms <= moment.latest_ms + slack_ms


@pytest.mark.parametrize("step_ms", [3_000, -3_000])
def test_a_clock_that_is_set_and_set_right_again(step_ms: int) -> None:
    """Right, wrong for ten seconds, right: each line is dated within the slice of a step, and closely away from it."""
    clock, begins_ms = GatewayClock(TOLERANCE_MS), 1_900_000_000_000
    lines = [(at_ms, step_ms if 10_000 <= at_ms < 20_000 else 0) for at_ms in range(130, 30_000, 100)]
    for at_ms, skew_ms in lines:
        clock.heard(begins_ms + at_ms + skew_ms, begins_ms + at_ms - 10, begins_ms + at_ms + 10)
    assert abs(clock.worst_ms - abs(step_ms)) <= TOLERANCE_MS
    for at_ms, skew_ms in lines:
        off_ms = abs(clock.moment(begins_ms + at_ms + skew_ms).likely_ms - begins_ms - at_ms)
        near = min(abs(at_ms - 10_000), abs(at_ms - 20_000)) <= SLICE_MS
        assert off_ms <= (SLICE_MS if near else TOLERANCE_MS), at_ms


def test_one_answer_that_contradicts_the_rest_is_no_clock() -> None:
    """It takes three: a hand-off before its decision stays a finding."""
    clock = GatewayClock(TOLERANCE_MS)
    for number in range(20):
        at_ms = 1_000_000 + number * SLICE_MS
        clock.heard(at_ms, at_ms - 5, at_ms + 5)
    late_ms = 1_000_000 + 30 * SLICE_MS
    for _ in range(AGREE - 1):
        clock.heard(late_ms - 3_000, late_ms - 5, late_ms + 5)
    assert clock.worst_ms == 0
    times = [1_000_000 + number * SLICE_MS for number in range(20)]
    assert [clock.moment(at_ms).likely_ms for at_ms in times] == times


@pytest.mark.parametrize(("step_ms", "back_ms"), [(1_500, 10_000), (-1_500, 10_000), (1_500, 14_000)])
def test_a_clock_that_is_set_right_while_nobody_is_answered(step_ms: int, back_ms: int) -> None:
    """No answer for three seconds and then the right time: a line is dated by where it stands in the log."""
    clock, begins_ms = GatewayClock(TOLERANCE_MS), 1_900_000_000_000
    answered = [*range(0, back_ms, 100), *range(back_ms + 3_000, 20_000, 100)]
    lines = [
        (at_ms, step_ms if 5_000 <= at_ms < back_ms else 0)
        for at_ms in sorted({*answered, *range(back_ms, back_ms + 200, 50)})
    ]
    for at_ms, skew_ms in lines:
        if at_ms in answered:
            clock.heard(begins_ms + at_ms + skew_ms, begins_ms + at_ms - 10, begins_ms + at_ms + 10)
    for at_ms, skew_ms in lines:
        moment = clock.moment(begins_ms + at_ms + skew_ms)
        near = min(abs(at_ms - 5_000), abs(at_ms - back_ms)) <= SLICE_MS
        slack_ms = SLICE_MS if near else TOLERANCE_MS
        assert moment.earliest_ms - slack_ms <= begins_ms + at_ms <= moment.latest_ms + slack_ms, at_ms


@given(
    st.lists(st.integers(1, 3_000), min_size=3 * AGREE, max_size=40),
    st.sampled_from([1_500, -1_500, 3_000, -700]),
    st.data(),
)
def test_no_line_is_dated_after_its_hand_off_when_frames_are_few(
    pauses: list[int], step_ms: int, data: st.DataObject
) -> None:
    """A clock that is wrong for a while, with seconds between frames: no line's true time is ruled out."""
    on = data.draw(st.integers(AGREE, len(pauses) - AGREE), label="frames before it is set")
    off = data.draw(st.integers(on + AGREE, len(pauses)), label="frames before it is set right")
    clock, true_ms, lines = GatewayClock(TOLERANCE_MS), 1_900_000_000_000, []
    for number, pause_ms in enumerate(pauses):
        true_ms += (
            SLICE_MS + pause_ms
        )  # a slice of its own each: in one that is shared the clock may be set, and says nothing
        skew_ms = step_ms if on <= number < off else 0
        clock.heard(true_ms + skew_ms, true_ms - 10, true_ms + 10)
        lines.append((true_ms, skew_ms))
    for true_ms, skew_ms in lines:
        moment = clock.moment(true_ms + skew_ms)
        assert moment.earliest_ms - TOLERANCE_MS <= true_ms <= moment.latest_ms + TOLERANCE_MS
