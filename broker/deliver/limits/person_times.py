"""A time for each of many people: a dict of those who are written to a few at a time, a table of those who are by the hundred.

Theory of the table: open addressing (Knuth, vol. 3, 6.4) of which every step is done for a column at once, at a fifth of a
microsecond a person. Steps grow by one, which meets every slot of a power of two and leaves no long tail of searches. Nobody is
taken out: whoever's time is over is left behind when the table is made anew, and it is made anew before it is half full. So it
stays below 150 bytes for each person who matters. Asked about single people it takes three microseconds each, where a dict
takes less than half of one; so people stay in a dict until their sender writes to hundreds at once.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.ids import NAME_BYTES
from schemas.wire.columns import cells

MANY: Final = 512
"""People in a section from which on a table is quicker than a dict."""
FEW: Final = 24
"""People up to whom a table is asked one by one: numpy costs microseconds a call."""
_SWEEP_FLOOR: Final = 4_096
_FIRST_SLOTS: Final = 64
_MIX_HIGH: Final = 0x9E3779B97F4A7C15
_MIX_BOTH: Final = 0xBF58476D1CE4E5B9
_M64: Final = (1 << 64) - 1
_ID: Final = struct.Struct("=QQ")
_OVER: Final = 1
"""The time in a slot that was just given to somebody: over long ago, and not free."""

Times = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]


class FewTimes:
    """Times in milliseconds, above 0, by 16-byte ids. Who has none, or one that is over and forgotten, has 0."""

    __slots__ = ("_sweep_at", "_times")

    def __init__(self) -> None:
        self._times: dict[bytes, int] = {}
        self._sweep_at = _SWEEP_FLOOR

    def __len__(self) -> int:
        """Returns how many people it holds, those whose time is over included."""
        return len(self._times)

    def of(self, column: bytes) -> list[int]:
        """Returns the time of each id of ``column``."""
        times = self._times
        return [times.get(person, 0) for person in cells(column, NAME_BYTES)]

    def strangers(self, people: Sequence[bytes]) -> bool:
        """Returns True if nobody of ``people`` has a time, and nobody stands there twice."""
        return self._times.keys().isdisjoint(people) and len(set(people)) == len(people)

    def raise_to(self, column: bytes, floor_ms: int, plus_ms: int, *, over_ms: int) -> None:
        """Sets each id's time to the later of it and ``floor_ms``, and ``plus_ms`` more; who stands there twice gets it twice.

        Times up to ``over_ms`` may be forgotten.
        """
        times, people = self._times, cells(column, NAME_BYTES)
        once = dict.fromkeys(people, floor_ms + plus_ms)
        if len(once) == len(people) and times.keys().isdisjoint(once):
            times.update(once)
        else:
            for person in people:
                times[person] = max(times.get(person, 0), floor_ms) + plus_ms
        self._sweep(over_ms)

    def raise_each(self, column: bytes, times_ms: Sequence[int], *, over_ms: int) -> None:
        """Sets each id's time to the later of it and its own of ``times_ms``."""
        times = self._times
        for person, time_ms in zip(cells(column, NAME_BYTES), times_ms, strict=True):
            times[person] = max(times.get(person, 0), time_ms)
        self._sweep(over_ms)

    def after(self, over_ms: int) -> Iterator[tuple[bytes, int]]:
        """Yields ids and times later than ``over_ms``."""
        return ((person, time_ms) for person, time_ms in self._times.items() if time_ms > over_ms)

    def _sweep(self, over_ms: int) -> None:
        """Forget whose time is over; again when there are twice as many as are left now."""
        if len(self._times) >= self._sweep_at:
            self._times = dict(self.after(over_ms))
            self._sweep_at = max(_SWEEP_FLOOR, 2 * len(self._times))


class ManyTimes:
    """The same as a table. ``latest_ms``: no time in it is later."""

    __slots__ = ("_count", "_high", "_low", "_times", "latest_ms")

    def __init__(self, few: Iterable[tuple[bytes, int]] = ()) -> None:
        self.latest_ms = 0
        self._make(_FIRST_SLOTS)
        people = dict(few)
        self.raise_each(b"".join(people), tuple(people.values()), over_ms=0)

    def __len__(self) -> int:
        """Returns how many people it holds, those whose time is over included."""
        return self._count

    def of(self, column: bytes) -> list[int]:
        """Returns the time of each id of ``column``."""
        if len(column) <= FEW * NAME_BYTES:
            table = self._cells()
            return [table.times[table.slot(*words)] for words in _ID.iter_unpack(column)]
        listed: list[int] = self.column(column).tolist()
        return listed

    def column(self, column: bytes) -> Times:
        """Returns the same of many as an array."""
        return self._times[self._slots(*_words(column), claim=False)]

    def raise_to(self, column: bytes, floor_ms: int, plus_ms: int, *, over_ms: int) -> None:
        """Does what :meth:`FewTimes.raise_to` says."""
        if len(column) > FEW * NAME_BYTES and distinct(column):
            self._make_room(len(column) // NAME_BYTES, over_ms)
            slots = self._slots(*_words(column), claim=True)
            raised = np.maximum(self._times[slots], floor_ms) + plus_ms
            self._times[slots] = raised
            self.latest_ms = max(self.latest_ms, int(raised.max()))
            return
        for words in _ID.iter_unpack(column):
            self._raise(words, floor_ms, plus_ms, over_ms)

    def raise_each(self, column: bytes, times_ms: Sequence[int], *, over_ms: int) -> None:
        """Does what :meth:`FewTimes.raise_each` says."""
        for words, time_ms in zip(_ID.iter_unpack(column), times_ms, strict=True):
            self._raise(words, time_ms, 0, over_ms)

    def _raise(self, words: tuple[int, ...], floor_ms: int, plus_ms: int, over_ms: int) -> None:
        self._make_room(1, over_ms)
        table = self._cells()
        slot = table.slot(*words)
        time_ms = max(table.times[slot], floor_ms) + plus_ms
        self._count += table.put(slot, words, time_ms)
        self.latest_ms = max(self.latest_ms, time_ms)

    def after(self, over_ms: int) -> Iterator[tuple[bytes, int]]:
        """Does what :meth:`FewTimes.after` says."""
        live = (self._times > over_ms).nonzero()[0]
        columns = (self._high[live].tolist(), self._low[live].tolist(), self._times[live].tolist())
        for high, low, time_ms in zip(*columns, strict=True):
            yield _ID.pack(high, low), time_ms

    def _make(self, slots: int) -> None:
        self._high = np.zeros(slots, np.uint64)
        self._low = np.zeros(slots, np.uint64)
        self._times: Times = np.zeros(slots, np.int64)
        self._count = 0

    def _make_room(self, more: int, over_ms: int) -> None:
        """Make the table anew, without whom ``over_ms`` lets go, if ``more`` people would fill more than half of it."""
        if 2 * (self._count + more) <= len(self._times):
            return
        live = (self._times > over_ms).nonzero()[0]
        high, low, times = self._high[live], self._low[live], self._times[live]
        self._make(max(_FIRST_SLOTS, 1 << (3 * (len(live) + more)).bit_length()))
        self._times[self._slots(high, low, claim=True)] = times

    def _slots(self, high: _Words, low: _Words, *, claim: bool) -> npt.NDArray[np.int64]:
        """Return the slot of each id, or the free one where its search ended; with ``claim`` the free one becomes its own."""
        last = len(self._times) - 1
        slots = (_mixed_column(high, low) & np.uint64(last)).astype(np.int64)
        asking, at, step = np.arange(len(slots)), slots.copy(), 0
        while asking.size:
            free = self._times[at] == 0
            if claim:
                # Of several who want one slot the one that is written last has it; the others find it taken.
                mine, wanted = asking[free], at[free]
                self._high[wanted], self._low[wanted], self._times[wanted] = high[mine], low[mine], _OVER
            there = (self._high[at] == high[asking]) & (self._low[at] == low[asking])
            if claim:
                self._count += int(np.count_nonzero(there & free))
            else:
                there |= free
            slots[asking[there]] = at[there]
            other, step = (~there).nonzero()[0], step + 1
            asking, at = asking[other], (at[other] + step) & last
        return slots

    def _cells(self) -> "_Cells":
        return _Cells(self._high.data, self._low.data, self._times.data)


class _Cells(NamedTuple):
    """The table for one person at a time: plain integers, until it is made anew."""

    highs: "memoryview[int]"
    lows: "memoryview[int]"
    times: "memoryview[int]"

    def slot(self, high: int, low: int) -> int:
        """Returns the slot of an id, or the free one where its search ended."""
        highs, lows, times = self
        last = len(times) - 1
        slot, step = _mixed(high, low) & last, 0
        while times[slot] and (lows[slot] != low or highs[slot] != high):
            step += 1
            slot = (slot + step) & last
        return slot

    def put(self, slot: int, words: tuple[int, ...], time_ms: int) -> bool:
        """Sets the time of an id at its slot; returns True if it is new."""
        fresh = not self.times[slot]
        self.highs[slot], self.lows[slot], self.times[slot] = *words, time_ms
        return fresh


def distinct(column: bytes) -> bool:
    """Returns True if surely nobody stands in ``column`` twice; half of an id is looked at."""
    low = np.sort(_words(column)[1])
    return not (low[1:] == low[:-1]).any()


def _mixed(high: int, low: int) -> int:
    """Return the bits that say where to look first (after splitmix64, Steele et al. 2014); ids of tests are not uniform."""
    word = low ^ (high * _MIX_HIGH & _M64)
    word = (word ^ (word >> 32)) * _MIX_BOTH & _M64
    return word ^ (word >> 29)


def _mixed_column(high: _Words, low: _Words) -> _Words:
    word = low ^ (high * np.uint64(_MIX_HIGH))
    word = (word ^ (word >> np.uint64(32))) * np.uint64(_MIX_BOTH)
    mixed: _Words = word ^ (word >> np.uint64(29))
    return mixed


def _words(column: bytes) -> tuple[_Words, _Words]:
    both = np.frombuffer(column, np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(both[:, 0]), np.ascontiguousarray(both[:, 1])
