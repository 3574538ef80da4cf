"""Fixes what deliver is told once: a lane's policy, and what each code that a gateway answers leads to.

A gateway with codes of its own brings a table of its own (``streams/gateway/port.py``). A code that no table knows is a refusal
for good and keeps its number.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

import msgspec

from schemas.gateway_api import Code
from schemas.lanes import Lane, PairLimit, Windows
from schemas.reasons import Reason
from schemas.topics import SHARDS
from schemas.wire.head import FORMAT


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


FRESH_MS: Final = 100
"""A message may be decided only if the suppressions were read to their end at most this long ago (PROTOCOL.md section 1.7)."""


class DeliverPolicy(msgspec.Struct, frozen=True):
    """All that deliver is told once."""

    lane: Lane
    shard: int
    ref_secret: bytes
    windows: Windows
    pair_limit: PairLimit
    retry_ceiling_ms: int
    """The longest wait after a gateway that was ill, milliseconds."""
    shards: int = SHARDS
    limits: bool = True
    """False: nothing limits what a person gets (benchmarks)."""
    chunk: int = 4_096
    """Rows decided in one append."""
    bite: int = 2_048
    """Names, facts or people that one step of restating looks at, about 10 ms with the record; an eighth as many open items."""
    max_open: int = 10_000
    """Open items that compete for the gateway, of which a shard holds so many before it asks for no more."""
    fresh_ms: int = FRESH_MS
    """Greatest age of the view of suppressions at a decision and at a frame, milliseconds."""
    record_format: int = FORMAT
    """The newest format of records to write."""
    gateway_dedupes: bool = True
    """False: the gateway takes the same (request, person) twice."""
    codes: CodeTable = msgspec.field(default_factory=lambda: CODES)
    """The consequence of each code that the gateway answers."""

    @property
    def resends_unknown(self) -> bool:
        """Returns True if what may have been handed off goes again when no answer came; else it ends as in doubt."""
        return self.gateway_dedupes or self.lane.rules.resends_unknown

    @classmethod
    def of(
        cls, lane: Lane, shard: int, ref_secret: bytes, *, limits: bool = True, shards: int = SHARDS
    ) -> "DeliverPolicy":
        """The policy of a lane as the catalogue has it."""
        rules = lane.rules
        ceiling_ms = rules.retry_ceiling_ms
        return cls(lane, shard, ref_secret, rules.windows, rules.pair_limit, ceiling_ms, shards, limits)
