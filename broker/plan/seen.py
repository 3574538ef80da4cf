"""Tells an event that is new from one that was delivered again, repeated, or is in conflict with one of the same name.

Kafka delivers the same record again after a crash; a producer publishes the same event again after a time-out. Both look
alike but for the place in the log: same place, *redelivered*, and the same outputs go out again in silence; another place,
*duplicate*, and the business is told. A record that plan itself published again to the right partition has its first place
with it, so a repeated re-route is one, too (PROTOCOL.md section 1.3, 1-3). What was refused may be asked again and has no name
here: moved twice, it is judged twice, and the later word holds.
"""

from enum import Enum
from typing import TypeAlias

import msgspec

from broker.plan.decode import Malformed, Named
from broker.plan.state import Known
from broker.plan.validate import Content, Request
from schemas.plan_journal import Origin, Planned
from schemas.reasons import Reason, Refusal
from schemas.wire.timestamps import text_of as instant


class Redelivered(msgspec.Struct, frozen=True):
    """Says that this very record was decided before. ``entry`` is None if its outputs are known to be out."""

    entry: Planned | None


class Repeated(msgspec.Struct, frozen=True):
    """Says that the same event was accepted before from another record."""

    named: Named
    accepted_ms: int
    """When, ms since the epoch."""


class Conflicting(msgspec.Struct, frozen=True):
    """Says that an event of the same name and with other content was accepted before."""

    named: Named
    accepted_ms: int
    """When, ms since the epoch."""

    @property
    def refusal(self) -> Refusal:
        """Return the refusal of the later one: the first stands."""
        sentence = (
            f"Another event with this source and id was accepted at {instant(self.accepted_ms)} and stands; this one, whose "
            "content differs, is dropped: give it an id of its own."
        )
        return Refusal(Reason.CONFLICT, sentence)


class New(Enum):
    """Says that nothing was decided, or that it was refused before and is asked anew."""

    NEW = 0


Seen: TypeAlias = Redelivered | Repeated | Conflicting | New


def seen(content: Content, origin: Origin, decided: Planned | None, known: Known | None) -> Seen:
    """Compare a request with what was decided in its place, and under its name; opt-ins and controls are joins, so always new.

    ``decided`` is the entry that was made from this offset, if that is not committed yet.
    """
    if not isinstance(content, Request):
        return New.NEW
    if decided is not None and decided.fingerprint == content.fingerprint:
        return Redelivered(decided)
    if known is None:
        return New.NEW
    same = known.fingerprint == content.fingerprint
    if same and _is_here(known, content.first, origin):
        return Redelivered(None)
    return (Repeated if same else Conflicting)(content.named, known.decided_ms)


def _is_here(known: Known, first: Origin | None, origin: Origin) -> bool:
    """Return whether a decision was made about the record in this place, or about the one that was moved here."""
    return known.offset == origin.offset or (first is not None and known.first == first)


def conflicting(malformed: Malformed, origin: Origin, known: Known | None) -> Conflicting | None:
    """Return the conflict of an event of unsound form with one of the same name that was accepted from another record."""
    named = malformed.named
    # In its own place the record is no other event: an older release took a form that this one refuses.
    if named is None or known is None or known.offset == origin.offset:
        return None
    return Conflicting(named, known.decided_ms)
