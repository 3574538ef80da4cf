"""What plan is given: a record of ``requests.<lane>`` as it stands on the log, and what its headers may say.

The headers are the producer's and mean nothing but CloudEvents, with one exception: a record that was keyed to the wrong
partition is published once more by plan itself, with the place where it stood first (PROTOCOL.md section 1.3, 3).
"""

import re
from typing import Final

import msgspec

from schemas.plan_journal import Origin
from schemas.reasons import Reason
from schemas.refusal import Refusal

ORIGIN_HEADER: Final = "fanfare-origin"
"""``partition:offset`` of a re-routed record's first place. Producers must not set it."""

_RESERVED: Final = ("faust", "fanfare-")
"""Faust's agents answer to ``Faust-Ag-ReplyTo`` (observed on Faust 0.15.3: a sender could choose our output topic), and
``fanfare-`` is ours: signatures are reserved until they are enforced."""

_ORIGIN: Final = re.compile(rb"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,18})")


class PlanInput(msgspec.Struct, frozen=True):
    """One record of ``requests.<lane>``."""

    origin: Origin
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    """LogAppendTime: when it was received, the same at every redelivery."""


def reserved_header(given: PlanInput) -> Refusal | None:
    """The refusal of a record with a header that producers may not set."""
    for name, held in given.headers:
        lower = name.lower()
        if not lower.startswith(_RESERVED) or (lower == ORIGIN_HEADER and _ORIGIN.fullmatch(held)):
            continue
        family = "faust" if lower.startswith("faust") else "fanfare"
        return Refusal(
            Reason.RESERVED_HEADER,
            f"Headers that begin with {family}- are not for producers: send the event without them.",
        )
    return None


def first_origin(given: PlanInput) -> Origin | None:
    """Where a re-routed record stood first; None for all others."""
    for name, held in given.headers:
        if name.lower() == ORIGIN_HEADER:
            partition, _, offset = held.partition(b":")
            return Origin(int(partition), int(offset))
    return None


def origin_header(origin: Origin) -> tuple[str, bytes]:
    """The header that a re-routed record carries."""
    return ORIGIN_HEADER, b"%d:%d" % (origin.partition, origin.offset)
