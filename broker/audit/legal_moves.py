"""The table of moves, written a second time (first: ``broker/lifecycle.py``; the tests hold the two against each other)."""

from typing import Final

import msgspec

from broker.audit.sources import Logged
from schemas.ids import Lane
from schemas.reasons import Reason, State
from schemas.wire.header import Header

OPEN: Final = bytes((State.PENDING, State.WAITING))
"""States of a message that a decision may be about."""
SENT: Final = bytes((State.SENDING,))
"""States of a message that an answer may be about."""
DECIDED: Final = bytes(
    (
        State.SENDING, State.WAITING, Reason.NOT_OPTED_IN, Reason.STOPPED, Reason.STOPPED_ALL, Reason.BLOCKED, Reason.SUPERSEDED,
        Reason.EXPIRED, Reason.CANCELLED, Reason.RECIPIENT_OPTED_OUT, Reason.CRASHED_WORKER,
    )
)  # fmt: skip
"""States and reasons that a decision may give a message."""
EXCEPTED: Final = bytes(
    (
        State.WAITING, State.IN_DOUBT, Reason.NOT_OPTED_IN, Reason.STOPPED, Reason.STOPPED_ALL, Reason.BLOCKED,
        Reason.SUPERSEDED, Reason.EXPIRED, Reason.CANCELLED, Reason.UNREACHABLE, Reason.TEMPLATE_REFUSED,
        Reason.CONTENT_REFUSED, Reason.CODE_NOT_OPENED, Reason.SENDER_RESTRICTED, Reason.RECIPIENT_OPTED_OUT,
        Reason.GATEWAY_REFUSED, Reason.CRASHED_WORKER,
    )
)  # fmt: skip
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
