# ruff: noqa: D103 - the name of a plant is its sentence
"""Violations about requests and their work: invariants 1 to 3, 5, 11, 12, 16, 17 and 19."""

from broker.audit.invariants import Breach
from schemas import topics
from schemas.facts import Scope
from schemas.ids import partition_of
from schemas.lanes import Lane
from schemas.plan_journal import Origin, PlannedBatch, Work
from schemas.reasons import Reason, State
from schemas.wire.columns import interval
from tests.pure.audit.log import SHARDS, address, people_in
from tests.pure.audit.plants.table import Plants, accepted, news, replace, sections
from tests.pure.audit.story import Story

SEND = State.SENDING
PLANTS = Plants()


# -- 1 ids


@PLANTS.row(Breach.NAME_DIFFERS)
def a_request_was_published_under_another_id(story: Story) -> None:
    log = story.logs[topics.requests(Lane.CAMPAIGN)]
    at = next(at for at, record in enumerate(log) if b'"sale"' in (record.value or b""))
    log[at] = replace(log[at], value=(log[at].value or b"").replace(b'"sale"', b'"sail"'))


@PLANTS.row(Breach.RECIPIENT_DIFFERS)
def a_request_was_published_for_another_person(story: Story) -> None:
    log = story.logs[topics.requests(Lane.OTP)]
    there, other = (address(one).encode() for one in people_in(1, 2))
    log[:] = [replace(record, value=(record.value or b"").replace(there, other)) for record in log]


@PLANTS.row(Breach.WRONG_SHARD)
def a_suppression_lies_in_another_shard(story: Story) -> None:
    record = story.stop(story.stopper, "shop", Scope.ALL)
    story.logs[topics.SUPPRESSIONS].pop()
    story.put(topics.SUPPRESSIONS, 3, record.value or b"")


@PLANTS.row(Breach.FACT_DIFFERS)
def a_hand_off_carries_the_key_of_another_fact(story: Story) -> None:
    accepted(story, story.cancelled, collapse="00" * 8)


# -- 2 one verdict


@PLANTS.row(Breach.TWO_VERDICTS)
def a_name_is_accepted_again_with_other_content(story: Story) -> None:
    record = story.publish(Lane.CAMPAIGN, "shop", "sale", {})
    entry = replace(story.sale.entry, fingerprint=b"other...", origin=Origin(record.partition, record.offset))
    story.journal(topics.plans(Lane.CAMPAIGN), Lane.CAMPAIGN, record.partition, PlannedBatch((entry,)))


@PLANTS.row(Breach.MEMBERS_DIFFER)
def members_are_frozen_again_without_somebody(story: Story) -> None:
    story.say(story.sale, 0, members=(replace(story.sale.members[2], request=story.sale.name),))


@PLANTS.row(Breach.TOLD_OTHERWISE)
def a_business_is_told_refused_though_it_was_accepted(story: Story) -> None:
    story.tell("shop", "sale", Lane.CAMPAIGN, "refused", story.sale.entry.origin.offset)


@PLANTS.row(Breach.TOLD_OTHERWISE)
def a_business_is_told_accepted_without_a_verdict(story: Story) -> None:
    story.tell("shop", "typo", Lane.UPDATE, "accepted", 99)


# -- 3 fan-out


@PLANTS.row(Breach.WORK_MISSING, quiet=True)
def one_shard_is_never_asked(story: Story) -> None:
    asked = story.accept(Lane.UPDATE, "two", [*people_in(0, 1, 500), *people_in(1, 1, 500)], business="shop")
    story.work(asked, 0)
    story.open(asked, 0)
    story.send(asked, 0, [0])


@PLANTS.row(Breach.WORK_DIFFERS)
def work_names_another_template(story: Story) -> None:
    def other(body: Work) -> Work | None:
        (item,) = body.items
        terms = replace(item.terms, template="news")
        return Work((replace(item, terms=terms),)) if item.request == story.sale.name else None

    story.edit(topics.work(Lane.CAMPAIGN), Work, other)


@PLANTS.row(Breach.WORK_DIFFERS)
def work_lies_in_a_shard_that_holds_nobody(story: Story) -> None:
    story.work(story.code, 3, story.items(story.code)[1])


@PLANTS.row(Breach.MEMBERS_WRONG)
def members_are_those_of_another_moment(story: Story) -> None:
    sections(story, story.sale, "members", lambda section: replace(section, audience_upto=-1))


@PLANTS.row(Breach.RANK_UNKNOWN)
def a_rank_beyond_the_members_is_decided(story: Story) -> None:
    ranks = replace(story.decided(story.code, 1, {0: SEND}), ranks=interval(7, 1))
    story.say(story.code, 1, decided=(ranks,))


@PLANTS.row(Breach.RECIPIENT_TWICE)
def somebody_stands_twice_in_one_request(story: Story) -> None:
    story.ask(Lane.UPDATE, "twice", people_in(1, 1, 500) * 2, business="shop")


# -- 5 no orphans


@PLANTS.row(Breach.VERDICT_WITHOUT_REQUEST)
def a_verdict_names_an_origin_that_is_not_there(story: Story) -> None:
    entry = replace(story.refuse(Lane.UPDATE, "shop", "x", Reason.STALE), name=bytes(16), origin=Origin(0, 4_000))
    story.journal(topics.plans(Lane.UPDATE), Lane.UPDATE, 0, PlannedBatch((entry,)))


@PLANTS.row(Breach.WORK_WITHOUT_VERDICT)
def work_of_nobody(story: Story) -> None:
    item = replace(story.items(story.code)[1], request=b"nobody's request")
    story.work(story.code, 1, item)


@PLANTS.row(Breach.OPENED_WITHOUT_WORK)
def an_opening_from_an_offset_that_holds_no_work(story: Story) -> None:
    sections(story, story.code, "opened", lambda section: replace(section, origin=Origin(1, 4_000)))


@PLANTS.row(Breach.OUTCOME_WITHOUT_OPENING)
def a_decision_about_work_never_opened(story: Story) -> None:
    asked = story.ask(Lane.UPDATE, "unopened", people_in(1, 1, 500), business="shop")
    story.decide(asked, 1, {0: SEND})


@PLANTS.row(Breach.CHARGE_WITHOUT_MESSAGE)
def a_charge_for_a_request_never_opened(story: Story) -> None:
    story.charge(story.ask(Lane.UPDATE, "unopened", people_in(1, 1, 500), business="shop"), 1, [0])


@PLANTS.row(Breach.UNREADABLE)
def foreign_bytes_in_a_journal(story: Story) -> None:
    story.put(topics.outcomes(Lane.OTP), 0, b"not ours")


# -- 11 no skipped input, 12 conservation


@PLANTS.row(Breach.COMMITTED_UNFINISHED, committed={(topics.requests(Lane.UPDATE), partition_of(b"shop", SHARDS)): 99})
def an_input_below_the_committed_offset_became_nothing(story: Story) -> None:
    story.publish(Lane.UPDATE, "shop", "lost", {})


@PLANTS.row(Breach.COMMITTED_UNFINISHED, committed={(topics.work(Lane.UPDATE), 1): 99})
def work_below_the_committed_offset_was_not_opened(story: Story) -> None:
    story.ask(Lane.UPDATE, "lost", people_in(1, 1, 500), business="shop")


@PLANTS.row(Breach.RECEIPT_LOST)
def a_confirmed_report_is_in_no_receipt(story: Story) -> None:
    asked = news(story, "unproven")
    story.send(asked, 1, [0])
    story.hand(asked, 1, [0], event="report", status="delivered")


@PLANTS.row(Breach.OFFSET_MISSING)
def a_log_has_a_hole(story: Story) -> None:
    story.put(topics.INBOUND, 0, b"")
    story.put(topics.INBOUND, 0, b"")
    story.put(topics.INBOUND, 0, b"")
    del story.logs[topics.INBOUND][1]


@PLANTS.row(Breach.NO_VERDICT, lag_ms=1_000)
def an_input_that_became_nothing_in_its_time(story: Story) -> None:
    story.publish(Lane.UPDATE, "shop", "slow", {})


@PLANTS.row(Breach.NOT_OPENED, lag_ms=1_000)
def work_that_was_not_taken_over_in_its_time(story: Story) -> None:
    story.ask(Lane.UPDATE, "slow", people_in(1, 1, 500), business="shop")


@PLANTS.row(Breach.UNFINISHED)
def a_message_that_is_open_after_its_window(story: Story) -> None:
    news(story, "forgotten", expires_ms=story.now + 2_000)


@PLANTS.row(Breach.UNFINISHED, quiet=True)
def a_message_that_is_open_though_nothing_more_is_to_come(story: Story) -> None:
    story.decide(news(story, "in-flight"), 1, {0: SEND})


# -- 16 tenants


@PLANTS.row(Breach.SOURCE_OF_ANOTHER, Breach.NAME_DIFFERS, Breach.TOLD_OTHERWISE)
def a_request_is_accepted_for_another_business_than_its_source_s(story: Story) -> None:
    story.ask(Lane.UPDATE, "forged", people_in(1, 1, 500), business="shop", source="//bank/system")


@PLANTS.row(Breach.SENDER_OF_ANOTHER)
def a_sender_of_another_business(story: Story) -> None:
    story.ask(Lane.UPDATE, "borrowed", people_in(1, 1, 500), business="shop", sender="bank/main")


@PLANTS.row(Breach.TEMPLATE_OF_ANOTHER)
def a_template_that_is_not_registered(story: Story) -> None:
    story.ask(Lane.UPDATE, "unapproved", people_in(1, 1, 500), business="shop", template="secret")


@PLANTS.row(Breach.WRONG_LANE)
def an_offer_on_the_lane_of_updates(story: Story) -> None:
    story.ask(Lane.UPDATE, "disguised", people_in(1, 1, 500), business="shop", category=3)


@PLANTS.row(Breach.STATUS_OF_ANOTHER)
def a_status_on_the_topic_of_another_business(story: Story) -> None:
    record = story.logs[topics.status("bank")][0]
    story.put(topics.status("shop"), 0, record.value or b"")


@PLANTS.row(Breach.HAND_OFF_OF_ANOTHER)
def a_hand_off_under_another_sender(story: Story) -> None:
    accepted(story, story.code, sender="shop/main")


# -- 17 dead letters


@PLANTS.row(Breach.DEAD_TWICE)
def one_record_dies_twice_differently(story: Story) -> None:
    story.bury(replace(story.garbage, value=b"else"), Reason.INVALID_JSON)


@PLANTS.row(Breach.DEAD_UNSOURCED)
def a_dead_letter_of_nothing(story: Story) -> None:
    story.bury(replace(story.garbage, offset=4_000), Reason.INVALID_JSON)


@PLANTS.row(Breach.DEAD_UNSOURCED)
def a_dead_letter_with_the_hash_of_something_else(story: Story) -> None:
    record = story.publish(Lane.UPDATE, "shop", "", None, raw=b"{bad too")
    story.bury(replace(record, value=b"{bad"), Reason.INVALID_JSON)


@PLANTS.row(Breach.DEAD_BUT_ACCEPTED)
def a_dead_letter_of_an_accepted_request(story: Story) -> None:
    origin = story.sale.entry.origin
    log = story.logs[topics.requests(Lane.CAMPAIGN)]
    story.bury(next(r for r in log if (r.partition, r.offset) == (origin.partition, origin.offset)), Reason.POISON)


# -- 19 confidentiality


@PLANTS.row(Breach.UNSEALED)
def a_code_in_clear(story: Story) -> None:
    story.ask(Lane.OTP, "clear", people_in(1, 1), params={"code": "271828"})


@PLANTS.row(Breach.CLEAR_ADDRESS)
def an_address_in_clear(story: Story) -> None:
    story.tell("shop", address(story.parcel.people[3][0]), Lane.UPDATE, "refused", 0)


@PLANTS.row(Breach.CANARY, canary="271828")
def the_canary_in_a_journal(story: Story) -> None:
    story.ask(Lane.UPDATE, "leak", people_in(1, 1, 500), business="shop", labels={"code": "271828"})


@PLANTS.row(Breach.OTP_PAYLOAD)
def a_dead_letter_keeps_the_payload_of_a_code(story: Story) -> None:
    record = story.publish(Lane.OTP, "bank", "", None, raw=b"{code: 271828")
    story.bury(record, Reason.INVALID_JSON, payload=True)
