"""Decides whose turn it is: deficit round robin over businesses, and a fair order among the requests of one paced number.

First come, first served inside a business; a quantum of one chunk; a business that sends ten million stands before one that
sends a thousand for one chunk only (PROTOCOL.md section 3). A number whose slots are scarce gives them to the nearest deadline
(update lane) or to the request that had the fewest (section 5.2).
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator

from broker.deliver.item import Item


class Rotation:
    """The items that have undecided ranks due now and no slot to wait for, by business, in the order of turns."""

    __slots__ = ("_queued", "_queues", "_turns")

    def __init__(self) -> None:
        self._queues: dict[str, deque[Item]] = {}
        self._turns: deque[str] = deque()
        self._queued: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self._turns)

    def add(self, item: Item) -> None:
        """Queue an item that has something to be decided now. Adding it twice is adding it once."""
        if item.request in self._queued:
            return
        self._queued.add(item.request)
        # By business and not by sender or request: who splits a campaign over ten numbers gets no more turns for it.
        business = item.terms.business
        queue = self._queues.get(business)
        if queue is None:
            queue = self._queues[business] = deque()
            self._turns.append(business)
        queue.append(item)

    def first(self) -> Item | None:
        """Return the item whose turn is next."""
        return self._queues[self._turns[0]][0] if self._turns else None

    def drop_first(self) -> None:
        """Take out the item whose turn is next."""
        self._turn_over(self._queues[self._turns[0]][0], exhausted=True, last=False)

    def turns(self, budget: int, now_ms: int, moved: Callable[[Item], bool]) -> Iterator[tuple[Item, int]]:
        """Yield items to work on and how many ranks of each, at most ``budget`` in all; the caller decides them.

        An item that wants more keeps its place in its business, and the business goes to the end of the turns. An item whose
        members are not frozen yet counts one. ``moved`` says of an item that it waits elsewhere now.
        """
        while budget > 0 and self._turns:
            item = self._queues[self._turns[0]][0]
            if moved(item):
                self.drop_first()
                continue
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


class NumberQueue:
    """The requests of one sender number that wait for its slots."""

    __slots__ = ("_by_deadline", "_heap", "_queued", "_serial", "_served", "paced")

    def __init__(self, *, by_deadline: bool) -> None:
        self._by_deadline = by_deadline
        self._heap: list[tuple[int, int, Item]] = []
        """(deadline, or messages given so far; order of arrival; request)."""
        self._queued: set[bytes] = set()
        self._serial = 0
        self._served = 0
        """Messages that the request served last has had: a new request begins there, so it neither starves others nor waits."""
        self.paced = 0
        """Requests here that are paced by themselves. Small ones join them and wait for slots as long as there are any."""

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, item: Item) -> None:
        """Queue a request. Adding it twice is adding it once."""
        if item.request in self._queued:
            return
        self._queued.add(item.request)
        self._serial += 1
        self.paced += item.paced
        rank = item.terms.expires_ms if self._by_deadline else self._served
        heapq.heappush(self._heap, (rank, self._serial, item))

    def first(self) -> Item:
        """Return the request whose turn is next."""
        return self._heap[0][2]

    def serve(self, count: int) -> None:
        """Count ``count`` messages given to the first request, which wants more."""
        rank, serial, item = self._heap[0]
        self._served = rank
        if not self._by_deadline:
            heapq.heapreplace(self._heap, (rank + count, serial, item))

    def pop(self) -> Item:
        """Take the first request out."""
        rank, _, item = heapq.heappop(self._heap)
        self._served = rank
        self._queued.discard(item.request)
        self.paced -= item.paced
        return item
