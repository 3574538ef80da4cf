"""Posting a charge: what is new in it, the two entries that say so, and what contradicts the book.

A charge is posted by set union: new are the ranks of (request, shard) that no earlier charge has brought, whatever records
they come in, how often, and in which groups, for groups differ after a crash and ranks do not (PROTOCOL.md section
1.6). Double entry: what the business owes is a debit (positive), the platform's revenue a credit
(negative), and every posting sums to zero. Two prices for one message are a *conflict*: the first posting stands.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from pyroaring import BitMap

from broker.ledger.price import Price
from schemas.facts import Charge
from schemas.registry import Category

RECEIVABLE: Final = "receivable"
REVENUE: Final = "revenue"


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
    if charge.unit_micro < 0:
        raise MisshapenChargeError(f"a price of {charge.unit_micro} micro-units")
    return ranks


def _entries(charge: Charge, messages: int) -> tuple[Entry, Entry]:
    amount_micro = messages * charge.unit_micro
    revenue = f"{REVENUE}.{Category(charge.category).word}"
    return Entry(RECEIVABLE, charge.currency, amount_micro), Entry(revenue, charge.currency, -amount_micro)
