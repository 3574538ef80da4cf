"""What the registry says about a request: which sender speaks, which template, and by which price card it is charged.

The lane follows from the template's category: marketing cannot travel on another lane, and a code on none but its own
(PROTOCOL.md section 2). Senders and templates of other businesses are as unknown as those that nobody has.
"""

import msgspec

from broker.heartbeat import is_heartbeat
from broker.plan.decode import Notice
from broker.registry.fold import Registry
from broker.registry.rates import share_of
from schemas import topics
from schemas.ids import Lane
from schemas.reasons import Reason
from schemas.refusal import Refusal
from schemas.registry import CATEGORY_LANE, Business, Category, PriceCard, Sender, Template
from schemas.wire.text import echo, nearest, suggestion


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
    category = Category[template.category.upper()]
    card = _card(template, category, lane, registry.newest_card())
    if isinstance(card, Refusal):
        return card
    # After the lane: who published to the wrong one should hear that, and not of a share that is not needed.
    if not share_of(sender, lane):
        return _no_share(sender, lane)
    refusal = _rehearsed(notice, registry.businesses[business]) if body.test else _unasked(notice, category)
    return refusal or Parties(sender, template, category, card)


def unknown_business() -> Refusal:
    """The refusal of a business that nobody has registered."""
    return Refusal(
        Reason.UNKNOWN_BUSINESS,
        "The business in source is not registered: correct source, or have it registered (`fanfare registry apply`).",
    )


def suspended() -> Refusal:
    """The refusal of a business that is registered and switched off."""
    return Refusal(Reason.BUSINESS_SUSPENDED, "The business is suspended: ask the operator.")


def _sender(registry: Registry, business: str, asked: str | None) -> Sender | Refusal:
    sender = registry.sender_for(business, asked)
    if sender is None:
        if asked is None:
            return Refusal(Reason.UNKNOWN_SENDER, "The business has no default sender: name one in data.sender.")
        rest = suggestion(asked, registry.senders_of(business))
        return Refusal(Reason.UNKNOWN_SENDER, f"The business has no sender {echo(asked)}{rest}")
    if not sender.active:
        return Refusal(Reason.SENDER_SUSPENDED, f"Sender {echo(sender.id)} is suspended: ask the operator.")
    return sender


def _no_share(sender: Sender, lane: Lane) -> Refusal:
    rest = "name another, or ask the operator for a share."
    return Refusal(Reason.UNKNOWN_SENDER, f"Sender {echo(sender.id)} has no share of the {lane.word} lane: {rest}")


def _template(registry: Registry, business: str, asked: str) -> Template | Refusal:
    template = registry.template_for(business, asked)
    if template is not None and template.active:
        return template
    if template is not None:
        rest = ": it is switched off; name another."
    else:
        near = nearest(asked, registry.templates_of(business))
        rest = near or ": correct its name, or have it registered (`fanfare registry apply`)."
    return Refusal(Reason.UNKNOWN_TEMPLATE, f"There is no active template {echo(asked)}{rest}")


def _unasked(notice: Notice, category: Category) -> Refusal | None:
    """Offers go to people who asked for them, and only a list holds the proof of it. Heartbeats reach nobody."""
    if category is not Category.MARKETING or not notice.content.people or is_heartbeat(notice.named.business):
        return None
    return Refusal(
        Reason.INVALID_FIELD,
        "data.to.recipients: an offer goes to people who opted in; publish a fanfare.optin.v1 event about them and name its "
        "list in data.to.list.",
    )


def _rehearsed(notice: Notice, business: Business) -> Refusal | None:
    """Returns the refusal of a test that would reach anybody but the business's test numbers. Heartbeats reach nobody.

    Tests are never billed, so whoever could send them to anybody would deliver for nothing.
    """
    if is_heartbeat(business.id):
        return None
    to = notice.content.body.to
    if to.list is not None:
        return Refusal(
            Reason.INVALID_RECIPIENT,
            "data.to.list: a test reaches registered test numbers only; name them in data.to.recipients, or leave data.test out.",
        )
    known = {f"tel:{number}" for number in business.test_numbers}
    stranger = next((person for person in notice.content.people if person.address not in known), None)
    if stranger is None:
        return None
    return Refusal(
        Reason.INVALID_RECIPIENT,
        f"data.to.recipients[{stranger.position}] is no test number of the business: leave data.test out, or have the number "
        "registered in its test_numbers.",
    )


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
