"""Holds what is known about each rank of one request in one shard, as two bytes that only ever grow.

Theory. Deliver's journal says where a message stands, receipts say what the gateway saw. Both are repeated, reordered and
written by owners that are no owners any more; so both are kept as elements of a lattice, and news is *joined* into them:
the order and the number of repetitions change nothing (PROTOCOL.md section 1.6).

========  ============================================================================================================
``said``  bits 0 to 5: the greatest status byte of the journal (pending < send < waiting < accepted < in doubt < reasons);
          bit 7: *handed*, decided to be sent under some attempt. Evidence about a rank never handed counts for nothing.
``heard`` bits 0 and 1: progress (sent < delivered < read); bit 2: failed, latched beside it; bit 3: charged, bit 4:
          contradiction counted (failed and delivered). The last two are marks of settle's own.
========  ============================================================================================================

A lattice has no order, so it sees no moves (``broker/lifecycle.py``) and takes the greater of any two statuses, whatever a defect
may have written; what is no status at all changes nothing.

A join with one value is a table of 256 bytes: ``bytes.translate`` for few intervals, numpy's indexing for many.
"""

import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from schemas.facts import ReceiptStatus
from schemas.reasons import MESSAGE_REASONS, State
from schemas.wire.arrays import Bytes8, array_of
from schemas.wire.columns import pairs, ranks_of, values_of

HANDED: Final = 0x80
STATUS: Final = 0x3F
PROGRESS: Final = 0x03
FAILED: Final = 0x04
CHARGED: Final = 0x08
CONTRADICTED: Final = 0x10

FEW: Final = 32
"""Up to so many cells or intervals plain Python is quicker than numpy, which costs microseconds a call."""

_STATUSES: Final = frozenset({*State, *MESSAGE_REASONS})
_PAIR: Final = struct.Struct(">II")
RankSet = list[int] | npt.NDArray[np.uint32]
"""Ascending ranks: a list of few, an array of many."""


def _said_joined_with(status: int) -> bytes:
    # That a message was once handed off is latched beside its status: it may be waiting again when the receipt of the
    # first attempt comes, and only what was handed off is ever billed.
    handed = HANDED if status == State.SENDING else 0
    if status not in _STATUSES:
        return bytes(range(256))
    return bytes((cell & ~STATUS) | handed | max(cell & STATUS, status) for cell in range(256))


def _heard_joined_with(status: ReceiptStatus) -> bytes:
    if status is ReceiptStatus.FAILED:
        # A latch beside progress: failed and delivered may both be reported, in any order, and both must be seen.
        return bytes(cell | FAILED for cell in range(256))
    # The maximum is the join: receipts repeated or out of order change nothing.
    return bytes((cell & ~PROGRESS) | max(cell & PROGRESS, status) for cell in range(256))


_SAID: Final = tuple(_said_joined_with(status) for status in range(256))
_SAID_GRID: Final = np.frombuffer(b"".join(_SAID), dtype=np.uint8).reshape(-1, 256)
_HEARD: Final = {status: _heard_joined_with(status) for status in ReceiptStatus}


def bounds_of(intervals: bytes) -> tuple[int, int]:
    """The lowest rank of packed intervals, and one more than the highest; (0, 0) if there is none."""
    if len(intervals) == _PAIR.size:
        first, count = _PAIR.unpack(intervals)
        return first, first + count
    if len(intervals) <= FEW * _PAIR.size:
        ends = [(first, first + count) for first, count in pairs(intervals)]
        return min((first for first, _ in ends), default=0), max((end for _, end in ends), default=0)
    columns = np.frombuffer(intervals, dtype=">u4").astype(np.int64).reshape(-1, 2)
    return int(columns[:, 0].min()), int(columns.sum(axis=1).max())


def clipped(intervals: bytes, count: int) -> bytes:
    """The part of packed intervals that lies below ``count``."""
    kept = [(first, min(length, count - first)) for first, length in pairs(intervals) if first < count]
    return np.array(kept, dtype=">u4").tobytes() if kept else b""


def roaring(ranks: RankSet) -> bytes:
    """Ranks as a serialised bitmap. From an ``array`` it is made ten times as quickly as from a list or numpy."""
    packed = array("I", ranks) if isinstance(ranks, list) else array("I", ranks.tobytes())
    serialised: bytes = BitMap(packed).serialize()
    return serialised


_SPAN: Final = 1 << 21
"""Ranks from the first to the last of one bitmap: 256 kB at the most, however they lie."""


def pieces(ranks: RankSet) -> Iterator[RankSet]:
    """Yields ascending ranks in pieces of which each fits a record as a bitmap."""
    if ranks[-1] - ranks[0] < _SPAN:
        yield ranks
        return
    low, many = 0, np.asarray(ranks, dtype=np.int64)
    while low < len(ranks):
        high = int(np.searchsorted(many, many[low] + _SPAN))
        yield ranks[low:high]
        low = high


def cells_of(column: bytearray) -> Bytes8:
    """A column for numpy, without a copy; writable."""
    return np.frombuffer(column, dtype=np.uint8)


class Ranks(msgspec.Struct, array_like=True, gc=False):
    """Two bytes a rank, and their market. ``touched`` is the range that changed since it was last reset."""

    count: int
    said: bytearray
    heard: bytearray
    touched: tuple[int, int]
    market: int = 0
    """The country calling code of all ranks, while one is enough."""
    markets: bytearray | None = None
    """Of each rank, as native u16."""

    @classmethod
    def of(cls, count: int) -> "Ranks":
        """So many ranks of which nothing is known."""
        return cls(count, bytearray(count), bytearray(count), (count, 0))

    # -- joins

    def decided(self, intervals: bytes, statuses: bytes, markets: bytes, market: int) -> None:
        """Join decisions: runs of status bytes, and the markets of those to be sent (``Decided`` says how)."""
        self._touch(intervals)
        each = values_of(statuses)
        self._say(intervals, each)
        # One number for all ranks until somebody differs: a column would cost two bytes a rank.
        if not markets and (not market or (self.markets is None and self.market in {0, market})):
            self.market = self.market or market
            return
        sent = array_of(intervals)[np.frombuffer(each, dtype=np.uint8) == State.SENDING]
        self._each_market()[sent] = np.frombuffer(markets, dtype=">u2") if markets else market

    def answered(self, intervals: bytes, except_ranks: Sequence[int], except_statuses: bytes) -> None:
        """Join the gateway's answers: all accepted but the exceptions."""
        self._touch(intervals)
        if not except_ranks:
            _join_alike(self.said, _SAID[State.ACCEPTED], intervals)
            return
        places = array_of(intervals)
        each = np.full(len(places), State.ACCEPTED, dtype=np.uint8)
        each[np.searchsorted(places, except_ranks)] = np.frombuffer(except_statuses, dtype=np.uint8)
        self._say(intervals, each.tobytes())

    def restated(self, statuses: bytes, attempts: bytes, markets: bytes) -> None:
        """Join a restatement: runs over all ranks, and packed u16 markets over all ranks or none."""
        whole = np.array([(0, self.count)], dtype=">u4").tobytes()
        self._touch(whole)
        self._say(whole, values_of(statuses))
        # A fold that begins behind the decision learns here alone that it was handed off, without which no receipt counts.
        handed = np.frombuffer(values_of(attempts), dtype=np.uint8) > 0
        cells_of(self.said)[handed] |= HANDED
        if markets:
            told = np.frombuffer(markets, dtype=">u2")
            known = handed & (told > 0)
            self._each_market()[known] = told[known]

    def received(self, intervals: bytes, status: ReceiptStatus) -> None:
        """Join one receipt about some ranks, all below ``count``."""
        self._touch(intervals)
        _join_alike(self.heard, _HEARD[status], intervals)

    # -- what follows

    def by_market(self, ranks: RankSet) -> dict[int, RankSet]:
        """Ranks by country calling code; not for none at all."""
        if self.markets is None:
            return {self.market: ranks}
        places = np.asarray(ranks, dtype=np.uint32)
        theirs = self._each_market()[places]
        return {int(market): places[theirs == market] for market in np.unique(theirs)}

    def take_billable(self) -> RankSet:
        """Ranks in the touched range that were handed off and delivered and not charged yet; marks them charged."""
        low, high = self.touched
        if high - low <= FEW:
            said, heard = self.said, self.heard
            ranks = [rank for rank in range(low, high) if said[rank] & HANDED and _billable(heard[rank])]
            for rank in ranks:
                heard[rank] |= CHARGED
            return ranks
        cells = cells_of(self.heard)[low:high]
        billable = (cells_of(self.said)[low:high] >= HANDED) & ((cells & (CHARGED | 2)) == 2)
        cells[billable] |= CHARGED
        return (np.flatnonzero(billable) + low).astype(np.uint32)

    def take_contradictions(self) -> int:
        """Returns how many ranks of the touched range are failed and delivered, and were not counted yet."""
        low, high = self.touched
        if high - low <= FEW and not any(cell & FAILED for cell in self.heard[low:high]):
            return 0
        cells = cells_of(self.heard)[low:high]
        odd = (cells & (CONTRADICTED | FAILED | 2)) == FAILED | 2
        cells[odd] |= CONTRADICTED
        return int(odd.sum())

    def reset_touched(self) -> None:
        """From here on only later changes are in the touched range."""
        self.touched = (self.count, 0)

    def _touch(self, intervals: bytes) -> None:
        low, high = bounds_of(intervals)
        if high > self.count:
            raise ValueError(f"rank {high - 1} of a request that has {self.count} here")
        self.touched = (min(self.touched[0], low), max(self.touched[1], high))

    def _say(self, intervals: bytes, each: bytes) -> None:
        if not each:
            return
        if each.count(each[0]) == len(each):
            _join_alike(self.said, _SAID[each[0]], intervals)
        elif len(each) <= FEW:
            for rank, status in zip(ranks_of(intervals), each, strict=True):
                self.said[rank] = _SAID[status][self.said[rank]]
        else:
            places, cells = array_of(intervals), cells_of(self.said)
            cells[places] = _SAID_GRID[np.frombuffer(each, dtype=np.uint8), cells[places]]

    def _each_market(self) -> npt.NDArray[np.uint16]:
        if self.markets is None:
            self.markets = bytearray(np.full(self.count, self.market, dtype=np.uint16).tobytes())
        return np.frombuffer(self.markets, dtype=np.uint16)


def _billable(heard: int) -> bool:
    # Bit 1 of progress is set for delivered and for read alike.
    return heard & (CHARGED | 2) == 2


def _join_alike(column: bytearray, table: bytes, intervals: bytes) -> None:
    if len(intervals) <= FEW * _PAIR.size:
        for first, count in pairs(intervals):
            column[first : first + count] = column[first : first + count].translate(table)
        return
    places, cells = array_of(intervals), cells_of(column)
    cells[places] = np.frombuffer(table, dtype=np.uint8)[cells[places]]
