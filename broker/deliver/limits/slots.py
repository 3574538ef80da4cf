"""Decides when a shard may send for one sender number: phase-locked ticks (PROTOCOL.md section 5.2).

Shards share a number's rate R without a word to each other. Time is cut into *slots* of q/R seconds, counted from the epoch of
the wall clock; slot m belongs to shard m mod S, which may decide at most q messages in it. A slot may be used for a while after
it began (:data:`LATE_MS`), together with those before it; what is not used by then is lost, never saved.

    R = 1,000/s, S = 8, q = 50:   slot  0    1    2    3    4    5    6    7    8    9   ...   each 50 ms
                                  shard 0    1    2    3    4    5    6    7    0    1   ...   50 messages each

*Bound.* Whatever dies or restarts, at most R x T + 2q + 2eR messages are handed off in any T seconds. 2e is what clocks and a
frame's way may differ by, and how late a slot may be used (:data:`LATE_MS`) and its frame may leave (:data:`FRAME_LATE_MS`); a
message that waits longer takes another slot. Between owners the bound holds because a new one uses no slot that began before it
did: whatever the one before has used is older.

The unit q is a twentieth of a second's worth and depends on the rate alone, not on the list: all shards and all lists of a number
then keep the same slots, whatever is open where.
"""

from typing import Final

import msgspec

SLOTS_PER_S: Final = 20
"""Slots a second over all shards, for numbers of at least this rate: few enough appends, eight shards wait 400 ms at most."""
MAX_QUANTUM: Final = 4_096
"""A chunk: what one append decides about."""
LATE_MS: Final = 240
"""Milliseconds after its beginning in which a slot may be used: a busy process wakes some beats late."""
FRAME_LATE_MS: Final = 160
"""Milliseconds after its decision in which a message may wait for its frame without taking another slot."""


class Pace(msgspec.Struct, frozen=True):
    """The slots of one number in one shard."""

    per_s: int
    """Messages a second over all shards, at least 1."""
    shard: int
    shards: int

    @property
    def quantum(self) -> int:
        """Messages a slot holds."""
        return min(MAX_QUANTUM, max(1, self.per_s // SLOTS_PER_S))

    def slot_ms(self, now_ms: int) -> int:
        """Return when the newest slot of this shard began, milliseconds: at ``now_ms`` or before."""
        return self._begins_ms(self._number(now_ms))

    def usable(self, now_ms: int) -> list[int]:
        """Return the beginnings of this shard's slots that may be used at ``now_ms``, milliseconds, the oldest first."""
        # Backwards from the newest: of those in force, the oldest is not known before it is looked at.
        number, found = self._number(now_ms), list[int]()
        while (begins_ms := self._begins_ms(number)) >= now_ms - LATE_MS:
            found.append(begins_ms)
            number -= self.shards
        return found[::-1]

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
        # Rounded up, so that no shard believes in a slot before it began.
        return -(-number * 1000 * self.quantum // self.per_s)


class Slots:
    """Remembers the newest slot that an owner used of each number, and how many messages it holds.

    Slots are used in their order: what uses several at once is counted into the newest, and the others are over. Those that
    began until ``since_ms`` belong to the owners before.
    """

    __slots__ = ("_since_ms", "_used")

    def __init__(self, since_ms: int) -> None:
        self._since_ms = since_ms
        self._used: dict[str, tuple[int, int]] = {}

    def spend(self, sender: str, slot_ms: int, count: int) -> None:
        """Count ``count`` messages of ``sender`` into the slot that began at ``slot_ms``, which is none before the newest."""
        held_ms, used = self._used.get(sender, (0, 0))
        self._used[sender] = slot_ms, count + (used if slot_ms == held_ms else 0)

    def left(self, sender: str, pace: Pace, now_ms: int) -> int:
        """Return how many messages of a number its slots still hold at ``now_ms``."""
        held_ms, used = self._used.get(sender, (0, 0))
        usable = [slot_ms for slot_ms in pace.usable(now_ms) if slot_ms > self._since_ms and slot_ms >= held_ms]
        return sum(max(0, pace.quantum - used) if slot_ms == held_ms else pace.quantum for slot_ms in usable)
