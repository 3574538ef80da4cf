"""The bill as a business reads it: ``fanfare.charge.v1`` on ``billing.<business>``, one event for each posting.

Egress is open: ignore what you do not know.
"""

from typing import Final

import msgspec

BILLING_TYPE: Final = "fanfare.charge.v1"
BILLING_SOURCE: Final = "//fanfare/ledger"


class BilledCharge(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ``data`` of a billing event: what one posting added to the book."""

    business: str
    serial: int
    """The number of the posting among those of the business: 1, 2, 3 and so on, without a gap."""
    partition: int
    """Of ``charges``, where the charge record of this posting stands."""
    offset: int
    request: str
    sender: str
    lane: str
    shard: int
    """Of the people who were told; :attr:`count` ranks of (request, shard) are charged by this posting."""
    category: str
    market: int
    """A country calling code."""
    count: int
    """Messages."""
    card: int
    """The number of the price card that was in force when the request was accepted."""
    unit_micro: int
    """Millionths of the currency a message."""
    amount_micro: int
    """``count`` times ``unit_micro``."""
    currency: str
    first_ms: int
    """When the first of these was delivered, by the gateway, milliseconds since the epoch."""
    last_ms: int
    """When the last of them was."""
    at_ms: int
    """When they were charged."""
    source: str = ""
    """The request's event, unless it was charged by a release that did not keep it."""
    id: str = ""
    labels: dict[str, str] = {}
