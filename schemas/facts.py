"""Facts that are joins: receipts, suppressions, audience changes, charges, inbound. Order and repetition do not matter.

Fields: PROTOCOL.md section 9. Consent is ordered by *evidence time*, and a revocation wins a tie (section 1.3, 16).
"""

from enum import IntEnum

import msgspec


class ReceiptStatus(IntEnum):
    """Orders the gateway's reports about a message by progress; ``FAILED`` is a separate, latched fact."""

    SENT = 1
    DELIVERED = 2
    READ = 3
    FAILED = 4


class ReceiptRun(msgspec.Struct, frozen=True, array_like=True):
    """Holds one report about many ranks of one request."""

    request: bytes
    ranks: bytes
    """Packed intervals."""
    status: int
    at_ms: int
    """The gateway's time."""
    received_ms: int
    """Ours, stamped by the webhook; evidence counts if this is before expiry + settle window."""
    code: int = 0
    """The gateway's error, 0 if none."""


class Receipts(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``RECEIPT``."""

    runs: tuple[ReceiptRun, ...]


class Scope(IntEnum):
    """Bounds how far a suppression reaches."""

    MARKETING = 1
    """STOP: the campaign lane of that business."""
    ALL = 2
    """STOP ALL: everything of that business but one-time codes."""
    BLOCK = 3
    """Block: everything."""
    OFFERS = 4
    """Stopped marketing in the platform's own settings, as the gateway tells: campaigns of that business."""
    LIST = 5
    """STOP in answer to a message of a list: that list, in every lane."""


class Suppression(msgspec.Struct, frozen=True, array_like=True):
    """Records what a person forbade (or allowed again)."""

    recipient: bytes
    business: str
    """A business, or ``*`` for every one."""
    scope: int
    revoke: bool
    """True: forbidden from here on; False: restored."""
    evidence_ms: int
    """When the person said it, milliseconds since the epoch, not later than it was received."""
    received_ms: int
    """When it reached Fanfare, milliseconds since the epoch."""
    evidence: str = ""
    """The inbound message or call that proves it."""
    request: bytes = b""
    list: str = ""
    """Scope ``LIST`` only: which one; empty for all lists of the business, which only a restoration may say."""


class Suppressions(msgspec.Struct, frozen=True, array_like=True):
    """The body of kind ``SUPPRESSION``."""

    entries: tuple[Suppression, ...]


class AudienceChange(msgspec.Struct, frozen=True, array_like=True):
    """People of one shard who join or leave one list; 1 to 4,096 of them as columns (body of kind ``AUDIENCE``)."""

    business: str
    list: str
    join: bool
    recipients: bytes
    addresses: bytes
    locales: bytes
    markets: bytes
    evidence_ms: bytes
    """Packed i64, capped at ``received_ms``."""
    received_ms: int
    """When the event reached Fanfare, milliseconds since the epoch."""
    evidence: str = ""
    """Method, wording and source, as one JSON text."""
    acted: bool = False
    """Joining was an act of the people themselves, so it takes back a STOP that is older; an import does not."""
    offers: bool = False
    """They joined to be sent marketing."""


class Charge(msgspec.Struct, frozen=True, array_like=True):
    """Asks for newly delivered ranks to be charged (kind ``CHARGE``). The ledger posts the union of ranks, not the record."""

    business: str
    sender: str
    request: bytes
    ranks: bytes
    """A serialised roaring bitmap."""
    unit_micro: int
    """Price of a message, millionths of ``currency``."""
    currency: str
    card: int
    category: int
    market: int
    first_ms: int
    """When the first of these was delivered, by the gateway, milliseconds since the epoch."""
    last_ms: int
    """When the last of them was."""
    source: str = ""
    """The request's own (source, id) and labels: billing events say them, and nothing is decided by them."""
    id: str = ""
    labels: dict[str, str] = {}


class Inbound(msgspec.Struct, frozen=True, array_like=True):
    """Holds a person's answer (body of kind ``INBOUND``)."""

    id: str
    """The gateway's message id: the dedupe key."""
    business: str
    sender: str
    recipient: bytes
    kind: str
    body: str
    at_ms: int
    """When the person wrote, by the gateway, milliseconds since the epoch."""
    request: bytes = b""
    rank: int = -1
