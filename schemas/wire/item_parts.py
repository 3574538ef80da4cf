"""Cuts a restated item that is larger than a record into parts, by rank, and puts parts together again.

Columns over all ranks are cut and joined as they are: runs behind runs are runs, and of the ordinals of a part's ranks the union
is all of them. So the size of a record follows from how many ranks it holds, and not from how many the item has.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
from pyroaring import BitMap

from schemas.delivery_journal import ItemPart, Members, OpenItem, Restated
from schemas.reasons import State
from schemas.wire.arrays import many_values_of, runs_of

_T = TypeVar("_T")
_Key = TypeVar("_Key", bound=Hashable)
_P = TypeVar("_P", bound="Part")

_MOST_RANKS = 1 << 18
"""Ranks that a part is tried with first; halved until it fits."""
_DUE_BYTES, _MARKET_BYTES = 8, 2


def parts_of(entry: OpenItem, limit_bytes: int) -> Iterator[ItemPart]:
    """Yields an item with frozen members as parts whose columns have at most ``limit_bytes`` each; a rank needs 30 at most."""
    members = entry.members
    assert members is not None, "only lists are larger than a record"
    ordinals = np.asarray(BitMap.deserialize(members.ordinals).to_array(), dtype=np.uint32)
    statuses, attempts = many_values_of(entry.statuses), many_values_of(entry.attempts)
    waiting = np.flatnonzero(np.frombuffer(statuses, dtype=np.uint8) == State.WAITING)
    first, count = 0, _MOST_RANKS
    while first < members.count:
        count = min(2 * count, _MOST_RANKS, members.count - first)
        while True:
            last = first + count
            dues = np.searchsorted(waiting, (first, last)) * _DUE_BYTES
            part = ItemPart(
                opened=entry.opened,
                first=first,
                of=members.count,
                ordinals=BitMap(ordinals[first:last]).serialize(),
                audience_upto=members.audience_upto,
                suppressed_upto=members.suppressed_upto,
                statuses=runs_of(statuses[first:last]),
                attempts=runs_of(attempts[first:last]),
                dues=entry.dues[dues[0] : dues[1]],
                markets=entry.markets[first * _MARKET_BYTES : last * _MARKET_BYTES],
                held=entry.held,
            )
            if count == 1 or _bytes_of(part) <= limit_bytes:
                break
            count //= 2
        yield part
        first += count


def _bytes_of(part: ItemPart) -> int:
    return sum(map(len, (part.ordinals, part.statuses, part.attempts, part.dues, part.markets)))


class Part(Protocol):
    """Holds some ranks of an item, as :class:`~schemas.delivery_journal.ItemPart` does."""

    @property
    def first(self) -> int:
        """Returns the rank that it begins with."""

    @property
    def of(self) -> int:
        """Returns how many ranks the item has."""

    @property
    def ordinals(self) -> bytes:
        """Returns its people, a Roaring bitmap."""


class InOrder(Generic[_Key, _P]):
    """Collects parts, of any number of items at a time. A first part begins anew; what does not follow is left out.

    The owner that died in the middle of an item leaves parts that nobody completes: the next one says it again from the first.
    """

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun: dict[_Key, tuple[list[_P], int]] = {}
        """Parts of an item in their order, and the rank that the next one has to begin with."""

    def add(self, item: _Key, part: _P) -> list[_P] | None:
        """Takes the next part of ``item`` in the order of the log; returns all of them with the last one."""
        parts, end = self._begun.pop(item, ([], 0)) if part.first else ([], 0)
        if part.first != end:
            return None
        parts.append(part)
        end += len(BitMap.deserialize(part.ordinals))
        self._begun[item] = parts, end
        if end < part.of:
            return None
        del self._begun[item]
        return parts


class Parts:
    """Puts parts together to the items that they are, of any number of items at a time."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts = InOrder[bytes, ItemPart]()

    def said(self, body: _T | ItemPart) -> _T | Restated | None:
        """Returns what a record says: its body, or of the last part of an item the restatement that all of them are."""
        if not isinstance(body, ItemPart):
            return body
        whole = self.add(body)
        return None if whole is None else Restated((whole,))

    def add(self, part: ItemPart) -> OpenItem | None:
        """Takes the next part in the order of the log; returns the item if it is the last one of it."""
        parts = self._parts.add(part.opened.item.request, part)
        return None if parts is None else _whole(parts)


def ordinals_of(parts: Sequence[Part]) -> bytes:
    """Returns the people of all parts, as ``Members`` has them."""
    return BitMap.union(*(BitMap.deserialize(part.ordinals) for part in parts)).serialize()


def joined(parts: Sequence[Part], column: str) -> bytes:
    """Returns a column over the ranks of all parts."""
    return b"".join(getattr(part, column) for part in parts)


def _whole(parts: Sequence[ItemPart]) -> OpenItem:
    last = parts[-1]
    return OpenItem(
        opened=last.opened,
        members=Members(
            last.opened.item.request, last.of, ordinals_of(parts), last.audience_upto, last.suppressed_upto
        ),
        statuses=joined(parts, "statuses"),
        attempts=joined(parts, "attempts"),
        dues=joined(parts, "dues"),
        markets=joined(parts, "markets"),
        held=last.held,
    )
