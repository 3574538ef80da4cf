"""Fair among businesses: deficit round robin over those with something due (PROTOCOL.md section 3).

First come, first served inside a business; a quantum of one chunk; a business that sends ten million stands before one that
sends a thousand for one chunk only.
"""

from collections import deque
from collections.abc import Iterator

from broker.deliver.item import Item


class Rotation:
    """The items that have undecided ranks due now, by business, in the order in which businesses take turns."""

    __slots__ = ("_queued", "_queues", "_turns")

    def __init__(self) -> None:
        self._queues: dict[str, deque[Item]] = {}
        self._turns: deque[str] = deque()
        self._queued: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self._turns)

    def add(self, item: Item) -> None:
        """An item has something to be decided now. Adding it twice is adding it once."""
        if item.request in self._queued:
            return
        self._queued.add(item.request)
        business = item.terms.business
        queue = self._queues.get(business)
        if queue is None:
            queue = self._queues[business] = deque()
            self._turns.append(business)
        queue.append(item)

    def first(self) -> Item | None:
        """The item whose turn is next."""
        return self._queues[self._turns[0]][0] if self._turns else None

    def turns(self, budget: int, now_ms: int) -> Iterator[tuple[Item, int]]:
        """Items to work on and how many ranks of each, at most ``budget`` in all; the caller decides them.

        An item that wants more keeps its place in its business, and the business goes to the end of the turns. An item whose
        members are not frozen yet counts one.
        """
        while budget > 0 and self._turns:
            item = self._queues[self._turns[0]][0]
            wanted = max(1, item.wanted(now_ms))
            take = min(budget, wanted)
            budget -= take
            self._turn_over(item, exhausted=take == wanted, last=budget == 0)
            yield item, take

    def _turn_over(self, item: Item, *, exhausted: bool, last: bool) -> None:
        business = self._turns[0]
        queue = self._queues[business]
        if exhausted:
            queue.popleft()
            self._queued.discard(item.request)
        if not queue:
            del self._queues[business]
            self._turns.popleft()
        elif last:
            self._turns.rotate(-1)
