"""Prices a delivered message by the price card that was in force at acceptance, by category and market.

The card's number is fixed in the request's terms and the market in the decision, so that a price never depends on when it
is asked (PROTOCOL.md section 1.6). Money is integer micro-units.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.registry import Category, PriceCard

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
