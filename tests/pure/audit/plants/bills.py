# ruff: noqa: D103 - the name of a plant is its sentence
"""Violations about billing events: invariant 9, and whose they are."""

from broker.audit.invariants import Breach
from broker.audit.sources import LedgerPosting
from schemas import topics
from tests.pure.audit.plants.table import Plants, replace
from tests.pure.audit.story import Story

PLANTS = Plants()


def of_shop(story: Story) -> list[LedgerPosting]:
    """Returns the postings of one business with several."""
    return [posting for posting in story.postings if posting.business == "shop"]


def rebilled(story: Story, *serials: int, **fields: object) -> None:
    """Writes the billing topic of the shop anew: these events, in this order; ``fields`` are those of the last one."""
    posted = of_shop(story)
    story.logs[topics.billing("shop")].clear()
    for at, serial in enumerate(serials, start=1):
        story.bill_one(posted[serial - 1], serial, **(fields if at == len(serials) else {}))
    for at, record in enumerate(story.logs[topics.billing("shop")]):
        story.logs[topics.billing("shop")][at] = replace(record, offset=at)


def every(story: Story) -> range:
    return range(1, len(of_shop(story)) + 1)


@PLANTS.row(Breach.UNBILLED, Breach.BILL_DIFFERS, quiet=True)
def the_last_posting_has_no_event(story: Story) -> None:
    rebilled(story, *every(story)[:-1])


@PLANTS.row(Breach.UNBILLED, Breach.BILL_DIFFERS, quiet=True)
def a_posting_in_the_middle_has_no_event(story: Story) -> None:
    rebilled(story, 1, *every(story)[2:])


@PLANTS.row(Breach.UNBILLED, Breach.BILL_DIFFERS, quiet=True)
def a_business_has_no_event_at_all(story: Story) -> None:
    rebilled(story)


@PLANTS.row(Breach.BILLED_TWICE)
def an_event_is_doubled(story: Story) -> None:
    rebilled(story, 1, 1, *every(story)[1:])


@PLANTS.row(Breach.BILLED_TWICE)
def the_events_of_a_dead_ledger_come_late(story: Story) -> None:
    rebilled(story, *every(story), *every(story)[-2:])


@PLANTS.row(Breach.BILLED_OUT_OF_ORDER)
def two_events_change_places(story: Story) -> None:
    rebilled(story, 2, 1, *every(story)[2:])


@PLANTS.row(Breach.BILLED_OTHERWISE, Breach.BILL_DIFFERS)
def an_event_with_another_amount(story: Story) -> None:
    rebilled(story, *every(story), amount_micro=1)


@PLANTS.row(Breach.BILLED_OTHERWISE)
def an_event_whose_unit_price_does_not_make_its_amount(story: Story) -> None:
    rebilled(story, *every(story), unit_micro=1)


@PLANTS.row(Breach.BILLED_OTHERWISE)
def an_event_about_another_charge(story: Story) -> None:
    rebilled(story, *every(story), offset=999)


@PLANTS.row(Breach.BILLED_OTHERWISE, Breach.BILL_DIFFERS)
def an_event_that_nothing_was_posted_for(story: Story) -> None:
    story.bill_one(of_shop(story)[-1], len(of_shop(story)) + 1)


@PLANTS.row(Breach.BILL_DIFFERS, Breach.CHARGED_TWICE)
def the_book_takes_more_than_it_posted(story: Story) -> None:
    at = next(at for at, entry in enumerate(story.entries) if entry.amount_micro > 0)
    for place, sign in ((at, 1), (at + 1, -1)):
        entry = story.entries[place]
        story.entries[place] = replace(entry, amount_micro=entry.amount_micro + sign)


@PLANTS.row(Breach.CHARGE_OF_ANOTHER, Breach.UNBILLED, Breach.BILL_DIFFERS, quiet=True)
def an_event_on_the_topic_of_another_business(story: Story) -> None:
    rebilled(story, *every(story)[:-1])
    story.bill_one(of_shop(story)[-1], len(of_shop(story)), topic="bank")
