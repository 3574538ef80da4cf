"""Which (request, recipient) the gateway has accepted: what makes a message visible once, however often it is sent.

A name is remembered from its request's first acceptance for ``Windows.gateway_names_ms`` of its lane: a message's whole life
and the longest outage after which it may be sent again (PROTOCOL.md section 1.4). Most requests address a few people:
their ids are one byte string. Campaigns get an :class:`~streams.simulator.id_set.IdTable`.
"""

from collections.abc import Sequence
from itertools import islice
from typing import Final

import msgspec
import numpy as np

from streams.simulator.id_set import ID_BYTES, IdTable

_FEW_BYTES: Final = 32 * ID_BYTES
"""Up to here a scan of the string is quicker and smaller than a table."""


class _Accepted(msgspec.Struct):
    since_ms: int
    """When the first of them was accepted, milliseconds since the epoch."""
    ids: bytes | IdTable


class Names:
    """The accepted names of one lane."""

    def __init__(self, keep_ms: int) -> None:
        self._keep_ms = keep_ms
        self._requests: dict[bytes, _Accepted] = {}

    def __len__(self) -> int:
        return sum(_count(accepted.ids) for accepted in self._requests.values())

    def known(self, request: bytes, column: bytes) -> Sequence[int]:
        """Positions in ``column`` (16 bytes each) of ids that ``request`` was accepted for, ascending."""
        accepted = self._requests.get(request)
        if accepted is None:
            return ()
        if isinstance(accepted.ids, IdTable):
            return np.flatnonzero(accepted.ids.held(column)).tolist()
        held = _cells(accepted.ids)
        return [position for position, cell in enumerate(_list(column)) if cell in held]

    def claim(self, request: bytes, column: bytes, at_ms: int) -> Sequence[int]:
        """Remember ``column`` as accepted; the positions that were there already, or earlier in the column itself."""
        accepted = self._requests.get(request)
        if accepted is None:
            accepted = self._requests[request] = _Accepted(at_ms, b"")
        if isinstance(accepted.ids, bytes) and len(accepted.ids) + len(column) > _FEW_BYTES:
            table = IdTable()
            table.add(accepted.ids)
            accepted.ids = table
        if isinstance(accepted.ids, IdTable):
            return np.flatnonzero(~accepted.ids.add(column)).tolist()
        return _claim_few(accepted, column)

    def expire(self, now_ms: int) -> int:
        """Forget the requests whose time is over; returns how many. Cheap: they lie in order of first acceptance."""
        over = 0
        for accepted in self._requests.values():
            if accepted.since_ms + self._keep_ms >= now_ms:
                break
            over += 1
        for request in tuple(islice(self._requests, over)):
            del self._requests[request]
        return over


def _claim_few(accepted: _Accepted, column: bytes) -> list[int]:
    assert isinstance(accepted.ids, bytes)
    held = _cells(accepted.ids)
    repeated, fresh = [], []
    for position, cell in enumerate(_list(column)):
        if cell in held:
            repeated.append(position)
        else:
            held.add(cell)
            fresh.append(cell)
    accepted.ids += b"".join(fresh)
    return repeated


def _list(column: bytes) -> list[bytes]:
    return [column[at : at + ID_BYTES] for at in range(0, len(column), ID_BYTES)]


def _cells(column: bytes) -> set[bytes]:
    return set(_list(column))


def _count(ids: bytes | IdTable) -> int:
    return ids.count if isinstance(ids, IdTable) else len(ids) // ID_BYTES
