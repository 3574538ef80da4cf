# ruff: noqa: D103 - the name of a plant is its sentence
"""Violations of pace and patience: a lane faster than its share, messages given up too soon, people told after they had left."""

from typing import Any

from broker.audit.early import OPEN_MS
from broker.audit.invariants import Breach
from schemas.delivery_journal import Answered
from schemas.gateway_api import Code
from schemas.lanes import Lane
from schemas.reasons import Reason, State
from schemas.registry import Sender
from schemas.wire.arrays import intervals_of
from schemas.wire.columns import i64s, u32s
from tests.pure.audit.dump import Asked
from tests.pure.audit.log import MINUTE_MS, people_in
from tests.pure.audit.plants.table import Plants, news
from tests.pure.audit.story import Story

PLANTS = Plants()
SHARD = 1
BOUND_1S = 10 + 2 + 6 + 1
"""Ten a second, a slot at both ends, 300 ms of clocks and lateness twice, a burst."""
BOUND_10S = 100 + 2 + 6 + 1


def slow_sender(story: Story, rate_per_s: int = 100) -> None:
    """A number of which updates have a tenth."""
    story.register(Sender("shop/slow", "shop", "+18005550109", rate_per_s=rate_per_s, shares={"update": 10}))


def hand_off(story: Story, event_id: str, count: int, **terms: Any) -> None:
    """As many people are told at one instant."""
    people = people_in(SHARD, count, 500)
    asked = story.ask(Lane.UPDATE, event_id, people, **{"business": "shop", "sender": "shop/slow"} | terms)
    story.open(asked, SHARD)
    story.send(asked, SHARD, range(count))


def refused(story: Story, asked: Asked, status: int, code: int, *, logged: bool = True, gateway_ms: int = 0) -> None:
    """The first person is decided to be told, and answered with ``status`` for ``code``."""
    story.decide(asked, SHARD, {0: State.SENDING})
    if logged:
        story.hand(asked, SHARD, [0], event="refused", code=code)
    columns = (u32s([0]), bytes((status,)), u32s([code]), i64s([0]))
    story.say(asked, SHARD, answered=(Answered(asked.name, intervals_of([0]), gateway_ms or story.now, *columns),))


# -- 13 rates


@PLANTS.row(Breach.RATE_EXCEEDED)
def a_lane_is_faster_than_its_share_for_a_second(story: Story) -> None:
    slow_sender(story)
    hand_off(story, "at-once", BOUND_1S + 1)


@PLANTS.row(Breach.RATE_EXCEEDED)
def a_lane_is_faster_than_its_share_for_ten_seconds(story: Story) -> None:
    slow_sender(story)
    for number in range(11):
        hand_off(story, f"steady-{number}", 12)
        story.now += 850


@PLANTS.row(Breach.RATE_EXCEEDED)
def a_lane_goes_on_at_a_rate_that_was_taken_from_it(story: Story) -> None:
    slow_sender(story, 10_000)
    hand_off(story, "before", 200)
    slow_sender(story)
    story.now += 12_000
    hand_off(story, "after", 200)


# -- 14 expiry and patience


@PLANTS.row(Breach.ENDED_EARLY)
def a_throttled_message_is_given_up(story: Story) -> None:
    refused(story, news(story, "throttled"), Reason.GATEWAY_REFUSED, Code.SENDER_THROTTLED)


@PLANTS.row(Breach.ENDED_EARLY)
def a_message_is_given_up_because_the_gateway_is_ill(story: Story) -> None:
    refused(story, news(story, "ill"), Reason.GATEWAY_REFUSED, Code.SERVICE_UNAVAILABLE)


@PLANTS.row(Breach.ENDED_EARLY)
def an_end_of_the_platform_s_without_its_code(story: Story) -> None:
    refused(story, news(story, "codeless"), Reason.UNREACHABLE, 0)


@PLANTS.row(Breach.ENDED_EARLY)
def a_refusal_that_the_gateway_never_wrote(story: Story) -> None:
    refused(story, news(story, "unsaid"), Reason.UNREACHABLE, Code.UNDELIVERABLE, logged=False)


@PLANTS.row(Breach.ENDED_EARLY)
def a_refusal_with_another_code_than_the_gateway_s(story: Story) -> None:
    asked = news(story, "misquoted")
    story.hand(asked, SHARD, [0], event="refused", code=Code.TRANSIENT)
    refused(story, asked, Reason.UNREACHABLE, Code.UNDELIVERABLE, logged=False)


@PLANTS.row(Breach.EXPIRED_EARLY)
def the_gateway_calls_expired_what_is_good_by_its_own_clock(story: Story) -> None:
    refused(story, news(story, "hasty"), Reason.EXPIRED, Code.EXPIRED)


@PLANTS.row(Breach.EXPIRED_EARLY)
def a_row_is_withheld_as_expired_before_its_time(story: Story) -> None:
    asked = news(story, "withheld")
    story.decide(asked, SHARD, {0: State.SENDING})
    story.answer(asked, SHARD, [0], {0: Reason.EXPIRED})


def forgotten(story: Story, *, beside: int = 1, life_ms: int = OPEN_MS + 1_000) -> None:
    """One person is never told, while others of the shard are: ``beside`` of the same sender, twice."""
    slow_sender(story, 1_000)
    asked = story.ask(
        Lane.UPDATE, "forgotten", people_in(SHARD, 1, 900), business="shop", sender="shop/slow",
        expires_ms=story.now + life_ms,
    )  # fmt: skip
    story.open(asked, SHARD)
    expires_ms = asked.terms.expires_ms
    for before_ms in (8_000, 3_000):
        story.now = expires_ms - before_ms
        hand_off(story, f"beside-{before_ms}", beside)
    story.now = expires_ms + 10
    story.decide(asked, SHARD, {0: Reason.EXPIRED})


@PLANTS.row(Breach.EXPIRED_IDLE)
def somebody_is_forgotten_while_the_number_is_idle(story: Story) -> None:
    forgotten(story)


# -- 15 leaving


def left_offer(story: Story, wait_ms: int) -> None:
    """An offer is decided, then somebody leaves the list, then it is handed off after a while."""
    asked = story.ask(Lane.CAMPAIGN, "left", "offers")
    story.open(asked, SHARD)
    ranks = range(len(asked.people[SHARD]))
    story.decide(asked, SHARD, dict.fromkeys(ranks, State.SENDING))
    story.opt("shop", "offers", asked.people[SHARD][:1], join=False)
    story.now += wait_ms
    story.hand(asked, SHARD, ranks)
    story.answer(asked, SHARD, ranks)


@PLANTS.row(Breach.LATE_AFTER_LEAVING)
def an_offer_two_seconds_after_somebody_left_its_list(story: Story) -> None:
    left_offer(story, 2_000)


@PLANTS.row(Breach.LATE_AFTER_LEAVING)
def an_offer_a_minute_after_somebody_left_its_list(story: Story) -> None:
    left_offer(story, MINUTE_MS)
