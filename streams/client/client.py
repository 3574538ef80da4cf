"""The producers' client: seal, publish, follow the status. Typed, one event loop, never Faust, never ends the process.

A publish that fails unknown may be repeated with the same event: the name (source, id) makes it count once. Codes are sealed
once for each name and the sealed bytes are kept for a while, because a repeat has to carry the same.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Mapping
from typing import Final, Self, TypeAlias

import msgspec

from broker.audience.sizes import ListSizes
from broker.registry.fold import Registry
from schemas import topics
from schemas.ids import RequestName, business_of, partition_of, request_name
from schemas.lanes import Lane
from schemas.reasons import Fault, Reason, Refusal
from schemas.request import MAX_REQUEST_BYTES
from schemas.status import Status
from schemas.wire.strict_json import too_large
from streams.client.events import Event, faults
from streams.client.following import BillFollowing, BillPosition, Following, Position
from streams.client.in_flight import Sending, Window, not_published
from streams.client.results import (
    ClientError,
    Failed,
    InvalidEventError,
    Outcome,
    Publication,
    Published,
    RegistryUnreadableError,
)
from streams.client.sealing import Sealer, SealKey
from streams.client.waiting import Until, wait_for
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import CONNECT_S, DEADLINE_S, Publisher, PublishError
from streams.kafka.scan import ScanError
from streams.registry.read import read_registry, read_sizes
from streams.runtime.kafka_access import Address
from streams.runtime.settings import load

IN_FLIGHT: Final = 256
WAIT_S: Final = 30.0
_HEADERS: Final = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
_encoder: Final = msgspec.json.Encoder()

ToPublish: TypeAlias = Publication | tuple[Lane, Event]


def lane_of(lane: Lane | str) -> Lane:
    """Returns the lane that is meant, by itself or by its word; :class:`InvalidEventError` for another word."""
    try:
        return lane if isinstance(lane, Lane) else Lane.of(lane)
    except KeyError:
        words = ", ".join(each.word for each in Lane)
        raise InvalidEventError(Refusal(Reason.WRONG_LANE, f"there is no lane {lane!r}; lanes are {words}.")) from None


class Client:
    """A connection to Fanfare for one producer, in one event loop.

    Without ``bootstrap`` it goes where the environment says (``FANFARE_KAFKA_…``, ``fanfare.toml``). An address that is given is
    taken as it is, without what the environment says: a password must not go to a Kafka that it was not meant for.
    ``seal_key`` defaults to the newest one in the registry topic. ``patience_s`` is how long an event may take into Kafka, over
    restarts of brokers and however many attempts; ``connect_s`` how long somebody is waited for at ``bootstrap``.
    """

    def __init__(
        self,
        bootstrap: Address | None = None,
        *,
        seal_key: SealKey | None = None,
        patience_s: float = DEADLINE_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._bootstrap = load().kafka if bootstrap is None else bootstrap
        self._publisher = Publisher(self._bootstrap, deadline_s=patience_s, connect_s=connect_s)
        self._patience_ms = int(patience_s * 1000)
        self._partitions: dict[Lane, int] = {}
        self._sealer = Sealer(self._bootstrap, seal_key)

    async def __aenter__(self) -> Self:
        """Connect; :class:`NoBrokerError` if nobody answers, :class:`NotPublishedError` if this user may write no topic."""
        try:
            await self._publisher.start()
        except PublishError as error:
            raise not_published(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._publisher.stop()

    async def publish(self, lane: Lane | str, event: Event, *, codes: Mapping[str, str] | None = None) -> Published:
        """Append one event to its lane (or the word for it, ``update``) and partition; returns once it is acknowledged.

        ``codes`` are one-time codes in clear by parameter name; they are sealed for each explicit recipient first.
        Raises :class:`InvalidEventError` for an event without a usable name, and the errors of sealing and publishing.
        """
        return await (await self.enqueue(lane, event, codes=codes))

    async def enqueue(
        self, lane: Lane | str, event: Event, *, codes: Mapping[str, str] | None = None
    ) -> Awaitable[Published]:
        """Put one event into the queue of its partition, in the order of calls; await the result for its place.

        Refuses as :meth:`publish` does; what happens on the way to Kafka is raised by the result.
        """
        window = self.window(1)
        await window.put(await self._sending(lane_of(lane), event, codes))
        return _told(window)

    async def publish_many(
        self, events: Iterable[ToPublish] | AsyncIterable[ToPublish], *, in_flight: int = IN_FLIGHT
    ) -> AsyncIterator[Outcome]:
        """Publish all; yields a :class:`Published` or :class:`Failed` for each, in the order given.

        ``events`` is drawn from no faster than Kafka acknowledges: at most ``in_flight`` are held. Those of one business
        stand in Kafka in the order given. What failed stops nothing; leaving the iteration sends nothing more. An iterable
        whose events have to be waited for should be asynchronous: a plain one holds up the loop, and with it what is under way.
        """
        window = self.window(in_flight)
        try:
            if isinstance(events, AsyncIterable):
                async for outcome in self._as_they_come(window, events):
                    yield outcome
            else:
                for each in events:
                    for outcome in await self.advance(window, each):
                        yield outcome
            while len(window):
                yield await window.take()
        finally:
            window.give_up()

    async def _as_they_come(self, window: Window, events: AsyncIterable[ToPublish]) -> AsyncIterator[Outcome]:
        """Outcomes are given while the next event is waited for."""
        source = aiter(events)
        while True:
            drawing = asyncio.ensure_future(_next(source))
            try:
                while not drawing.done():
                    await window.changes(drawing)
                    while window.ready:
                        yield await window.take()
            finally:
                drawing.cancel()
            each = drawing.result()
            if each is None:
                return
            for outcome in await self.advance(window, each):
                yield outcome

    def window(self, in_flight: int) -> Window:
        """An empty window of this client's patience, for :meth:`advance`."""
        return Window(in_flight, self._patience_ms)

    async def advance(self, window: Window, each: ToPublish) -> list[Outcome]:
        """Put one more event under way once there is room for it; the outcomes that there are by then, oldest first."""
        outcomes = [await window.take()] if window.full else []
        publication = each if isinstance(each, Publication) else Publication(*each)
        try:
            await window.put(await self._sending(publication.lane, publication.event, publication.codes))
        except ClientError as error:
            await window.put(Failed(publication.lane, publication.event, error))
        while window.ready:
            outcomes.append(await window.take())
        return outcomes

    async def seal(self, lane: Lane | str, event: Event, codes: Mapping[str, str]) -> Event:
        """``event`` with ``codes`` sealed; the same event for the same codes as long as this client remembers it.

        To publish it after a restart of this process too, keep what this gives and publish that.
        Raises :class:`SealingError`; also for other codes under a name that was sealed before: a new code needs a new id.
        """
        lane = lane_of(lane)
        return await self._sealer.seal(lane, _name_of(lane, event), event, codes)

    def check(self, lane: Lane | str, event: Event, *, registry: Registry | None = None) -> tuple[Fault, ...]:
        """All that is wrong with ``event`` at once, each with its place; nothing if it is sound. Sends nothing, asks nobody.

        With a ``registry`` (:meth:`registry` reads it) also what only that knows: businesses, senders, templates, parameters.
        One-time codes have to be sealed already.
        """
        return faults(lane_of(lane), event, registry=registry)

    def validate(self, lane: Lane | str, event: Event) -> None:
        """:class:`InvalidEventError` with all that :meth:`check` finds."""
        if found := self.check(lane, event):
            raise InvalidEventError(*found)

    async def registry(self) -> Registry:
        """Returns the entries that are registered now; raises :class:`RegistryUnreadableError`."""
        try:
            return await read_registry(self._bootstrap)
        except ScanError as error:
            raise RegistryUnreadableError(str(error)) from error

    async def sizes(self) -> ListSizes:
        """Return how many are on each list, as of a second ago; raises :class:`RegistryUnreadableError`."""
        try:
            return await read_sizes(self._bootstrap)
        except ScanError as error:
            raise RegistryUnreadableError(str(error)) from error

    def follow(self, business: str, *, since: int | None = None, position: str | Position | None = None) -> Following:
        """The business's statuses from Kafka time ``since`` (ms) on, from a ``position``, or from now on; for ever.

        Each is merged over the shards of its request: counts are sums, ``closed`` means all of it. The first step waits
        for the next status. Restarts of brokers are waited out. Raises :class:`StatusUnreadableError`.
        """
        return Following(self._bootstrap, business, since_ms=since, position=position)

    def follow_bill(
        self, business: str, *, since: int | None = None, position: str | BillPosition | None = None
    ) -> BillFollowing:
        """Follows what the business is charged from Kafka time ``since`` (ms; 0: all of it), a ``position``, or now on.

        For ever, one item for each posting, in the order of posting, each once; their amounts come to the book's. Raises
        :class:`BillUnreadableError`.
        """
        return BillFollowing(self._bootstrap, business, since_ms=since, position=position)

    async def wait(
        self, sent: Published, *, until: Until = "closed", timeout_s: float = WAIT_S, since: int | None = None
    ) -> Status:
        """The status of a published event once it is ``until``, or refused; :class:`StillOpenError` after ``timeout_s``.

        A repeated event may have been finished before it was published again: the hour before is looked at as well; say
        ``since`` (Kafka's time, ms) to look further back.
        """
        return (await self.wait_all([sent], until=until, timeout_s=timeout_s, since=since))[sent.request]

    async def wait_all(
        self,
        sent: Iterable[Published],
        *,
        until: Until = "closed",
        timeout_s: float = WAIT_S,
        since: int | None = None,
    ) -> Mapping[str, Status]:
        """The same for many: request to status."""
        return await wait_for(self._bootstrap, sent, until=until, timeout_s=timeout_s, since=since)

    async def _sending(self, lane: Lane, event: Event, codes: Mapping[str, str] | None) -> Sending:
        name = _name_of(lane, event)
        if codes:
            event = await self._sealer.seal(lane, name, event, codes)
        key = business_of(event["source"]).encode()
        topic = topics.requests(lane)
        value = _value_of(event)
        if lane not in self._partitions:
            try:
                self._partitions[lane] = await self._publisher.partitions(topic)
            except PublishError as error:
                raise not_published(error) from error
        place = partition_of(key, self._partitions[lane])
        record = Outgoing(topic, value, key=key, partition=place, headers=_HEADERS)
        return Sending(self._publisher, record, name, lane=lane, event=event)


async def _told(window: Window) -> Published:
    outcome = await window.take()
    if isinstance(outcome, Failed):
        raise outcome.error
    return outcome


async def _next(source: AsyncIterator[ToPublish]) -> ToPublish | None:
    try:
        return await anext(source)
    except StopAsyncIteration:
        return None


def _value_of(event: Event) -> bytes:
    """The bytes to publish; :class:`InvalidEventError` for more than plan takes: a large record would be lost without a name."""
    value = _encoder.encode(event)
    if len(value) > MAX_REQUEST_BYTES:
        raise InvalidEventError(too_large(len(value), MAX_REQUEST_BYTES))
    return value


def _name_of(lane: Lane, event: Event) -> RequestName:
    source, event_id = event.get("source"), event.get("id")
    if not isinstance(source, str) or not isinstance(event_id, str):
        raise InvalidEventError(
            Refusal(Reason.MISSING_FIELD, "source and id are required: together they name the request.")
        )
    try:
        business_of(source)
    except ValueError as error:
        raise InvalidEventError(Refusal(Reason.INVALID_FIELD, f"{error}.")) from error
    return request_name(lane, source, event_id)
