"""Defines facts that are joins: receipts, suppressions, audience changes, charges, inbound, sizes of lists, words of control.

Order and repetition do not matter. Fields: PROTOCOL.md section 9. Consent is ordered by *evidence time*, and a revocation wins
a tie (section 1.3, 16).

*Words of control*: businesses speak about a request or a subject (``fanfare.control.v1``, checked by plan); operators about a
business, a sender, a template or a lane. A word is never overwritten: its key holds all that it says, so compaction drops
repetitions and nothing else, and the words fold to the same in any order (``broker/standing.py``).
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


class ListSize(msgspec.Struct, frozen=True):
    """Counts the people of one shard on a list, as of an offset of that shard's audience log: a join, the later one stands.

    JSON on the compacted topic ``audience.sizes``, key ``business/list/shard``. Plan tells businesses with it when a list will be
    through.
    """

    business: str
    list: str
    shard: int
    count: int
    upto: int
    """Offset in ``audience.changes`` of the last change counted."""


class ControlScope(IntEnum):
    """Names what a word is about."""

    REQUEST = 1
    """A single request: ``target`` is its name as people see it (26 letters)."""
    SUBJECT = 2
    """Every request of the business whose event bears this ``subject``."""
    BUSINESS = 3
    """Everything of one business."""
    SENDER = 4
    """Everything that is sent from one sender: ``target`` is its id."""
    TEMPLATE = 5
    """Everything that uses a template of this id, whoever sends it."""
    LANE = 6
    """Everything in the lane."""

    @property
    def word(self) -> str:
        """Returns the scope as commands and sentences have it: ``request``."""
        return self.name.lower()


class ControlAction(IntEnum):
    """Names what is to happen. Of two words of the same moment the greater one stands: whoever forbids wins a tie."""

    RESUME = 1
    """Go on with what waits."""
    PAUSE = 2
    """Hand off nothing more; what is not handed off waits, until it expires."""
    CANCEL = 3
    """End what is not handed off. Final: no later word revives it."""

    @property
    def word(self) -> str:
        """Returns the action as events have it: ``pause``."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "ControlAction":
        """Returns the action called ``word``; ``KeyError`` for any other word."""
        return {action.word: action for action in cls}[word]


class ControlWord(msgspec.Struct, frozen=True, array_like=True):
    """Carries one word of control (body of kind ``CONTROL``; the lane that it is for stands in the head)."""

    scope: int
    business: str
    """The business that said it, about requests of its own; empty: an operator did."""
    target: str
    """The request, subject, business, sender or template that the word is about, as its scope says; empty for a lane."""
    action: int
    evidence_ms: int
    """When it was said: the event's ``time``, not later than it was received. Of two words about the same, the later stands."""
    received_ms: int
    """When it was received."""
    by: str = ""
    """Who said it: an event as ``source id``, or an operator in words of their own."""
