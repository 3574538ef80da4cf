"""The table of moves, written a second time (first: ``broker/lifecycle.py``; the tests hold the two against each other)."""

from typing import Final

import msgspec

from broker.audit.sources import Logged
from schemas.ids import Lane
from schemas.reasons import MESSAGE_REASONS, Reason, State
from schemas.wire.header import Header

OPEN: Final = bytes((State.PENDING, State.WAITING))
"""States of a message that a decision may be about."""
SENT: Final = bytes((State.SENDING,))
"""States of a message that an answer may be about."""
_BY_DELIVER: Final = bytes(reason for reason in MESSAGE_REASONS if reason < Reason.UNREACHABLE)
_BY_GATEWAY: Final = bytes(reason for reason in MESSAGE_REASONS if Reason.UNREACHABLE <= reason < Reason.FAILED)
DECIDED: Final = (
    bytes((State.SENDING, State.WAITING)) + _BY_DELIVER + bytes((Reason.RECIPIENT_OPTED_OUT, Reason.CRASHED_WORKER))
)
"""States and reasons that a decision may give a message."""
EXCEPTED: Final = bytes((State.WAITING, State.IN_DOUBT)) + _BY_DELIVER + _BY_GATEWAY
"""States and reasons that an answer may give beside accepted: a refusal, later, in doubt, or withheld before it left."""
CONSENT: Final = bytes((Reason.STOPPED, Reason.STOPPED_ALL, Reason.BLOCKED, Reason.RECIPIENT_OPTED_OUT))
"""Refusals that suppressions must bear out; the last one if it was the broker's and not the gateway's."""
FIRST_TERMINAL: Final = min(Reason)
"""Status bytes from here on end a message."""


class Said(msgspec.Struct, eq=False, gc=False):
    """A record of deliver's journal, and where it stands."""

    record: Logged
    header: Header
    lane: Lane
    shard: int
