"""Names what the head of an internal record holds, and the formats there are, apart from the code that reads and writes them.

Whoever has no records needs no numpy.
"""

from enum import IntEnum

import msgspec

from schemas.lanes import Lane

FORMAT = 2
"""The newest format version that is written."""
READABLE_FORMATS = frozenset({1, 2})
RESERVED_FORMATS = range(1, 9)
"""First bytes that are, or will be, the format of a record of ours. Anything else was written by no release."""
RESERVED_KINDS = range(1, 64)
"""Likewise the numbers of kinds."""
RESERVED_LANES = range(8)
"""Likewise the numbers of lanes."""

RECORD_LIMIT_BYTES = 900_000
"""Every Kafka record stays below this. Kafka refuses above 1,048,588; the rest is room for headers and batch."""


class Kind(IntEnum):
    """Numbers the types of body. A number is for ever and is never reused."""

    CLAIM = 1
    PLANNED = 2
    PLAN_RESTATED = 3
    WORK = 4
    OUTCOME = 5
    OUTCOME_RESTATED = 6
    RECEIPT = 7
    CHARGE = 8
    SUPPRESSION = 9
    AUDIENCE = 10
    INBOUND = 11
    TRYING = 12
    LIMITS_RESTATED = 13
    CONTROL = 14
    ITEM_PART = 15


class Header(msgspec.Struct, frozen=True, gc=False):
    """The head of an internal record. ``epoch`` is 0 where no journal is meant."""

    kind: Kind
    lane: Lane
    shard: int
    epoch: int
    at_ms: int
    """When the writer decided, by its clock, milliseconds since the epoch."""
