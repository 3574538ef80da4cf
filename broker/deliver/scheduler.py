"""Decides when each open item gets its next decision: now and in turn, at a time, in a slot of its number, or not for now."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from broker.deliver.fairness import NumberQueue, Rotation
from broker.deliver.item import Item
from broker.deliver.limits.slots import Pace
from broker.deliver.suspects import freezing


class Gate(Protocol):
    """Answers what the scheduler has to know of the world beside its items."""

    def left(self, sender: str, pace: Pace) -> int:
        """Return how many messages of a number its slots hold now."""

    def pace(self, item: Item) -> Pace:
        """Return the slots of an item's number."""

    def busy(self, sender: str) -> bool:
        """Return whether messages of a number are decided and wait for a slot to be handed off in."""

    def held(self, item: Item) -> str | None:
        """Return what holds an item back (a name to be given to :meth:`Scheduler.release`); None if nothing does."""

    def over(self, item: Item) -> bool:
        """Return whether the same refusal now holds for all that is left of an item, so that it needs no slot."""


@dataclass(slots=True)
class Turn:
    """An item to decide about. Whoever decides says how many ranks it decided, and how many of them are to be sent."""

    item: Item
    take: int
    """Ranks to decide about at the most."""
    slot_ms: int = 0
    """Beginning of the newest slot that it may use, milliseconds since the epoch; 0: it needs none."""
    sends: int = 0
    """Messages that this slot and those before it still hold."""
    decided: int = 0
    sent: int = 0

    @property
    def work(self) -> bytes:
        """Returns the name of the work on it, by which it may be suspected (``suspects.py``)."""
        return work_on(self.item)


def work_on(item: Item) -> bytes:
    """Returns the name of what is to be done next for an item: who its ranks are, or what becomes of them."""
    return item.request if item.frozen else freezing(item.request)


class Scheduler:
    """The items of a shard by what they wait for. Holds no truth: it is made anew from the folded state."""

    __slots__ = ("_asleep", "_by_deadline", "_due", "_held", "_numbers", "_rotation", "_slots", "_unread")

    def __init__(self, *, by_deadline: bool) -> None:
        self._by_deadline = by_deadline
        self._asleep: set[bytes] = set()
        """Requests that wait for a time, for a slot of their number, or for the end of a pause: they compete with nobody."""
        self._rotation = Rotation()
        self._due: list[tuple[int, bytes]] = []
        self._unread: list[Item] = []
        self._numbers: dict[str, NumberQueue] = {}
        self._slots: list[tuple[int, str]] = []
        """When to look at a number again; a number with a queue stands here once."""
        self._held: dict[str, dict[bytes, Item]] = {}

    def schedule(self, item: Item, now_ms: int) -> None:
        """Put an item where its next decision will be made."""
        self._asleep.discard(item.request)
        expires_ms, times = item.terms.expires_ms, list[int]()
        if item.pending or not item.frozen:
            start_ms = 0 if item.cancelled else item.opened.item.start_ms
            # It may expire before it begins, and its end has to be said then.
            times.append(min(start_ms, expires_ms))
        if item.dues:
            times.append(0 if item.cancelled else min(expires_ms, *item.dues.values()))
        for at_ms in times:
            if at_ms <= now_ms:
                self._ready(item, now_ms)
            else:
                heapq.heappush(self._due, (at_ms, item.request))
        if times and min(times) > now_ms:
            self._asleep.add(item.request)

    def drop(self, request: bytes) -> None:
        """Forget a request that is closed."""
        self._asleep.discard(request)

    @property
    def asleep(self) -> int:
        """Returns how many items are not to be decided now: they wait for a time, a slot of their number, or a resume."""
        return len(self._asleep)

    def _ready(self, item: Item, now_ms: int) -> None:
        if item.ended(now_ms) or not item.frozen or not self.waits_for_slots(item):
            self._rotate(item)
            return
        sender = item.terms.sender
        queue = self._numbers.get(sender)
        if queue is None:
            queue = self._numbers[sender] = NumberQueue(by_deadline=self._by_deadline)
            heapq.heappush(self._slots, (now_ms, sender))
        item.slowed = True
        queue.add(item)
        self._asleep.add(item.request)

    def _rotate(self, item: Item) -> None:
        self._rotation.add(item)
        self._asleep.discard(item.request)

    def waits_for_slots(self, item: Item) -> bool:
        """Return whether an item is decided in slots: it is paced, or a paced one of its number is open here."""
        queue = self._numbers.get(item.terms.sender)
        return item.paced or (queue is not None and queue.paced > 0 and not item.unlimited)

    def postpone(self, item: Item) -> None:
        """Keep an item whose audience has not been read to its time yet; asked again at the next step."""
        self._unread.append(item)

    def wake(self, items: dict[bytes, Item], now_ms: int) -> None:
        """Give what has fallen due its turn."""
        waiting, self._unread = self._unread, []
        for item in waiting:
            self._rotate(item)
        # Entries are never taken out: an item that was decided meanwhile finds nothing to do when its old time comes.
        while self._due and self._due[0][0] <= now_ms:
            due = items.get(heapq.heappop(self._due)[1])
            if due is not None:
                self._ready(due, now_ms)

    def release(self, held_by: str, now_ms: int) -> None:
        """Schedule again what was held back by ``held_by``."""
        for item in self._held.pop(held_by, {}).values():
            self._ready(item, now_ms)

    def first(self, now_ms: int, gate: Gate) -> Item | None:
        """Return the item whose turn is next; None if there is none now."""
        while (item := self._rotation.first()) is not None and self._moved(item, now_ms, gate):
            self._rotation.drop_first()
        if item is not None or not self._slots or self._slots[0][0] > now_ms:
            return item
        queue = self._numbers[self._slots[0][1]]
        first = queue.first()
        return first if gate.held(first) is None and self._turn(first, 1, now_ms, gate) is not None else None

    def turns(self, budget: int, now_ms: int, gate: Gate, *, alone: bool = False) -> Iterator[Turn]:
        """Yield turns, fair among businesses and, in the slots of a number, among its requests; at most ``budget`` ranks.

        ``alone``: one turn only.
        """
        for item, take in self._rotation.turns(budget, now_ms, lambda item: self._moved(item, now_ms, gate)):
            turn = Turn(item, take)
            yield turn
            budget -= max(turn.decided, 1)
            if alone:
                return
        yield from self._slot_turns(budget, now_ms, gate, alone=alone)

    def _slot_turns(self, budget: int, now_ms: int, gate: Gate, *, alone: bool) -> Iterator[Turn]:
        """Yield turns of the numbers whose slots are to be looked at now."""
        looked_at: list[tuple[int, str]] = []
        while budget > 0 and self._slots and self._slots[0][0] <= now_ms:
            sender = heapq.heappop(self._slots)[1]
            for turn in self._number_turns(sender, budget, now_ms, gate, alone=alone):
                yield turn
                budget = 0 if alone else budget - turn.decided
            self._close_if_empty(sender)
            if sender in self._numbers:
                looked_at.append((self._look_again_ms(sender, budget, now_ms, gate), sender))
        for entry in looked_at:
            heapq.heappush(self._slots, entry)

    def _moved(self, item: Item, now_ms: int, gate: Gate) -> bool:
        """Move an item out of the rotation that is held back, or whose number is paced since it was queued."""
        held_by = gate.held(item)
        if held_by is not None:
            self._hold(item, held_by)
            return True
        if item.frozen and item.terms.expires_ms > now_ms and self.waits_for_slots(item) and not gate.over(item):
            self._ready(item, now_ms)
            return True
        return False

    def _hold(self, item: Item, held_by: str) -> None:
        # It expires though it is held, and somebody has to notice.
        self._held.setdefault(held_by, {})[item.request] = item
        # Who waits for the gateway's patience with its business goes on being one of those that the gateway is too slow for.
        if held_by != item.terms.business:
            self._asleep.add(item.request)
        heapq.heappush(self._due, (item.terms.expires_ms, item.request))

    def _number_turns(self, sender: str, budget: int, now_ms: int, gate: Gate, *, alone: bool) -> Iterator[Turn]:
        queue = self._numbers[sender]
        while queue and budget > 0:
            item = queue.first()
            held_by = gate.held(item)
            if held_by is not None:
                self._hold(queue.pop(), held_by)
                continue
            turn = self._turn(item, budget, now_ms, gate)
            if turn is None:
                return
            wanted = item.wanted(now_ms)
            yield turn
            # Whoever took the turn comes back for the next one, also if there is none: the queue moves on here.
            budget = 0 if alone else budget - turn.decided
            if turn.decided >= wanted:
                queue.pop()
            elif not turn.decided:
                return
            else:
                queue.serve(turn.sent)

    def _close_if_empty(self, sender: str) -> None:
        """Forget a queue that is empty; small requests that joined a paced one need no slots once it is gone."""
        queue = self._numbers[sender]
        if not queue.paced:
            while queue:
                self._rotate(queue.pop())
            del self._numbers[sender]

    @staticmethod
    def _turn(item: Item, budget: int, now_ms: int, gate: Gate) -> Turn | None:
        """Return the turn of a number's first item; None if its slots are over, used up, or owed to what was decided before."""
        if gate.over(item):
            return Turn(item, budget)
        pace = gate.pace(item)
        left = gate.left(item.terms.sender, pace)
        if left <= 0 or gate.busy(item.terms.sender):
            return None
        return Turn(item, budget, pace.slot_ms(now_ms), left)

    def _look_again_ms(self, sender: str, budget: int, now_ms: int, gate: Gate) -> int:
        """Return when a number's next slot begins; now, if these could not be used up for want of room."""
        if budget <= 0:
            return now_ms
        pace = gate.pace(self._numbers[sender].first())
        return pace.next_ms(pace.slot_ms(now_ms))

    def next_ms(self) -> int | None:
        """Return when something falls due; 0 if something does already; None if nothing ever will."""
        if self._rotation or self._unread:
            return 0
        times = [heap[0][0] for heap in (self._due, self._slots) if heap]
        return min(times, default=None)
