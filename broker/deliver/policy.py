"""The policy of deliver: frozen, one per lane."""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.names import Lane
from schemas.topics import WINDOWS, Windows


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

MAX_ATTEMPTS: Final[Mapping[Lane, int]] = {Lane.OTP: 5, Lane.UPDATE: 10, Lane.CAMPAIGN: 6}

FRESH_MS: Final = 100
"""A message may be decided only if the suppressions were read to their end at most this long ago (PROTOCOL.md section 1.7)."""


class DeliverPolicy(msgspec.Struct, frozen=True):
    """All that deliver is told once."""

    lane: Lane
    shard: int
    ref_secret: bytes
    windows: Windows
    pair_limit: PairLimit | None
    """None: limits are off (benchmarks)."""
    max_attempts: int
    chunk: int = 4_096
    """Rows decided in one append."""
    max_open: int = 10_000
    """Open items a shard holds before it asks for no more."""
    fresh_ms: int = FRESH_MS

    @classmethod
    def of(cls, lane: Lane, shard: int, ref_secret: bytes, *, limits: bool = True) -> "DeliverPolicy":
        """The policy of a lane as the catalogue has it."""
        return cls(lane, shard, ref_secret, WINDOWS[lane], PAIR_LIMITS[lane] if limits else None, MAX_ATTEMPTS[lane])
