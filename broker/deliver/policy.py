"""The policy of deliver: frozen, one per lane."""

from typing import Final

import msgspec

from broker.deliver.codes import CODES, CodeTable
from schemas.lanes import Lane, PairLimit, Windows
from schemas.topics import SHARDS
from schemas.wire.head import FORMAT

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
