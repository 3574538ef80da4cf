"""Kafka as far as the protocol needs it: partitions that only grow, are trimmed from the front, and stamp their records."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.plan_journal import Claim
from schemas.wire.header import Kind, body_of, head_of

_TRIM_SEARCH = 40
"""More records than others write while one owner opens."""


class Stamped(NamedTuple):
    """One record where it stands: LogAppendTime is the world's clock."""

    offset: int
    at_ms: int
    record: bytes


class Log:
    """One partition. ``start`` is the log start offset, ``end`` the offset that the next append gets.

    What is trimmed is gone for every reader but the checks at the end: ``whole`` keeps it all.
    """

    def __init__(self) -> None:
        self.start = self.end = 0
        self.whole: list[Stamped] = []

    def append(self, at_ms: int, record: bytes) -> int:
        """Append; its offset."""
        offset = self.end
        self.whole.append(Stamped(offset, at_ms, record))
        self.end = offset + 1
        return offset

    def read(self, start: int, stop: int) -> Sequence[Stamped]:
        """What there is of a range."""
        return self.whole[max(start, self.start) : stop]

    def first_since(self, at_ms: int) -> int | None:
        """The offset of the first record stamped at ``at_ms`` or later; None if there is none."""
        return next((one.offset for one in self.whole[self.start :] if one.at_ms >= at_ms), None)

    def trim(self, start: int) -> None:
        """Retention at its worst: everything before ``start`` is gone."""
        self.start = max(self.start, min(start, self.end))


def trim(log: Log) -> None:
    """Retention at its worst: what lies before the floor of every claim of late is gone; an opener's is one of these."""
    claims = [one.record for one in log.read(log.end - _TRIM_SEARCH, log.end) if head_of(one.record).kind is Kind.CLAIM]
    if claims and log.end > _TRIM_SEARCH:
        log.trim(min(body_of(claim, Claim).floor for claim in claims))
