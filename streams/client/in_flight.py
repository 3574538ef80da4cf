"""Many events on their way, in order: what is unacknowledged is bounded, and each has an outcome in its turn.

A window keeps the order of what it was given in each partition, and so of each business: events go into Kafka's queue in turn,
and where an attempt fails for good but may be repeated, nothing new goes out until all that were under way have ended and the
failed ones have been sent again in their order. What was acknowledged in between is not sent twice.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from streams.client.results import Failed, Outcome
from streams.client.sending import Sending
from streams.runtime import clock

PAUSE_S: Final = 0.1
"""Before what failed is sent again."""


class Window:
    """At most ``size`` events; each is sent again, after a pause, for ``patience_ms`` from when it was put."""

    def __init__(self, size: int, patience_ms: int, *, pause_s: float = PAUSE_S) -> None:
        if size < 1:
            raise ValueError("a window holds one event at least")
        self._size = size
        self._patience_ms = patience_ms
        self._pause_s = pause_s
        self._doubted = False
        self._under_way: deque[tuple[Sending | Failed, int]] = deque()

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def full(self) -> bool:
        """Whether an outcome has to be taken before the next event is put."""
        return len(self._under_way) >= self._size

    @property
    def ready(self) -> bool:
        """Whether the oldest event is at its end, so that taking it is no waiting."""
        if not self._under_way:
            return False
        first, _ = self._under_way[0]
        return isinstance(first, Failed) or first.has_ended

    async def changes(self, other: "asyncio.Future[Any]") -> None:
        """Return when the oldest event is at its end, or ``other`` is."""
        first = self._under_way[0][0] if self._under_way else None
        placing = first.placing if isinstance(first, Sending) else None
        await asyncio.wait([other] if placing is None else [other, placing], return_when=asyncio.FIRST_COMPLETED)

    async def put(self, each: Sending | Failed) -> None:
        """Send one more; what failed before it was sent takes its turn all the same."""
        if self.full:
            raise ValueError("the window is full")
        if isinstance(each, Sending):
            if self._doubted or each.held_up:
                await self._mend()
            await each.send(self._doubt)
        self._under_way.append((each, clock.monotonic_ms() + self._patience_ms))

    async def take(self) -> Outcome:
        """The outcome of the oldest, once it has one."""
        first, until_ms = self._under_way[0]
        if isinstance(first, Sending):
            await first.ended()
            if first.may_go_again(until_ms):
                await self._mend()
        self._under_way.popleft()
        return first.outcome() if isinstance(first, Sending) else first

    def give_up(self) -> None:
        """Leave what is under way to itself."""
        for each, _ in self._under_way:
            if isinstance(each, Sending):
                each.give_up()
        self._under_way.clear()

    def _doubt(self) -> None:
        self._doubted = True

    async def _mend(self) -> None:
        """Wait until all have ended, send what failed again in its order, and so on until nothing may be sent again."""
        while True:
            sendings = [(each, until_ms) for each, until_ms in self._under_way if isinstance(each, Sending)]
            await asyncio.gather(*(each.ended() for each, _ in sendings))
            self._doubted = False
            failed = [each for each, until_ms in sendings if each.may_go_again(until_ms)]
            if not failed:
                return
            await asyncio.sleep(self._pause_s)
            await self._send_in_turn(failed)

    async def _send_in_turn(self, failed: Iterable[Sending]) -> None:
        """As many as go out before one fails again: nothing may overtake that one."""
        for turn, each in enumerate(failed):
            if turn and (self._doubted or each.held_up):
                return
            await each.send(self._doubt)
