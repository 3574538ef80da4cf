"""One event on its way into Kafka: its bytes are made once and never change, however often they are sent."""

import asyncio
from collections.abc import Callable

from schemas.ids import Lane, RequestName
from streams.client.errors import ClientError, NoBrokerError, NotPublishedError, UnknownPublishError
from streams.client.events import Event
from streams.client.results import Failed, Outcome, Published
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import NoKafkaError, Place, Publisher, PublishError
from streams.runtime import clock


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
        """What this attempt waits for; ``None`` if it has ended."""
        return self._placing

    @property
    def has_ended(self) -> bool:
        """Whether this attempt has ended."""
        return self._placing is None or self._placing.done()

    @property
    def held_up(self) -> bool:
        """Whether Kafka's queue is broken, so that what is sent now overtakes what was in it."""
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
        """Whether the attempt failed in a way that another one at once may mend, and there is time for it."""
        return self._error is not None and self._error.again and clock.monotonic_ms() < until_ms

    def outcome(self) -> Outcome:
        """What became of it, once the attempt has ended."""
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
        """One attempt whose fate is unknown makes that of the event unknown, whatever the later ones said."""
        return UnknownPublishError(str(error)) if self._unknown else not_published(error)


def _nothing() -> None:
    """Nobody wants to know."""


def not_published(error: PublishError) -> NotPublishedError:
    """The client's error for a record that is surely not in Kafka."""
    return (NoBrokerError if isinstance(error, NoKafkaError) else NotPublishedError)(str(error))
