"""Makes runs of repeated values, long ones by numpy, as ``ranks.py`` makes intervals; ``columns.py`` reads both without it.

Small inputs take a plain Python path because numpy costs microseconds a call.
"""

import struct

import numpy as np
import numpy.typing as npt

_RUN = struct.Struct(">BI")
_SMALL = 32

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
    return b"".join(map(_RUN.pack, column[starts].tolist(), lengths.tolist()))


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
