# ruff: noqa: D103 - the name of a plant is its sentence
"""Violations about what the world saw, paid and was told: invariants 7 to 10, and 12."""

from typing import Any

from broker.audit.invariants import Breach
from broker.audit.sources import LedgerEntry
from schemas import topics
from schemas.facts import Charge, ReceiptStatus
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.reasons import State
from schemas.registry import PriceCard
from schemas.status import RecipientStatus
from tests.pure.audit.dump import Asked
from tests.pure.audit.log import MINUTE_MS, people_in, person
from tests.pure.audit.plants.table import Plants, accepted, news, replace
from tests.pure.audit.story import Story

SEND = State.SENDING
PLANTS = Plants()


def charged(story: Story, asked: Asked, **fields: Any) -> None:
    """Change the first charge of a request; the ledger believes it."""
    story.edit(topics.CHARGES, Charge, lambda body: replace(body, **fields) if body.request == asked.name else None)
    story.post()


# -- 7 billing, 8 price, 9 ledger


@PLANTS.row(Breach.UNCHARGED, quiet=True)
def a_delivery_that_is_never_charged(story: Story) -> None:
    asked = news(story, "free")
    story.send(asked, 1, [0])
    story.receive(asked, 1, [0], ReceiptStatus.DELIVERED)


@PLANTS.row(Breach.CHARGED_UNDELIVERED)
def a_charge_without_a_receipt(story: Story) -> None:
    story.charge(story.doubtful, 0, [0])
    story.post()


@PLANTS.row(Breach.CHARGED_UNDELIVERED)
def a_charge_for_proof_that_came_too_late(story: Story) -> None:
    asked = news(story, "slow")
    story.send(asked, 1, [0])
    story.receive(asked, 1, [0], ReceiptStatus.DELIVERED, late_ms=32 * MINUTE_MS)
    story.charge(asked, 1, [0])
    story.post()


@PLANTS.row(Breach.CHARGED_TEST)
def a_test_is_charged(story: Story) -> None:
    story.charge(story.test, 2, [0])
    story.post()


@PLANTS.row(Breach.PRICE_DIFFERS)
def a_charge_dearer_than_its_card(story: Story) -> None:
    charged(story, story.code, unit_micro=1)


@PLANTS.row(Breach.PRICE_DIFFERS)
def a_charge_in_another_currency(story: Story) -> None:
    charged(story, story.code, currency="USD")


@PLANTS.row(Breach.PRICE_CLASS_DIFFERS, Breach.PRICE_DIFFERS)
def a_charge_at_another_market_s_price(story: Story) -> None:
    charged(story, story.code, market=1)


@PLANTS.row(Breach.CARD_REWRITTEN)
def a_card_is_changed_under_its_number(story: Story) -> None:
    story.register(PriceCard(1, "EUR", {}))


@PLANTS.row(Breach.LEDGER_RANKS_DIFFER)
def the_book_misses_a_row(story: Story) -> None:
    story.rows.pop()


@PLANTS.row(Breach.LEDGER_UNBALANCED)
def a_posting_that_does_not_sum_to_zero(story: Story) -> None:
    at = next(at for at, entry in enumerate(story.entries) if entry.amount_micro < 0)
    story.entries[at] = replace(story.entries[at], amount_micro=story.entries[at].amount_micro - 1)


@PLANTS.row(Breach.CHARGED_TWICE, Breach.BILL_DIFFERS)
def a_charge_is_posted_twice(story: Story) -> None:
    for sign in (1, -1):
        story.entries.append(LedgerEntry(9_999, "shop", f"side {sign}", "EUR", sign * 5))


@PLANTS.row(Breach.BOOKED_SHORT, Breach.BILL_DIFFERS)
def a_charge_is_not_posted(story: Story) -> None:
    del story.entries[:2]


@PLANTS.row(Breach.CHARGE_OF_ANOTHER)
def a_charge_to_another_sender(story: Story) -> None:
    charged(story, story.code, sender="shop/main")


# -- 10 visible once


@PLANTS.row(Breach.VISIBLE_TWICE)
def the_gateway_takes_a_message_twice(story: Story) -> None:
    story.hand(story.code, 1, [0])


@PLANTS.row(Breach.VISIBLE_TWICE)
def another_listener_takes_the_message_as_well(story: Story) -> None:
    story.gateway[Lane.CAMPAIGN].append(story.event(story.code, 1, [0]))


@PLANTS.row(Breach.UNDECIDED_HAND_OFF)
def a_hand_off_that_nobody_decided(story: Story) -> None:
    story.hand(news(story, "unasked"), 1, [0])


@PLANTS.row(Breach.UNDECIDED_HAND_OFF)
def a_hand_off_before_its_decision(story: Story) -> None:
    asked = news(story, "forestalled")
    story.hand(asked, 1, [0])
    story.now += 1_000
    story.decide(asked, 1, {0: SEND})


@PLANTS.row(Breach.UNDECIDED_HAND_OFF)
def a_hand_off_of_an_attempt_never_decided(story: Story) -> None:
    accepted(story, story.code, attempt=2)


@PLANTS.row(Breach.WRONG_RECIPIENT)
def a_hand_off_to_somebody_else(story: Story) -> None:
    asked = news(story, "mixed-up")
    story.decide(asked, 1, {0: SEND})
    asked.people[1] = people_in(1, 1, 700)
    story.hand(asked, 1, [0])
    story.answer(asked, 1, [0])


@PLANTS.row(Breach.ACCEPTED_UNSEEN)
def accepted_in_the_book_alone(story: Story) -> None:
    asked = news(story, "imagined")
    story.decide(asked, 1, {0: SEND})
    story.answer(asked, 1, [0])


@PLANTS.row(Breach.REFUSED_BUT_VISIBLE)
def unreachable_in_the_book_and_visible_on_the_phone(story: Story) -> None:
    story.hand(story.wrong_number, 2, [0])


@PLANTS.row(Breach.DELIVERED_UNSEEN)
def a_receipt_for_what_the_gateway_never_took(story: Story) -> None:
    asked = news(story, "ghost")
    story.decide(asked, 1, {0: SEND})
    story.deliver(asked, 1, [0])
    story.post()


# -- 12 conservation: what businesses are told


@PLANTS.row(Breach.COUNT_DIFFERS)
def a_status_forgets_a_member(story: Story) -> None:
    story.tell_counts(story.delay, 1, 9, delivered=len(story.delay.people[1]) - 1)


@PLANTS.row(Breach.COUNT_DIFFERS)
def a_status_is_ahead_of_the_receipts(story: Story) -> None:
    story.tell_counts(story.delay, 1, 9, read=1, delivered=len(story.delay.people[1]) - 1)


@PLANTS.row(Breach.COUNT_DIFFERS)
def a_refusal_is_told_of_what_was_delivered(story: Story) -> None:
    story.tell_counts(story.code, 1, 9, unreachable=1)


@PLANTS.row(Breach.COUNT_DIFFERS)
def a_last_word_that_calls_delivered_unknown(story: Story) -> None:
    story.tell_counts(story.delay, 1, 9, unknown=1, delivered=len(story.delay.people[1]) - 1)


@PLANTS.row(Breach.COUNT_DIFFERS, lag_ms=1_000)
def an_old_word_is_the_last(story: Story) -> None:
    story.tell_counts(story.parcel, 3, 1, accepted=2, waiting=1)


@PLANTS.row(Breach.COUNT_DIFFERS)
def a_status_names_another_end_than_it_counts(story: Story) -> None:
    named = RecipientStatus(text_of(person(1)), 0, "refused", story.now, "blocked")
    story.tell_counts(story.code, 1, 9, recipients=(named,), read=1)


@PLANTS.row(Breach.COUNT_DIFFERS)
def a_status_of_a_shard_that_was_not_asked(story: Story) -> None:
    story.tell_counts(story.code, 3, 1, accepted=1)
