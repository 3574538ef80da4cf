"""Gives each code that a gateway answers its consequence for the message: the table of the frame contract, and its type.

A gateway with codes of its own brings a table of its own (``streams/gateway/port.py``). A code that no table knows is a refusal
for good and keeps its number.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from schemas.gateway_api import Code
from schemas.reasons import Reason


class Handling(Enum):
    """Names what becomes of a message that a code does not end."""

    ACCEPTED = auto()
    """It was taken."""
    STALE = auto()
    """Its frame came too late: it is asked about and stamped again."""
    PACED = auto()
    """It says nothing about the message, which comes again when it may."""
    ILL = auto()
    """The gateway or its platform is ill: the message comes again after a back-off."""
    UNANSWERED = auto()
    """Nobody knows whether it was taken: PROTOCOL.md rule 10."""


CodeTable = Mapping[int, Reason | Handling]
"""A :class:`Reason` ends the message."""

CODES: Final[CodeTable] = {
    Code.ACCEPTED: Handling.ACCEPTED,
    Code.STALE_FRAME: Handling.STALE,
    Code.CODE_NOT_OPENED: Reason.CODE_NOT_OPENED,
    Code.EXPIRED: Reason.EXPIRED,
    Code.NO_ANSWER: Handling.UNANSWERED,
    Code.SENDER_THROTTLED: Handling.PACED,
    Code.TRANSIENT: Handling.ILL,
    Code.SERVICE_UNAVAILABLE: Handling.ILL,
    Code.UNDELIVERABLE: Reason.UNREACHABLE,
    Code.ACCOUNT_LOCKED: Reason.SENDER_RESTRICTED,
    Code.SPAM_LIMIT: Reason.SENDER_RESTRICTED,
    Code.USER_STOPPED_MARKETING: Reason.RECIPIENT_OPTED_OUT,
    Code.PAIR_THROTTLED: Handling.PACED,
    Code.TEMPLATE_PARAMETERS: Reason.CONTENT_REFUSED,
    Code.TEMPLATE_MISSING: Reason.TEMPLATE_REFUSED,
    Code.TEMPLATE_PAUSED: Reason.TEMPLATE_REFUSED,
}
