"""Defines what businesses read: statuses on ``status.<business>``, bills on ``billing.<business>``, and dead letters.

Egress is open: ignore what you do not know.
"""

from typing import Final

import msgspec


class RecipientStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """Holds the state of one explicit recipient's message."""

    recipient: str
    rank: int
    state: str
    at_ms: int
    """When the state was reached, milliseconds since the epoch."""
    reason: str = ""
    code: int = 0


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """The ``data`` of a status event. ``seq`` rises per (request, shard): drop lower ones. ``shard`` is -1 for plan's word."""

    request: str
    source: str
    id: str
    state: str
    """accepted, refused, running, closed."""
    seq: int
    at_ms: int
    """When the status was made, milliseconds since the epoch."""
    shard: int = -1
    shards: int = 0
    """Shards of the request that will report; the totals are the sum over the newest of each."""
    reason: str = ""
    detail: str = ""
    retry_at_ms: int = 0
    """When another attempt may succeed, milliseconds since the epoch; 0: not said."""
    counts: dict[str, int] = {}
    recipients: tuple[RecipientStatus, ...] = ()
    labels: dict[str, str] = {}
    """Those of the request, unchanged."""
    traceparent: str = ""
    """That of the request, unchanged; the event has it as its attribute, too."""
    people: int = 0
    """To how many it goes, in all or in this shard; 0 if that is not known yet."""
    rate_per_s: int = 0
    """Messages a second at which a list, or more recipients than a burst, goes out; 0: all of it at once."""
    eta_ms: int = 0
    """When it will be through, about; 0: at once, not known, or paused."""
    unreached: int = 0
    """People who cannot be told before it expires, at that rate."""
    left: int = 0
    """Of ``backlog_full``: messages to explicit recipients that would have been taken in its place."""


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record that was refused before it had a name, or poison; JSON on ``dead-letters``."""

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    stage: str
    at_ms: int
    """When the record was refused, milliseconds since the epoch."""
    payload_sha256: str
    payload: str | None = None
    """Base64; never for the otp lane."""
    business: str = ""
    attempts: int = 1
    headers: dict[str, str] = {}


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
