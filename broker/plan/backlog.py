"""Bounds what one business may have waiting: messages that it was promised and whose number's throughput is not paid for yet.

Plan accepts whatever can begin before it expires, so a number of 1,000 a second could have 900,000 codes open. A shard of deliver
has room for 40,000 messages that are not due, and serves all businesses; so each of them has a quota of that room, over all
its numbers of a lane, and is refused early and told when to come again (PROTOCOL.md section 3.2).

Nothing is remembered for it. What waits of a number is its debt times its rate, and debts stand in the journal and are restated
(``verdict.py``), so every owner reckons the same.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from schemas.reasons import Reason, Refusal
from schemas.wire.timestamps import text_of as instant

_MICRO: Final = 1_000_000


class Owed(NamedTuple):
    """Holds the debt of one number."""

    free_us: int
    """Until when its throughput is used up, microseconds since the epoch."""
    per_s: int
    """Messages a second of that throughput, in the lane."""


class Backlog(NamedTuple):
    """Says what waits of a business in a lane, and how much may."""

    most: int
    """Messages."""
    owed: Sequence[Owed] = ()
    """Of each of its numbers."""

    def waiting(self, now_ms: int) -> int:
        """Return how many messages wait, rounded up: an error is never in the business's favour."""
        return -(-self._waiting_micro(now_ms) // _MICRO)

    def _waiting_micro(self, now_ms: int) -> int:
        return sum(max(0, free_us - now_ms * 1000) * per_s for free_us, per_s in self.owed)

    def refusal(self, count: int, now_ms: int) -> Refusal | None:
        """Return why ``count`` more may not wait, with the time from which on they may, and with what may wait now."""
        waiting = self.waiting(now_ms)
        if waiting + count <= self.most:
            return None
        left = max(0, self.most - waiting)
        if count > self.most:  # by a registry that no rule has looked at
            sentence = f"At most {self.most:,} messages of the business may wait: split the request."
            return Refusal(Reason.BACKLOG_FULL, sentence, left=left)
        again_ms = self.room_at_ms(count, now_ms)
        sentence = (
            f"{waiting:,} messages of the business wait for the throughput of its numbers, and {self.most:,} may: there is "
            f"room for {left:,} now, and for these {count:,} at {instant(again_ms)}."
        )
        return Refusal(Reason.BACKLOG_FULL, sentence, again_ms, left=left)

    def room_at_ms(self, count: int, now_ms: int) -> int:
        """Return from when on ``count`` more have room, if nothing else comes; ms since the epoch.

        Each number works off its debt at its own rate, so what waits falls in straight lines, ever slower.
        """
        room_micro = (self.most - count) * _MICRO
        at_ms, per_s = now_ms, sum(held.per_s for held in self.owed if held.free_us > now_ms * 1000)
        for free_us, rate in sorted(held for held in self.owed if held.free_us > now_ms * 1000):
            too_many = self._waiting_micro(at_ms) - room_micro
            due_ms = at_ms + max(0, -(-too_many // (per_s * 1000)))
            if due_ms * 1000 <= free_us:
                return due_ms
            at_ms, per_s = max(at_ms, -(-free_us // 1000)), per_s - rate
        return at_ms
