"""Whether an event is new, delivered again, repeated, or in conflict with one of the same name.

Kafka delivers the same record again after a crash; a producer publishes the same event again after a time-out. Both look
alike but for the place in the log: same place, *redelivered*, and the same outputs go out again in silence; another place,
*duplicate*, and the business is told. A record that plan itself published again to the right partition has its first place
with it, so a repeated re-route is one, too (PROTOCOL.md section 1.3, 1-3).
"""

from enum import Enum
from typing import TypeAlias

import msgspec

from broker.plan.state import Known
from schemas.plan_journal import Origin, Planned


class Redelivered(msgspec.Struct, frozen=True):
    """Decided before from this very record. ``entry`` is None if its outputs are known to be out."""

    entry: Planned | None


class Repeated(msgspec.Struct, frozen=True):
    """Accepted before from another record: with the same content, or in conflict with it."""

    known: Known
    same: bool


class New(Enum):
    """Not decided, or refused before and asked anew."""

    NEW = 0


Identity: TypeAlias = Redelivered | Repeated | New


def identify(
    known: Known | None, unfinished: Planned | None, *, origin: Origin, first: Origin | None, fingerprint: bytes
) -> Identity:
    """What an event is, from what is known about its name and about its place.

    ``unfinished`` is the entry decided from this place, if its input is not committed yet.
    """
    if unfinished is not None and unfinished.fingerprint == fingerprint:
        return Redelivered(unfinished)
    if known is None:
        return New.NEW
    same = known.fingerprint == fingerprint
    here = known.offset == origin.offset or (first is not None and known.first == first)
    if here and same:
        return Redelivered(None)
    if known.verdict != 0:
        return New.NEW
    return Repeated(known, same)
