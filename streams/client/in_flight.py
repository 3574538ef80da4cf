"""Many events on their way, in order: what is unacknowledged is bounded, and each has an outcome in its turn.

A window keeps the order of what it was given in each partition, and so of each business: events go into Kafka's queue in turn,
and where an attempt fails for good but may be repeated, nothing new goes out until all that were under way have ended and the
failed ones have been sent again in their order. What was acknowledged in between is not sent twice.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from schemas.ids import RequestName
from schemas.lanes import Lane
from streams.client.events import Event
from streams.client.results import (
    ClientError,
    Failed,
    NoBrokerError,
    NotPublishedError,
    Outcome,
    Published,
    UnknownPublishError,
)
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import NoKafkaError, Place, Publisher, PublishError
from streams.runtime import clock

# One event on its way into Kafka: its bytes are made once and never change, however often they are sent.


class Sending:
    """An event with its record. ``send``, then ``ended``; ``outcome`` tells; while it ``may_go_again``, the same once more."""

    def __init__(self, publisher: Publisher, record: Outgoing, name: RequestName, *, lane: Lane, event: Event) -> None:
        self._publisher = publisher
        self._record = record
        self._name = name
        self._lane = lane
        self._event = event
        self._placing: asyncio.Future[Place] | None = None
        self._placed: Place | None = None
        self._error: PublishError | None = None
        self._unknown = False
        self._failed: Callable[[], None] = _nothing

    @property
    def placing(self) -> "asyncio.Future[Place] | None":
        """Returns the future that this attempt waits for; ``None`` if it has ended."""
        return self._placing

    @property
    def has_ended(self) -> bool:
        """Returns whether this attempt has ended."""
        return self._placing is None or self._placing.done()

    @property
    def held_up(self) -> bool:
        """Returns whether Kafka's queue is broken, so that what is sent now overtakes what was in it."""
        return self._publisher.broken

    async def send(self, failed: Callable[[], None]) -> None:
        """Put the record into the queue of its partition; ``failed`` is called if another attempt may be needed."""
        self._error, self._failed = None, failed
        try:
            self._placing = asyncio.ensure_future(await self._publisher.enqueue(self._record))
        except PublishError as error:
            self._note(error)
        else:
            self._placing.add_done_callback(self._note_end)

    async def ended(self) -> None:
        """Return when this attempt has ended, one way or the other."""
        placing = self._placing
        if placing is not None:
            await asyncio.wait([placing])
            self._note_end(placing)

    def may_go_again(self, until_ms: int) -> bool:
        """Returns whether the attempt failed in a way that another one at once may mend, and there is time for it."""
        return self._error is not None and self._error.again and clock.monotonic_ms() < until_ms

    def outcome(self) -> Outcome:
        """Returns the outcome, once the attempt has ended."""
        if self._error is not None:
            return Failed(self._lane, self._event, self._translated(self._error))
        if self._placed is None:
            raise RuntimeError("the attempt has not ended")
        place, event = self._placed, self._event
        return Published(
            place.topic,
            place.partition,
            place.offset,
            self._name,
            place.timestamp_ms,
            event["source"],
            event["id"],
            str(event.get("type")),
        )

    def give_up(self) -> None:
        """Nobody will ask for the outcome; the record may be appended all the same."""
        if self._placing is not None:
            self._placing.cancel()

    def _note_end(self, placing: "asyncio.Future[Place]") -> None:
        """Once for each attempt: by whoever comes first, the loop or one who waits."""
        if placing is not self._placing or placing.cancelled():
            return
        self._placing = None
        try:
            self._placed = placing.result()
        except PublishError as error:
            self._note(error)

    def _note(self, error: PublishError) -> None:
        self._error = error
        self._unknown |= error.unknown
        if error.again:
            self._failed()

    def _translated(self, error: PublishError) -> ClientError:
        """Translates an error; an attempt whose fate is unknown makes that of the event unknown, whatever the later ones said."""
        return UnknownPublishError(str(error)) if self._unknown else not_published(error)


def _nothing() -> None:
    """Nobody wants to know."""


def not_published(error: PublishError) -> NotPublishedError:
    """The client's error for a record that is surely not in Kafka."""
    return (NoBrokerError if isinstance(error, NoKafkaError) else NotPublishedError)(str(error))


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
        """Returns whether an outcome has to be taken before the next event is put."""
        return len(self._under_way) >= self._size

    @property
    def ready(self) -> bool:
        """Returns whether the oldest event is at its end, so that taking it is no waiting."""
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
