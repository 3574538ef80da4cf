"""Columns: many small values of one kind in few bytes.

Ranks travel as *intervals* (packed u32 pairs: first, count), repeated values as *runs* (packed u8 value, u32 count),
fixed-width names as one byte string. Runs and intervals are made in ``arrays.py``,
with numpy, which producers need not install; both are read here.
"""

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache

_PAIR = struct.Struct(">II")
_RUN = struct.Struct(">BI")
_MANY = 64
"""Cells from which on a column is cut as a whole."""


def interval(first: int, count: int) -> bytes:
    """The ranks ``first`` to ``first + count - 1`` as one packed interval; nothing for a count of 0."""
    return _PAIR.pack(first, count) if count else b""


def pairs(intervals: bytes) -> Iterator[tuple[int, int]]:
    """The (first, count) pairs of packed intervals."""
    return _PAIR.iter_unpack(intervals)


def ranks_of(intervals: bytes) -> list[int]:
    """All ranks of packed intervals, ascending."""
    if len(intervals) == _PAIR.size:
        first, count = _PAIR.unpack(intervals)
        return list(range(first, first + count))
    return [rank for first, count in pairs(intervals) for rank in range(first, first + count)]


def count_of(intervals: bytes) -> int:
    """Returns how many ranks packed intervals hold."""
    return sum(count for _, count in pairs(intervals))


def values_of(runs: bytes) -> bytes:
    """The inverse of :func:`runs_of`."""
    return b"".join(bytes((value,)) * count for value, count in _RUN.iter_unpack(runs))


def counts_of(runs: bytes) -> Iterator[tuple[int, int]]:
    """The (value, count) pairs of packed runs; a value comes once for each of its runs."""
    return _RUN.iter_unpack(runs)


def i64s(values: Iterable[int]) -> bytes:
    """Integers as packed big-endian i64."""
    listed = list(values)
    return struct.pack(f">{len(listed)}q", *listed)


def of_i64s(packed: bytes) -> tuple[int, ...]:
    """The inverse of :func:`i64s`."""
    return struct.unpack(f">{len(packed) // 8}q", packed)


def u32s(values: Iterable[int]) -> bytes:
    """Integers as packed big-endian u32."""
    listed = list(values)
    return struct.pack(f">{len(listed)}I", *listed)


def of_u32s(packed: bytes) -> tuple[int, ...]:
    """The inverse of :func:`u32s`."""
    return struct.unpack(f">{len(packed) // 4}I", packed)


def u16s(values: Iterable[int]) -> bytes:
    """Integers as packed big-endian u16."""
    listed = list(values)
    return struct.pack(f">{len(listed)}H", *listed)


def of_u16s(packed: bytes) -> tuple[int, ...]:
    """The inverse of :func:`u16s`."""
    return struct.unpack(f">{len(packed) // 2}H", packed)


def cells(column: bytes, width: int) -> list[bytes]:
    """A fixed-width column cut into its cells."""
    count, rest = divmod(len(column), width)
    if count < _MANY or rest:
        return [column[i : i + width] for i in range(0, len(column), width)]
    return list(_cutter(count, width).unpack(column))


@lru_cache(maxsize=256)
def _cutter(count: int, width: int) -> struct.Struct:
    """Cuts a long column three times as fast as slices do."""
    return struct.Struct(f"{width}s" * count)
