"""What people forbade, at any offset and any time of the log: a second fold of ``suppressions``.

A register for each (recipient, business, scope) holds the latest evidence, capped at the time it was received; revoking
wins a tie (PROTOCOL.md section 1.3, 16). Suppressions are few, so they are kept whole and folded again for each question.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from broker.audit.people import prefixes
from schemas.facts import Scope, Suppression
from schemas.names import NAME_BYTES, Lane
from schemas.reasons import Reason

_FEW: Final = 8
_NOBODY: Final[Mapping[int, "Stops"]] = {}
_EVERY_BUSINESS: Final = "*"
_STRONGEST_FIRST: Final = (
    (Scope.BLOCK, Reason.BLOCKED),
    (Scope.ALL, Reason.STOPPED_ALL),
    (Scope.MARKETING, Reason.STOPPED),
    (Scope.OFFERS, Reason.RECIPIENT_OPTED_OUT),
)


class Stop(NamedTuple):
    """One word of one person."""

    offset: int
    at_ms: int
    """Log time: when it was acknowledged."""
    business: str
    scope: int
    stamp: tuple[int, bool]
    """(evidence time, forbids): the greater one holds."""


Stops = tuple[Stop, ...]


def forbids(stops: Iterable[Stop], lane: Lane, *, listed: bool) -> Reason | None:
    """What these words together forbid of ``lane``; ``listed``: to a member of a list. The strongest first."""
    held: dict[tuple[str, int], tuple[int, bool]] = {}
    for stop in stops:
        register = (stop.business, stop.scope)
        held[register] = max(held.get(register, stop.stamp), stop.stamp)
    standing = {scope for (_, scope), (_, forbidden) in held.items() if forbidden}
    for scope, reason in _STRONGEST_FIRST:
        if scope in standing and _reaches(scope, lane, listed=listed):
            return reason
    return None


def knows_opt_out(stops: Iterable[Stop], business: str, at_ms: int) -> bool:
    """Whether a stop of this business's offers with evidence of ``at_ms`` or later is among these words."""
    wanted = (business, Scope.OFFERS)
    return any((stop.business, stop.scope) == wanted and stop.stamp >= (at_ms, True) for stop in stops)


def _reaches(scope: Scope, lane: Lane, *, listed: bool) -> bool:
    if scope is Scope.MARKETING:
        return listed or lane is Lane.CAMPAIGN
    if scope is Scope.OFFERS:
        return lane is Lane.CAMPAIGN
    return scope is Scope.BLOCK or lane is not Lane.OTP


def upto_offset(stops: Stops, offset: int) -> Stops:
    """What was said up to and including ``offset``."""
    return tuple(stop for stop in stops if stop.offset <= offset)


def upto_time(stops: Stops, at_ms: int) -> Stops:
    """What had been acknowledged at ``at_ms``."""
    return tuple(stop for stop in stops if stop.at_ms <= at_ms)


class ShardStops:
    """The suppressions of one shard."""

    __slots__ = ("_people", "_sorted")

    def __init__(self) -> None:
        self._people: dict[bytes, list[Stop]] = {}
        self._sorted: npt.NDArray[np.uint64] | None = None

    def add(self, offset: int, at_ms: int, entry: Suppression) -> None:
        """The next suppression of the shard's log."""
        stamp = (min(entry.evidence_ms, entry.received_ms), entry.revoke)
        stop = Stop(offset, at_ms, entry.business, entry.scope, stamp)
        self._people.setdefault(entry.recipient, []).append(stop)
        self._sorted = None

    def concerning(self, recipients: bytes, business: str) -> Mapping[int, Stops]:
        """Places in a column of ids whose people ever said something about ``business``, with what they said."""
        if not self._people:
            return _NOBODY
        found: dict[int, Stops] = {}
        for place in self._candidates(recipients):
            said = self._people.get(recipients[place * NAME_BYTES : (place + 1) * NAME_BYTES], ())
            stops = tuple(stop for stop in said if stop.business in {business, _EVERY_BUSINESS})
            if stops:
                found[place] = stops
        return found or _NOBODY

    def _candidates(self, recipients: bytes) -> Iterable[int]:
        count = len(recipients) // NAME_BYTES
        if count <= _FEW:
            return range(count)
        if self._sorted is None:
            self._sorted = np.sort(prefixes(b"".join(self._people)))
        asked = prefixes(recipients)
        at = np.minimum(np.searchsorted(self._sorted, asked), len(self._sorted) - 1)
        places: list[int] = np.flatnonzero(self._sorted[at] == asked).tolist()
        return places
