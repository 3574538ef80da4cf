"""When each open item gets its next decision: now and in turn, at a time, or as soon as its audience has been read."""

import heapq
from collections.abc import Iterator

from broker.deliver.fairness import Rotation
from broker.deliver.item import Item


class Agenda:
    """The items of a shard by what they wait for. Holds no truth: it is made anew from the folded state."""

    __slots__ = ("_due", "_rotation", "_unread")

    def __init__(self) -> None:
        self._rotation = Rotation()
        self._due: list[tuple[int, bytes]] = []
        self._unread: list[Item] = []

    def schedule(self, item: Item, now_ms: int) -> None:
        """Put an item where its next decision will be made."""
        if item.pending or not item.frozen:
            start_ms = item.opened.item.start_ms
            if start_ms > now_ms:
                heapq.heappush(self._due, (min(start_ms, item.terms.expires_ms), item.request))
            else:
                self._rotation.add(item)
        if item.dues:
            heapq.heappush(self._due, (min(item.terms.expires_ms, *item.dues.values()), item.request))

    def postpone(self, item: Item) -> None:
        """An item whose audience has not been read to its time yet; asked again at the next step."""
        self._unread.append(item)

    def wake(self, items: dict[bytes, Item], now_ms: int) -> None:
        """What has fallen due takes its turn."""
        waiting, self._unread = self._unread, []
        for item in waiting:
            self._rotation.add(item)
        while self._due and self._due[0][0] <= now_ms:
            due = items.get(heapq.heappop(self._due)[1])
            if due is not None:
                self._rotation.add(due)

    def first(self) -> Item | None:
        """The item whose turn is next."""
        return self._rotation.first()

    def turns(self, budget: int, now_ms: int) -> Iterator[tuple[Item, int]]:
        """Items to decide about now, fair among businesses, and how many ranks of each."""
        return self._rotation.turns(budget, now_ms)

    def next_ms(self) -> int | None:
        """When something falls due; 0 if something does already; None if nothing ever will."""
        if self._rotation or self._unread:
            return 0
        return self._due[0][0] if self._due else None
