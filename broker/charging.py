"""Prices delivered messages and posts their charges: what is new in a charge, its two entries, and what contradicts the book.

*Price.* By the card that was in force at acceptance, by category and market. The card's number is fixed in the request's terms
and the market in the decision, so that a price never depends on when it is asked (PROTOCOL.md section 1.6). Money is integer
micro-units.

*Posting.* By set union: new are the ranks of (request, shard) that no earlier charge has brought, whatever records they come in,
how often, and in which groups, for groups differ after a crash and ranks do not. Double entry: what the business owes is a debit
(positive), the platform's revenue a credit (negative), and every posting sums to zero. Two prices for one message are a
*conflict*: the first posting stands.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from pyroaring import BitMap

from schemas.facts import Charge
from schemas.lanes import Category
from schemas.registry import PriceCard

EVERY_OTHER_MARKET: Final = "*"


class UnpricedError(LookupError):
    """A delivered message has no price: its card is unknown, or the card leaves out its category or market.

    Never guessed and never skipped: the register of prices is incomplete, and settling stops until it is mended.
    """


class Price(msgspec.Struct, frozen=True):
    """The price of one message."""

    unit_micro: int
    """Millionths of the currency a message."""
    currency: str


def price_of(cards: Mapping[int, PriceCard], card: int, category: int, market: int) -> Price:
    """The price on ``card`` of a message of ``category`` to a country calling code; raises :class:`UnpricedError`."""
    priced = cards.get(card)
    if priced is None:
        raise UnpricedError(f"price card {card} is not registered")
    word = Category(category).word
    by_market = priced.prices_micro.get(word, {})
    unit_micro = by_market.get(str(market), by_market.get(EVERY_OTHER_MARKET))
    if unit_micro is None:
        raise UnpricedError(f"price card {card} has no price for {word} in market {market}, and none for every other")
    return Price(unit_micro, priced.currency)


RECEIVABLE: Final = "receivable"
REVENUE: Final = "revenue"


_MOST_MICRO: Final = 2**63 - 1
"""Millionths of a currency in one posting: what a column of the book holds."""


class MisshapenChargeError(ValueError):
    """A charge that cannot be posted: no bitmap of ranks, a negative price, an unknown category. Set aside, never guessed."""


class Entry(msgspec.Struct, frozen=True):
    """Holds one side of a posting. ``account`` is ``receivable`` of the business, or ``revenue`` with it, by category."""

    account: str
    currency: str
    amount_micro: int
    """Millionths of the currency; the two sides of a posting sum to zero."""


class Posting(msgspec.Struct, frozen=True):
    """Holds what one charge adds to the book; nothing if it has no new ranks."""

    price: Price
    new: BitMap
    conflict: BitMap
    """Ranks that were charged before at another price; not posted again."""
    repeated: int
    """Ranks that were charged before at this price."""
    entries: tuple[Entry, ...]


def post(held: Mapping[Price, BitMap], charge: Charge) -> Posting:
    """The posting of ``charge``; ``held`` is what was charged of its (request, shard) before, by price.

    Raises :class:`MisshapenChargeError`.
    """
    ranks = _ranks_of(charge)
    price = Price(charge.unit_micro, charge.currency)
    conflict = BitMap()
    for other, charged in held.items():
        if other != price:
            conflict |= ranks & charged
    repeated = len(ranks & held[price]) if price in held else 0
    new = ranks - conflict
    if repeated:
        new -= held[price]
    return Posting(price, new, conflict, repeated, _entries(charge, len(new)) if new else ())


def _ranks_of(charge: Charge) -> BitMap:
    try:
        ranks = BitMap.deserialize(charge.ranks)
        Category(charge.category)
    except (ValueError, IndexError) as error:
        raise MisshapenChargeError(str(error)) from error
    if not 0 <= charge.unit_micro * max(len(ranks), 1) <= _MOST_MICRO:
        raise MisshapenChargeError(f"{len(ranks)} messages at {charge.unit_micro} micro-units")
    return ranks


def _entries(charge: Charge, messages: int) -> tuple[Entry, Entry]:
    amount_micro = messages * charge.unit_micro
    revenue = f"{REVENUE}.{Category(charge.category).word}"
    return Entry(RECEIVABLE, charge.currency, amount_micro), Entry(revenue, charge.currency, -amount_micro)
