"""Decides when a shard may send for one sender number: phase-locked ticks (PROTOCOL.md section 5.2).

Shards share a number's rate R without a word to each other. Time is cut into *slots* of q/R seconds, counted from the epoch of
the wall clock; slot m belongs to shard m mod S, which may decide at most q messages in it. An unused slot is lost, never saved.

    R = 1,000/s, S = 8, q = 10:   slot  0    1    2    3    4    5    6    7    8    9   ...   each 10 ms
                                  shard 0    1    2    3    4    5    6    7    0    1   ...   10 messages each

*Bound.* Whatever dies or restarts, at most R x T + 2q + 2eR messages are handed off in any T seconds. e is what clocks differ by,
how late a slot may be used (:data:`LATE_MS`) and how long a decision may wait for its frame (:data:`FRAME_LATE_MS`), together; a
message that waits longer takes another slot. Between owners the bound holds because a decision carries the slot that it used
(``Decided.slot_ms``), and so the fold knows it.

The unit q is a hundredth of a second's worth and depends on the rate alone, not on the list: all shards and all lists of a number
then keep the same slots, whatever is open where.
"""

from typing import Final

import msgspec

SLOTS_PER_S: Final = 100
"""Slots a second over all shards, for numbers of at least this rate: few enough appends, and a shard of eight waits 80 ms."""
MAX_QUANTUM: Final = 4_096
"""A chunk: what one append decides about."""
LATE_MS: Final = 50
"""How long after its beginning a slot may be used: a busy process wakes some beats late."""
FRAME_LATE_MS: Final = 200
"""How long after its decision a message may wait for its frame without taking another slot."""


class Pace(msgspec.Struct, frozen=True):
    """The slots of one number in one shard: ``per_s`` messages a second (at least 1) over ``shards`` shards."""

    per_s: int
    shard: int
    shards: int

    @property
    def quantum(self) -> int:
        """Messages a slot holds."""
        return min(MAX_QUANTUM, max(1, self.per_s // SLOTS_PER_S))

    def slot_ms(self, now_ms: int) -> int:
        """Return when the newest slot of this shard began, milliseconds: at ``now_ms`` or before."""
        return self._begins_ms(self._number(now_ms))

    def next_ms(self, slot_ms: int) -> int:
        """Return when the slot of this shard after the one that began at ``slot_ms`` begins, milliseconds; always later."""
        number = self._number(slot_ms)
        while (next_ms := self._begins_ms(number)) <= slot_ms:  # slots shorter than a millisecond begin in the same one
            number += self.shards
        return next_ms

    def _number(self, at_ms: int) -> int:
        number = at_ms * self.per_s // (1000 * self.quantum)
        return number - (number - self.shard) % self.shards

    def _begins_ms(self, number: int) -> int:
        return -(-number * 1000 * self.quantum // self.per_s)


class Slots:
    """Remembers the newest slot used of each number and how many messages it holds. Folded from ``Decided.tick_ms``."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used: dict[str, tuple[int, int]] = {}

    def use(self, sender: str, slot_ms: int, count: int) -> None:
        """Count ``count`` messages of ``sender`` into the slot that began at ``slot_ms``."""
        held_ms, used = self._used.get(sender, (0, 0))
        if slot_ms >= held_ms:
            self._used[sender] = slot_ms, count + (used if slot_ms == held_ms else 0)

    def left(self, sender: str, slot_ms: int, quantum: int) -> int:
        """Return how many messages a slot still holds; 0 if a later one was used, which a rate changed meanwhile can bring."""
        held_ms, used = self._used.get(sender, (0, 0))
        if slot_ms < held_ms:
            return 0
        return max(0, quantum - used) if slot_ms == held_ms else quantum
