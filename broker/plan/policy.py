"""The policy of plan: frozen, one per lane and partition."""

from typing import Final

import msgspec

from schemas.lanes import Lane, Windows
from schemas.topics import SHARDS
from schemas.wire.head import RECORD_LIMIT_BYTES
from schemas.wire.sealed import AddressBook

HEADROOM_BYTES: Final = 1_024
"""Of a record's limit: its 17-byte head, the brackets of the batch, and what a release may add."""

BODY_LIMIT_BYTES: Final = RECORD_LIMIT_BYTES - HEADROOM_BYTES
"""The body of every record that plan asks for stays below this."""


class PlanPolicy(msgspec.Struct, frozen=True):
    """All that plan is told once."""

    lane: Lane
    shard: int
    """The partition of ``requests.<lane>`` and ``plans.<lane>``; not one of the recipients."""
    pepper: bytes
    address_book: AddressBook
    windows: Windows
    shards: int = SHARDS
    limits: bool = True
    """False: sender throughput is not reserved (benchmarks)."""
    bite: int = 1_024
    """Names that one record of restating holds: about 10 ms of work, so that verdicts go on between two of them."""

    @classmethod
    def of(cls, lane: Lane, shard: int, *, pepper: bytes, address_book: AddressBook) -> "PlanPolicy":
        """The policy of a lane as the catalogue has it."""
        return cls(lane, shard, pepper, address_book, lane.rules.windows)
