"""Names what the head of an internal record holds, apart from its code: whoever has no records needs no numpy."""

from enum import IntEnum

import msgspec

from schemas.ids import Lane


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


class Header(msgspec.Struct, frozen=True, gc=False):
    """The head of an internal record. ``epoch`` is 0 where no journal is meant."""

    kind: Kind
    lane: Lane
    shard: int
    epoch: int
    at_ms: int
    """When the writer decided, by its clock, milliseconds since the epoch."""
