"""The policy of deliver: frozen, one per lane."""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.ids import Lane
from schemas.topics import SHARDS, WINDOWS, Windows
from schemas.wire.formats import FORMAT


class PairLimit(msgspec.Struct, frozen=True):
    """A lane's share of the gateway's limit per (sender, recipient)."""

    per_minute: int
    burst: int


PAIR_LIMITS: Final[Mapping[Lane, PairLimit]] = {
    Lane.OTP: PairLimit(3, 15),
    Lane.UPDATE: PairLimit(6, 25),
    Lane.CAMPAIGN: PairLimit(1, 5),
}
"""The gateway allows 10 a minute with a burst of 45 in all; each part has one writer (PROTOCOL.md section 2)."""

RETRY_CEILING_MS: Final[Mapping[Lane, int]] = {Lane.OTP: 2_000, Lane.UPDATE: 5 * 60_000, Lane.CAMPAIGN: 5 * 60_000}
"""The longest wait after a gateway that was ill: a code lives for minutes. No count ends a message, only its expiry does."""

RESEND_UNKNOWN: Final[Mapping[Lane, bool]] = {Lane.OTP: True, Lane.UPDATE: True, Lane.CAMPAIGN: False}
"""Asked where the gateway takes a name as often as it comes: a code or an update twice is better than none, an offer is not."""

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
    max_open: int = 10_000
    """Open items a shard holds before it asks for no more."""
    fresh_ms: int = FRESH_MS
    """Greatest age of the view of suppressions at a decision and at a frame, milliseconds."""
    record_format: int = FORMAT
    """The newest format of records to write."""
    gateway_dedupes: bool = True
    """False: the gateway takes the same (request, person) twice."""

    @property
    def resends_unknown(self) -> bool:
        """Returns True if what may have been handed off goes again when no answer came; else it ends as in doubt."""
        return self.gateway_dedupes or RESEND_UNKNOWN[self.lane]

    @classmethod
    def of(
        cls, lane: Lane, shard: int, ref_secret: bytes, *, limits: bool = True, shards: int = SHARDS
    ) -> "DeliverPolicy":
        """The policy of a lane as the catalogue has it."""
        ceiling_ms = RETRY_CEILING_MS[lane]
        return cls(lane, shard, ref_secret, WINDOWS[lane], PAIR_LIMITS[lane], ceiling_ms, shards, limits)
