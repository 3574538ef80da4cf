"""Remembers when and where a journal was claimed, and tells when its floor has to rise, and to which claim.

Theory (PROTOCOL.md section 1.2, 5): a fold is as long as its floor is old, so a round of restating is due by the age of the
*floor*, F/2, whoever served since, and not by the age of one's own claim. A new owner reads the time of every claim since
the floor, for its fold begins there; if the floor is too old by then, it restates at once. So owners that live for minutes
raise floors as well as one that lives for a year. The floor rises to a claim that is a quarter of F old at least, if there
is one, whoever made it: what was said until then is due anyway, and a round that its owner did not live to complete is
shorter for the next one by all that was said.

Times are those of records (``at_ms``), and never go back, as those of decisions do not: an owner whose clock is behind the
journal would else find its own claim old at once, and restate for ever.
"""

from bisect import bisect_right
from typing import NamedTuple

from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, body_of


class Round(NamedTuple):
    """Says what a round of restating has to do: the floor may rise to ``floor`` once all until ``said_ms`` is said again."""

    floor: int
    """The offset of a valid claim."""
    said_ms: int
    """No record before that claim is of a later time, milliseconds since the epoch."""


class Claims:
    """The valid claims of one journal from its floor on. Feed every valid record, in the order of the log.

    ``floor`` is the offset at which the fold begins.
    """

    __slots__ = ("_bytes", "_ms", "_next", "_offsets", "_size", "floor", "last_ms")

    def __init__(self, floor: int = 0) -> None:
        self.floor = floor
        """The highest offset from which on everything open is known to have been said; what the next claim carries."""
        self.last_ms = 0
        """The latest time of any record, milliseconds since the epoch."""
        self._offsets: list[int] = []
        self._ms: list[int] = []
        self._bytes: list[int] = []
        """Bytes of all records before each claim."""
        self._size = 0
        self._next = floor

    def fold(self, header: Header, record: bytes, offset: int) -> None:
        """Takes one valid record."""
        self.last_ms = max(self.last_ms, header.at_ms)
        # A trimmed log that was accepted begins anywhere: its first record stands for the claim that is gone.
        if header.kind is Kind.CLAIM or not self._offsets:
            self._offsets.append(offset)
            self._ms.append(self.last_ms)
            self._bytes.append(self._size)
        self._size += len(record)
        self._next = offset + 1
        if header.kind is Kind.CLAIM:
            self._raise(body_of(record, Claim).floor)

    def floor_ms(self, now_ms: int) -> int:
        """Returns the time of the record at the floor; ``now_ms`` for a log that is empty."""
        return self._ms[0] if self._ms else now_ms

    def age_ms(self, now_ms: int) -> int:
        """Returns how old the floor is, by the time of its record; 0 for a log that is empty."""
        return max(0, now_ms - self.floor_ms(now_ms))

    @property
    def fold_records(self) -> int:
        """Returns how many records a fold has to read: those from the floor on."""
        return self._next - self.floor

    @property
    def fold_bytes(self) -> int:
        """Returns how many bytes the valid ones of these have."""
        return self._size - self._bytes[0] if self._bytes else 0

    def due(self, now_ms: int, quarter_ms: int) -> Round | None:
        """Returns the round that is due at ``now_ms``, ``quarter_ms`` being a quarter of F; None if none is."""
        now_ms = max(now_ms, self.last_ms)
        if not self._ms or now_ms < self.due_ms(now_ms, quarter_ms):
            return None
        return self._round(now_ms, quarter_ms)

    def due_ms(self, now_ms: int, quarter_ms: int) -> int:
        """Returns when the next round is due if nothing is claimed until then, milliseconds since the epoch."""
        # Half of F after the floor; and a claim each quarter, so that there is one of the right age to rise to.
        return min(self.floor_ms(now_ms) + 2 * quarter_ms, (self._ms[-1] if self._ms else now_ms) + quarter_ms)

    def _round(self, now_ms: int, quarter_ms: int) -> Round:
        last = len(self._ms) - 1
        at = max(0, bisect_right(self._ms, now_ms - quarter_ms) - 1)
        if (at == 0 or self._ms[at] <= now_ms - 2 * quarter_ms) and at < last:
            at += 1
        return Round(self._offsets[at], self._ms[at])

    def _raise(self, floor: int) -> None:
        """Forgets the claims before a floor that a valid claim carries; one that is lower than what is known changes nothing."""
        if floor <= self.floor:
            return
        self.floor = floor
        first = max(0, bisect_right(self._offsets, floor) - 1)
        del self._offsets[:first], self._ms[:first], self._bytes[:first]
