# ruff: noqa: D103 - the name of a plant is its sentence
"""Violations about messages: invariants 4, 6, 13 to 15, 18 and 20."""

import hashlib
from typing import Any

from broker.audit.invariants import Breach
from broker.audit.sources import Limits
from schemas import topics
from schemas.delivery_journal import Outcome, Restated
from schemas.facts import Scope
from schemas.lanes import HOUR_MS, Lane
from schemas.plan_journal import Planned, PlannedBatch, Work
from schemas.reasons import Reason, State
from schemas.wire.arrays import runs_of
from schemas.wire.header import Header, Kind, pack
from tests.pure.audit.dump import Asked
from tests.pure.audit.log import MINUTE_MS, people_in
from tests.pure.audit.plants.table import Plants, accepted, news, replace, verdict
from tests.pure.audit.story import Story

SEND = State.SENDING
PLANTS = Plants()


# -- 4 one terminal state


@PLANTS.row(Breach.DECIDED_TWICE)
def a_rank_is_decided_again_before_its_answer(story: Story) -> None:
    asked = news(story, "hasty")
    story.decide(asked, 1, {0: SEND})
    story.decide(asked, 1, {0: SEND}, attempt=2)


@PLANTS.row(Breach.TWO_TERMINALS)
def a_refused_rank_is_refused_for_another_reason(story: Story) -> None:
    rank = story.sale.people[0].index(story.stopper)
    story.decide(story.sale, 0, {rank: Reason.CANCELLED})


@PLANTS.row(Breach.TWO_TERMINALS)
def an_accepted_rank_is_answered_in_doubt(story: Story) -> None:
    story.answer(story.code, 1, [0], {0: State.IN_DOUBT})


# -- 6 moves


@PLANTS.row(Breach.ILLEGAL_MOVE)
def an_answer_to_a_rank_never_decided(story: Story) -> None:
    story.answer(news(story, "unasked"), 1, [0])


@PLANTS.row(Breach.AFTER_TERMINAL)
def another_attempt_after_the_end(story: Story) -> None:
    story.decide(story.parcel, 3, {2: SEND}, attempt=2)


@PLANTS.row(Breach.ATTEMPT_HOLE)
def attempt_three_after_attempt_one(story: Story) -> None:
    asked = news(story, "hole")
    story.decide(asked, 1, {0: SEND})
    story.answer(asked, 1, [0], {0: State.WAITING})
    story.now += 1_000
    story.decide(asked, 1, {0: SEND}, attempt=3)


@PLANTS.row(Breach.TOO_EARLY)
def an_attempt_before_it_is_due(story: Story) -> None:
    asked = news(story, "early")
    story.decide(asked, 1, {0: State.WAITING}, due_ms=story.now + MINUTE_MS)
    story.decide(asked, 1, {0: SEND})


@PLANTS.row(Breach.RESTATED_DIFFERS)
def a_restatement_that_forgets_a_decision(story: Story) -> None:
    def forgetful(body: Restated) -> Restated:
        (item,) = body.open
        return Restated((replace(item, statuses=runs_of(bytes(len(story.sale.people[0])))),))

    story.edit(topics.outcomes(Lane.CAMPAIGN), Restated, forgetful)


# -- 13 rates, 14 expiry


@PLANTS.row(Breach.PERSON_LIMIT)
def one_person_is_told_sixty_things_at_once(story: Story) -> None:
    for number in range(60):
        story.send(news(story, f"chatter-{number}"), 1, [0])


@PLANTS.row(Breach.SENDER_LIMIT, limits=Limits(sender_burst_ms=1, jitter_ms=0))
def a_sender_is_faster_than_its_throughput(story: Story) -> None:
    story.ask(Lane.UPDATE, "one more", people_in(1, 1, 500), business="shop")


@PLANTS.row(Breach.BEFORE_START)
def a_decision_before_the_start_that_plan_reserved(story: Story) -> None:
    asked = story.accept(Lane.UPDATE, "reserved", people_in(1, 1, 500), business="shop")
    asked.entry = replace(asked.entry, start_ms=story.now + MINUTE_MS)
    verdict(story, asked, start_ms=asked.entry.start_ms)
    item = replace(story.items(asked)[1], start_ms=asked.entry.start_ms)
    story.work(asked, 1, item)
    story.say(asked, 1, opened=(replace(story.opened(asked, 1), item=item),))
    story.decide(asked, 1, {0: SEND})


@PLANTS.row(Breach.AFTER_EXPIRY)
def the_gateway_takes_what_has_expired(story: Story) -> None:
    asked = news(story, "stale", expires_ms=story.now + 100)
    story.decide(asked, 1, {0: SEND})
    story.now += 200
    story.hand(asked, 1, [0])
    story.answer(asked, 1, [0])


@PLANTS.row(Breach.DECIDED_AFTER_EXPIRY, Breach.AFTER_EXPIRY)
def what_has_expired_is_decided_to_be_sent(story: Story) -> None:
    asked = news(story, "stale", expires_ms=story.now + 100)
    story.now += 200
    story.send(asked, 1, [0])


@PLANTS.row(Breach.EXPIRED_EARLY)
def what_is_still_good_is_called_expired(story: Story) -> None:
    story.decide(news(story, "fresh"), 1, {0: Reason.EXPIRED})


@PLANTS.row(Breach.EXPIRED_EARLY)
def what_is_still_good_is_called_expired_by_a_clock_that_is_an_hour_ahead(story: Story) -> None:
    asked = news(story, "ahead", expires_ms=story.now + 30 * MINUTE_MS)
    body = Outcome(decided=(story.decided(asked, 1, {0: Reason.EXPIRED}),))
    story.journal(topics.outcomes(Lane.UPDATE), Lane.UPDATE, 1, body, at_ms=story.now + HOUR_MS)


# -- 15 consent


def stopped_news(story: Story, scope: int, *, wait_ms: int, lane: Lane = Lane.UPDATE, **event: Any) -> Asked:
    """Decided, then stopped, then handed off after a while."""
    (one,) = people_in(1, 1, 500)
    asked = story.ask(lane, "after-stop", [one], business="shop")
    story.open(asked, 1)
    story.decide(asked, 1, {0: SEND})
    story.stop(one, "shop", scope)
    story.now += wait_ms
    story.hand(asked, 1, [0], **event)
    story.answer(asked, 1, [0])
    return asked


@PLANTS.row(Breach.LATE_AFTER_STOP)
def a_hand_off_two_seconds_after_a_stop_of_everything(story: Story) -> None:
    stopped_news(story, Scope.ALL, wait_ms=2_000)


@PLANTS.row(Breach.LATE_AFTER_STOP)
def an_offer_two_seconds_after_a_stop(story: Story) -> None:
    stopped_news(story, Scope.MARKETING, wait_ms=2_000, lane=Lane.CAMPAIGN)


@PLANTS.row(Breach.PAST_NOT_AFTER)
def a_frame_is_taken_after_its_own_end(story: Story) -> None:
    accepted(story, story.code, not_after_ms=story.now - 40 * MINUTE_MS)


@PLANTS.row(Breach.STOP_LOST)
def a_confirmed_opt_out_is_in_no_suppression(story: Story) -> None:
    story.hand(story.code, 1, [0], event="reply", status="text", body="STOP")


@PLANTS.row(Breach.SENT_THOUGH_STOPPED)
def a_decision_against_the_suppressions_that_it_names(story: Story) -> None:
    (one,) = people_in(1, 1, 500)
    asked = news(story, "deaf")
    story.stop(one, "*", Scope.BLOCK)
    story.send(asked, 1, [0])


@PLANTS.row(Breach.REFUSED_THOUGH_ALLOWED)
def a_refusal_for_a_stop_that_nobody_said(story: Story) -> None:
    story.decide(news(story, "mute"), 1, {0: Reason.STOPPED_ALL})


@PLANTS.row(Breach.REFUSED_THOUGH_ALLOWED)
def a_member_is_called_a_leaver(story: Story) -> None:
    again = story.ask(Lane.CAMPAIGN, "again", "offers")
    story.open(again, 1)
    story.decide(again, 1, {0: Reason.NOT_OPTED_IN})


@PLANTS.row(Breach.SENT_TO_LEAVER)
def somebody_who_left_the_list_is_sent_to(story: Story) -> None:
    again = story.ask(Lane.CAMPAIGN, "again", "offers")
    story.open(again, 1)
    story.opt("shop", "offers", again.people[1][:1], join=False)
    story.send(again, 1, [0])


# -- 18 order


def versions(story: Story, *numbers: int, facet: str = "gate") -> list[Asked]:
    """Requests about one fact to one person, taken over in this order."""
    return [news(story, f"gate-{facet}-{number}", entity="flight/9", facet=facet, version=number) for number in numbers]


@PLANTS.row(Breach.OLDER_AFTER_NEWER)
def an_older_version_is_handed_off_after_a_newer_one(story: Story) -> None:
    (old,) = versions(story, 1)
    story.decide(old, 1, {0: SEND})
    (new,) = versions(story, 2)
    story.send(new, 1, [0])
    story.hand(old, 1, [0])
    story.answer(old, 1, [0])


@PLANTS.row(Breach.OLDER_AFTER_NEWER)
def news_about_a_facet_is_handed_off_after_the_cancellation(story: Story) -> None:
    (old,) = versions(story, 5)
    story.decide(old, 1, {0: SEND})
    (whole,) = versions(story, 1, facet="*")
    story.send(whole, 1, [0])
    story.hand(old, 1, [0])
    story.answer(old, 1, [0])


@PLANTS.row(Breach.DECIDED_SUPERSEDED)
def an_older_version_is_decided_after_a_newer_one_was_opened(story: Story) -> None:
    old, _ = versions(story, 1, 2)
    story.send(old, 1, [0])


@PLANTS.row(Breach.SUPERSEDED_BY_NOTHING)
def the_newest_version_is_called_superseded(story: Story) -> None:
    (only,) = versions(story, 1)
    story.decide(only, 1, {0: Reason.SUPERSEDED})


# -- 20 ownership


@PLANTS.row(Breach.UNCLAIMED_EPOCH)
def a_record_of_an_epoch_that_nobody_claimed(story: Story) -> None:
    story.say(story.code, 1, epoch=7)


@PLANTS.row(Breach.VOID_ACTED_ON)
def a_hand_off_on_a_void_decision(story: Story) -> None:
    asked = news(story, "zombie", shard=0)
    story.say(asked, 0, epoch=1, decided=(story.decided(asked, 0, {0: SEND}),))
    story.hand(asked, 0, [0])


@PLANTS.row(Breach.VOID_ACTED_ON)
def work_on_a_void_verdict(story: Story) -> None:
    asked = replace_entry(story.code, b"a name of zombie")
    story.claim(Lane.OTP, 1, "two")
    story.journal(topics.plans(Lane.OTP), Lane.OTP, 1, PlannedBatch((asked,)), epoch=1)
    item = replace(story.items(story.code)[1], request=asked.name)
    head = Header(Kind.WORK, Lane.OTP, 1, 0, story.now)
    story.put(topics.work(Lane.OTP), 1, pack(head, Work((item,))))


@PLANTS.row(Breach.LOWER_EPOCH_ACCEPTED)
def the_gateway_takes_a_frame_of_an_owner_that_was_replaced(story: Story) -> None:
    asked = news(story, "replaced", shard=2)
    story.decide(asked, 2, {0: SEND})
    story.claim(Lane.UPDATE, 2, "two")
    story.hand(asked, 2, [0], epoch=1)
    story.answer(asked, 2, [0])


def replace_entry(asked: Asked, name: bytes) -> Planned:
    """The verdict of a request under another name."""
    return replace(asked.entry, name=name, fingerprint=hashlib.sha256(name).digest()[:8])
