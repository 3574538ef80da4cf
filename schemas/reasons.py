"""The closed lists of what can become of a message and of a request.

A status byte on the wire is either a :class:`State` (below 16: still on its way, or handed off) or a :class:`Reason` of a
message (16 to 63). Its number says who gives it: deliver below 32, the gateway's answer below 48, from there on a receipt or
the lack of one. Reasons of a request start at 100. What follows from each (retry? bill? alert? what to tell the business)
stands in one table, ``broker/consequences.py``. Numbers are never reused.
"""

from enum import IntEnum
from typing import Final

import msgspec


class State(IntEnum):
    """Where a message stands in deliver's journal."""

    PENDING = 0
    """A member, not decided yet."""
    SENDING = 1
    """Decided: to be handed off under this attempt; no answer yet."""
    WAITING = 2
    """Decided: not before ``due_ms``."""
    ACCEPTED = 3
    """The gateway has taken it. Deliver is done; receipts say the rest."""
    IN_DOUBT = 4
    """Perhaps handed off; it may not be sent again. A receipt or the end of the settle window resolves it."""


class Reason(IntEnum):
    """Why a message was not delivered, or a request not accepted."""

    # -- of one message: decided by deliver
    NOT_OPTED_IN = 16
    STOPPED = 17
    STOPPED_ALL = 18
    BLOCKED = 19
    SUPERSEDED = 20
    EXPIRED = 21
    CANCELLED = 22
    # -- of one message: answered by the gateway
    UNREACHABLE = 32
    TEMPLATE_REFUSED = 33
    CONTENT_REFUSED = 34
    CODE_NOT_OPENED = 35
    SENDER_RESTRICTED = 36
    RECIPIENT_OPTED_OUT = 37
    GATEWAY_REFUSED = 38
    # 39 was the end of a message by a count of attempts; none ends so any more
    CRASHED_WORKER = 40
    # -- of one message: said by a receipt, or by the lack of one
    FAILED = 48
    UNKNOWN = 49

    # -- of a request: its form (a pure function of the bytes)
    NOT_A_CLOUD_EVENT = 100
    INVALID_JSON = 101
    TOO_LARGE = 102
    UNKNOWN_FIELD = 103
    MISSING_FIELD = 104
    INVALID_FIELD = 105
    NOT_SUPPORTED = 106
    INVALID_RECIPIENT = 107
    TOO_MANY_RECIPIENTS = 108
    NOT_SEALED = 109
    RESERVED_HEADER = 110
    UNKNOWN_TYPE = 111
    # -- of a request: who and what (needs the registry)
    WRONG_TENANT = 120
    UNKNOWN_BUSINESS = 121
    BUSINESS_SUSPENDED = 122
    UNKNOWN_SENDER = 123
    SENDER_SUSPENDED = 124
    UNKNOWN_TEMPLATE = 125
    WRONG_LANE = 126
    MISSING_PARAMETER = 127
    UNKNOWN_PARAMETER = 128
    # 129 was plan_exceeded: declared, and never given to anything
    UNKNOWN_REQUEST = 130
    # -- of a request: when and whether again
    STALE = 140
    FROM_THE_FUTURE = 141
    REQUEST_EXPIRED = 142
    LIFETIME_TOO_LONG = 143
    DUPLICATE = 144
    CONFLICT = 145
    NO_PROOF = 146
    BACKLOG_FULL = 147
    # -- of a record of ours
    UNREADABLE = 160
    POISON = 161

    @property
    def word(self) -> str:
        """The reason as it stands on topics, labels and pages: ``stopped_all``."""
        return self.name.lower()


MESSAGE_REASONS = frozenset(reason for reason in Reason if reason < 64)
"""Reasons that end one message; the status byte of a rank holds their number."""

REQUEST_REASONS = frozenset(reason for reason in Reason if reason >= 100)
"""Reasons that refuse a request or a record."""

STATES = {state.value: state for state in State}
_REASONS = {reason.value: reason for reason in Reason}


def status_of(byte: int) -> State | Reason:
    """The state or reason behind a status byte; ``KeyError`` for a number that was never given out."""
    return STATES[byte] if byte in STATES else _REASONS[byte]


def word_of(byte: int) -> str:
    """The word of a status byte."""
    return status_of(byte).name.lower()


# One thing that is wrong with an event: where, why, and what to do.


class Fault(msgspec.Struct, frozen=True):
    """``place`` is a JSON pointer (RFC 6901) into the event, empty for the whole of it. The sentence is plan's own."""

    place: str
    reason: Reason
    detail: str


MAX_FAULTS: Final = 100
"""More are not looked for in one event: whoever has a hundred has one mistake a hundred times."""


# Why something was not taken, as a value: one reason of the closed list and one sentence that says what to do.


class Refusal(msgspec.Struct, frozen=True):
    """A reason, and a sentence for the producer. The sentence names fields and positions, never what they hold."""

    reason: Reason
    detail: str
    retry_at_ms: int = 0
    """When the same may be asked again with success, ms since the epoch; 0 where time does not help."""
    place: str = ""
    """JSON pointer (RFC 6901) into the event to what is wrong; empty: the whole of it, or something outside of it."""
    left: int = 0
    """Of a full backlog: how many messages would have been taken."""
