"""Looks up the parties to a request in the registry, once a batch: which sender speaks, with which template, by which price card.

The lane follows from the template's category: marketing cannot travel on another lane, and a code on none but its own
(PROTOCOL.md section 2). Senders and templates of other businesses are as unknown as those that nobody has.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

import msgspec

from broker.plan.validate import Content, Request
from broker.registry.fold import SEAL, Registry, share_of
from schemas import topics
from schemas.lanes import Category, Lane, Windows, lane_for
from schemas.reasons import Reason, Refusal
from schemas.registry import Business, PriceCard, Sender, Template
from schemas.wire.text import echo, nearest, suggestion

_TEMPLATE: Final = "/data/template"
_NOBODY: Final = Sender("", "", "")


class Parties(msgspec.Struct, frozen=True):
    """Says who speaks, what is said, and by which price card."""

    sender: Sender
    template: Template
    category: Category
    elsewhere: Windows | None
    """Windows of the lane where the template travels, if that is another one than was asked for."""
    card: int
    slots: Mapping[str, bool]
    """Slot to whether it takes sealed values only."""
    languages: str
    """Two letters each, the template's default first: ``enesfr``. Fixed at acceptance, whatever the template says later."""
    seal_keys: AbstractSet[str]
    """Ids of the keys that codes may be sealed to."""
    per_s: int
    """Messages a second of the sender in the template's lane."""


class Lookup(msgspec.Struct, frozen=True):
    """Holds what the registry has about a content."""

    business: Business | None
    """None: nobody has registered it."""
    parties: Parties | None = None
    """None for an opt-in and a control event, and where no such template is."""
    faults: tuple[Refusal, ...] = ()
    """Everything that forbids these parties, in the order in which it is said."""

    @property
    def sender(self) -> str:
        """Return the id of the sender that is meant; empty if there is none."""
        return "" if self.parties is None else self.parties.sender.id


_Asked: TypeAlias = tuple[str, str | None, str]


class Registered(msgspec.Struct):
    """Looks parties up in the registry, each once a batch: most requests of a batch have the same."""

    registry: Registry
    lane: Lane
    _found: dict[_Asked, Lookup] = {}
    _keys: frozenset[str] | None = None

    def look_up(self, content: Content) -> Lookup:
        """Return the business of a content; of a request also its parties, and everything that forbids them."""
        business = content.named.business
        if not isinstance(content, Request):
            return Lookup(self.registry.businesses.get(business))
        asked = (business, content.body.sender, content.body.template)
        found = self._found.get(asked)
        if found is None:
            if self._keys is None:
                self._keys = frozenset(kid for kid, key in self.registry.keys.items() if key.use == SEAL)
            found = self._found[asked] = _looked_up(asked, self.registry, self.lane, self._keys)
        return found


def _looked_up(asked: _Asked, registry: Registry, lane: Lane, keys: AbstractSet[str]) -> Lookup:
    business, named_sender, named_template = asked
    speaker = registry.businesses.get(business)
    faults: list[Refusal] = []
    sender = _sender(registry, business, named_sender)
    if isinstance(sender, Refusal):
        # Who is not registered hears that and not that it has no sender either.
        faults += [] if speaker is None else [sender]
        sender = _NOBODY
    template = _template(registry, business, named_template)
    if isinstance(template, Refusal):
        return Lookup(speaker, None, (*faults, template))
    category = Category[template.category.upper()]
    card = registry.newest_card()
    home, elsewhere = lane, None
    if lane.rules.category is not category:
        home = lane_for(category)
        elsewhere = home.rules.windows
        sentence = f"Template {echo(template.id)} is {category.word}: publish it to {topics.requests(home)}."
        faults.append(Refusal(Reason.WRONG_LANE, sentence, place=_TEMPLATE))
    faults += _unpriced(category, card)
    # After the lane: who published to the wrong one should hear that, and not of a share that is not needed.
    per_s = share_of(sender, home)
    if sender is not _NOBODY and not per_s:
        faults.append(_no_share(sender, home, _sender_place(named_sender)))
    parties = Parties(
        sender=sender,
        template=template,
        category=category,
        elsewhere=elsewhere,
        card=card.id if card else 0,
        slots={slot.name: slot.sealed for slot in template.parameters},
        languages=_languages(template),
        seal_keys=keys,
        per_s=per_s,
    )
    return Lookup(speaker, parties, tuple(faults))


def _languages(template: Template) -> str:
    others = sorted(template.texts.keys() - {template.default_language})
    return template.default_language + "".join(others)


def _unpriced(category: Category, card: PriceCard | None) -> Iterator[Refusal]:
    """Yield why a template has no price, if it has none."""
    if card is None or category.word not in card.prices_micro:
        sentence = f"No price is registered for {category.word} messages: the operator must apply a price card."
        yield Refusal(Reason.NOT_SUPPORTED, sentence, place=_TEMPLATE)


def _sender(registry: Registry, business: str, asked: str | None) -> Sender | Refusal:
    sender, place = registry.sender_for(business, asked), _sender_place(asked)
    if sender is None and asked is None:
        sentence = "The business has no default sender: name one in data.sender."
        return Refusal(Reason.UNKNOWN_SENDER, sentence, place=place)
    if sender is None:
        rest = suggestion(asked or "", registry.senders_of(business))
        return Refusal(Reason.UNKNOWN_SENDER, f"The business has no sender {echo(asked or '')}{rest}", place=place)
    if not sender.active:
        sentence = f"Sender {echo(sender.id)} is suspended: ask the operator."
        return Refusal(Reason.SENDER_SUSPENDED, sentence, place=place)
    return sender


def _sender_place(asked: str | None) -> str:
    return "/data" if asked is None else "/data/sender"


def _no_share(sender: Sender, lane: Lane, place: str) -> Refusal:
    rest = "name another, or ask the operator for a share."
    sentence = f"Sender {echo(sender.id)} has no share of the {lane.word} lane: {rest}"
    return Refusal(Reason.UNKNOWN_SENDER, sentence, place=place)


def _template(registry: Registry, business: str, asked: str) -> Template | Refusal:
    template = registry.template_for(business, asked)
    if template is not None and template.active:
        return template
    if template is not None:
        rest = ": it is switched off; name another."
    else:
        near = nearest(asked, registry.templates_of(business))
        rest = near or ": correct its name, or have it registered (`fanfare registry apply`)."
    return Refusal(Reason.UNKNOWN_TEMPLATE, f"There is no active template {echo(asked)}{rest}", place=_TEMPLATE)
