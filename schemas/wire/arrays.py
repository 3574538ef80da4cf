"""Makes the columns that are worth numpy: ranks, and runs of repeated values. ``columns.py`` reads both without it.

In memory ranks are packed intervals, whatever the record held: a column that Roaring's portable bytes make shorter is written as
MessagePack's extension type 1 (record format 2), and comes back as the very same intervals. Receipts of real people are
scattered; so are second attempts. What is short already, or runs on, stays as it is, and so does its record: that is format 1.
"""

import struct
from array import array
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.msgpack import Ext
from pyroaring import BitMap

from schemas.delivery_journal import Outcome
from schemas.facts import Receipts
from schemas.wire.columns import count_of

_PAIR: Final = struct.Struct(">II")
_SMALL: Final = 32
"""Up to so many ranks plain Python is quicker than numpy, which costs microseconds a call."""
ROARING: Final = 1
"""The number of the extension type. It is for ever."""
_LEAST_BYTES: Final = 64 * 8
"""Sixty-four intervals: of fewer a bitmap saves less than its making and reading cost, some 80 us together."""
_MOST: Final = 1 << 20
"""Ranks: intervals can name four thousand million in eight bytes, and nobody unpacks that many."""


class _Ranked(Protocol):
    @property
    def ranks(self) -> bytes: ...


_T = TypeVar("_T")
_R = TypeVar("_R", bound=_Ranked)


def intervals_of(ranks: Sequence[int]) -> bytes:
    """Ascending ``ranks`` as packed intervals."""
    if len(ranks) > 1 and ranks[-1] - ranks[0] == len(ranks) - 1:
        return _PAIR.pack(ranks[0], len(ranks))
    if len(ranks) > _SMALL:
        return _many_intervals(np.asarray(ranks))
    out = bytearray()
    start = prev = -2
    for rank in ranks:
        if rank == prev + 1 and start >= 0:
            prev = rank
            continue
        if start >= 0:
            out += _PAIR.pack(start, prev - start + 1)
        start = prev = rank
    if start >= 0:
        out += _PAIR.pack(start, prev - start + 1)
    return bytes(out)


def _many_intervals(ranks: npt.NDArray[np.integer]) -> bytes:
    # In numpy's plainest words: diff, append and concatenate would cost three times as much.
    gaps = (ranks[1:] - ranks[:-1] != 1).nonzero()[0]
    bounds = np.empty(len(gaps) + 2, dtype=np.int64)
    bounds[0], bounds[1:-1], bounds[-1] = 0, gaps + 1, len(ranks)
    out = np.empty((len(gaps) + 1, 2), dtype=">u4")
    out[:, 0] = ranks[bounds[:-1]]
    out[:, 1] = bounds[1:] - bounds[:-1]
    return out.tobytes()


def array_of(intervals: bytes) -> npt.NDArray[np.int64]:
    """Returns all ranks of packed intervals, in their order."""
    columns = np.frombuffer(intervals, dtype=">u4").astype(np.int64).reshape(-1, 2)
    firsts, counts = columns[:, 0], columns[:, 1]
    return np.repeat(firsts - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))


_RUNS: Final = np.dtype([("value", "u1"), ("count", ">u4")])


def many_values_of(runs: bytes) -> bytes:
    """Returns the values of packed runs as ``columns.values_of`` does, a hundred times as fast where there are many."""
    columns = np.frombuffer(runs, dtype=_RUNS)
    return np.repeat(columns["value"], columns["count"].astype(np.int64)).tobytes()


def shortened(body: _T) -> _T:
    """Returns ``body`` with its columns of ranks as short as they can be; the same object if they are already.

    What is returned is for writing alone: where a column is shorter it is no bytes any more.
    """
    if isinstance(body, Outcome):
        decided, answered = _all(body.decided), _all(body.answered)
        if decided is not body.decided or answered is not body.answered:
            return msgspec.structs.replace(body, decided=decided, answered=answered)
    elif isinstance(body, Receipts):
        runs = _all(body.runs)
        if runs is not body.runs:
            return msgspec.structs.replace(body, runs=runs)
    return body


def widened(code: int, data: memoryview) -> bytes:
    """Returns the intervals of an extension type; raises ``ValueError`` for one that this release does not know."""
    if code != ROARING:
        raise ValueError(f"there is no extension type {code}")
    bitmap = BitMap.deserialize(bytes(data))
    if len(bitmap) > _MOST:
        raise ValueError(f"{len(bitmap)} ranks in one column")
    return intervals_of(bitmap.to_array())


def _all(sections: tuple[_R, ...]) -> tuple[_R, ...]:
    if all(len(section.ranks) < _LEAST_BYTES for section in sections):
        return sections
    columns = [_shorter(section.ranks) for section in sections]
    if not any(isinstance(column, Ext) for column in columns):
        return sections
    return tuple(_with(section, column) for section, column in zip(sections, columns, strict=True))


def _with(section: Any, column: bytes | Ext) -> Any:
    return msgspec.structs.replace(section, ranks=column)


def _shorter(intervals: bytes) -> bytes | Ext:
    """Returns the bitmap if it is shorter and stands for just these intervals, which need not be ascending or apart."""
    if len(intervals) < _LEAST_BYTES or len(intervals) % 8 or count_of(intervals) > _MOST or not _apart(intervals):
        return intervals
    # From an array of u32 a bitmap is made ten times as quickly as from numpy's or a list.
    bitmap = BitMap(array("I", array_of(intervals).astype(np.uint32).tobytes()))
    bitmap.run_optimize()
    packed = bitmap.serialize()
    return Ext(ROARING, packed) if len(packed) < len(intervals) else intervals


def _apart(intervals: bytes) -> bool:
    """Returns whether they ascend, hold at least a rank each, and do not touch: these alone come back as they were."""
    columns = np.frombuffer(intervals, dtype=">u4").astype(np.int64)
    firsts, counts = columns[0::2], columns[1::2]
    return bool(counts.all() and (firsts[1:] > (firsts + counts)[:-1]).all())


_RUN: Final = struct.Struct(">BI")

Bytes8 = npt.NDArray[np.uint8]


def runs_of(values: bytes) -> bytes:
    """A byte per item as packed runs."""
    if not values:
        return b""
    if values.count(values[0]) == len(values):
        return _RUN.pack(values[0], len(values))
    if len(values) <= _SMALL:
        return _small_runs(values)
    column = np.frombuffer(values, dtype=np.uint8)
    edges = np.flatnonzero(np.diff(column)) + 1
    starts = np.concatenate(([0], edges))
    lengths = np.diff(np.concatenate((starts, [len(column)])))
    runs = np.empty(len(starts), dtype=_RUNS)
    runs["value"], runs["count"] = column[starts], lengths
    return runs.tobytes()


def _small_runs(values: bytes) -> bytes:
    out = bytearray()
    value, length = values[0], 0
    for item in values:
        if item == value:
            length += 1
            continue
        out += _RUN.pack(value, length)
        value, length = item, 1
    return bytes(out + _RUN.pack(value, length))
