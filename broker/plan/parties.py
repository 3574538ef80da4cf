"""What the registry says about a request: which sender speaks, which template, and by which price card it is charged.

The lane follows from the template's category: marketing cannot travel on another lane, and a code on none but its own
(protocol.md section 2). Senders and templates of other businesses are as unknown as those that nobody has.
"""

import msgspec

from broker.heartbeat import TEMPLATES, is_heartbeat
from broker.plan.admit import Notice
from broker.registry import Registry
from schemas import topics
from schemas.names import Lane
from schemas.reasons import Reason
from schemas.refusal import Refusal
from schemas.registry import CATEGORY_LANE, Category, PriceCard, Sender, Template
from schemas.wire.text import echo, nearest


class Parties(msgspec.Struct, frozen=True):
    """Who speaks, what is said, and by which card."""

    sender: Sender
    template: Template
    category: Category
    card: int


def parties_of(notice: Notice, registry: Registry, lane: Lane) -> Parties | Refusal:
    """The parties to a request of a registered business, or the first that may not take part."""
    body, business = notice.content.body, notice.named.business
    if not registry.businesses[business].active:
        return suspended()
    sender = _sender(registry, business, body.sender)
    if isinstance(sender, Refusal):
        return sender
    template = _template(registry, business, body.template)
    if isinstance(template, Refusal):
        return template
    if is_heartbeat(business) and not (body.test and template.id == TEMPLATES[lane]):
        return Refusal(Reason.UNKNOWN_TEMPLATE, "Businesses of Fanfare's own send heartbeats and nothing else.")
    category = Category[template.category.upper()]
    card = _card(template, category, lane, registry.newest_card())
    return card if isinstance(card, Refusal) else Parties(sender, template, category, card)


def suspended() -> Refusal:
    """The refusal of a business that is registered and switched off."""
    return Refusal(Reason.BUSINESS_SUSPENDED, "The business is suspended: ask the operator.")


def _sender(registry: Registry, business: str, asked: str | None) -> Sender | Refusal:
    sender = registry.sender_for(business, asked)
    if sender is None:
        lack = "has no default sender: name one in data.sender" if asked is None else "has no such sender"
        return Refusal(Reason.UNKNOWN_SENDER, f"The business {lack}.")
    if not sender.active:
        return Refusal(Reason.SENDER_SUSPENDED, f"Sender {echo(sender.id)} is suspended: ask the operator.")
    return sender


def _template(registry: Registry, business: str, asked: str) -> Template | Refusal:
    template = registry.template_for(business, asked)
    if template is not None and template.active:
        return template
    rest = "; it is switched off." if template is not None else nearest(asked, registry.templates_of(business)) or "."
    return Refusal(Reason.UNKNOWN_TEMPLATE, f"There is no active template {echo(asked)}{rest}")


def _card(template: Template, category: Category, lane: Lane, newest: PriceCard | None) -> int | Refusal:
    """The card, if the template is of this lane and the card has a price for it."""
    if CATEGORY_LANE[category] is not lane:
        right = topics.requests(CATEGORY_LANE[category])
        return Refusal(Reason.WRONG_LANE, f"Template {echo(template.id)} is {category.word}: publish it to {right}.")
    if newest is None or category.word not in newest.prices_micro:
        return Refusal(
            Reason.NOT_SUPPORTED,
            f"No price is registered for {category.word} messages: the operator must apply a price card.",
        )
    return newest.id
