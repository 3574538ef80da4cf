"""Cuts a restated item that is larger than a record into parts, by rank, and puts parts together again.

Columns over all ranks are cut and joined as they are: runs behind runs are runs, and of the ordinals of a part's ranks the union
is all of them. So the size of a record follows from how many ranks it holds, and not from how many the item has.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from pyroaring import BitMap

from schemas.delivery_journal import ItemPart, Members, OpenItem, Restated
from schemas.reasons import State
from schemas.wire.arrays import many_values_of, runs_of

_T = TypeVar("_T")

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


class Parts:
    """Puts parts together, of any number of items at a time. A first part begins anew; what does not follow is left out.

    The owner that died in the middle of an item leaves parts that nobody completes: the next one says it again from the first.
    """

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun: dict[bytes, list[ItemPart]] = {}

    def said(self, body: _T | ItemPart) -> _T | Restated | None:
        """Returns what a record says: its body, or of the last part of an item the restatement that all of them are."""
        if not isinstance(body, ItemPart):
            return body
        whole = self.add(body)
        return None if whole is None else Restated((whole,))

    def add(self, part: ItemPart) -> OpenItem | None:
        """Takes the next part in the order of the log; returns the item if it is the last one of it."""
        request = part.opened.item.request
        begun = self._begun.setdefault(request, []) if part.first else []
        self._begun[request] = begun
        if _end_of(begun) != part.first:
            del self._begun[request]
            return None
        begun.append(part)
        if _end_of(begun) < part.of:
            return None
        del self._begun[request]
        return _whole(begun)


def _whole(parts: Sequence[ItemPart]) -> OpenItem:
    last = parts[-1]
    ordinals = BitMap.union(*(BitMap.deserialize(part.ordinals) for part in parts))
    return OpenItem(
        opened=last.opened,
        members=Members(
            last.opened.item.request, last.of, ordinals.serialize(), last.audience_upto, last.suppressed_upto
        ),
        statuses=_joined(parts, "statuses"),
        attempts=_joined(parts, "attempts"),
        dues=_joined(parts, "dues"),
        markets=_joined(parts, "markets"),
        held=last.held,
    )


def _joined(parts: Sequence[ItemPart], column: str) -> bytes:
    return b"".join(getattr(part, column) for part in parts)


def _end_of(parts: list[ItemPart]) -> int:
    return parts[-1].first + len(BitMap.deserialize(parts[-1].ordinals)) if parts else 0
