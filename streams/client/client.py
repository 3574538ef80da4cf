"""The producers' client: seal, publish, follow the status. Typed, one event loop, never Faust, never ends the process.

    async with Client("kafka:9092") as client:
        sent = await client.publish(Lane.OTP, event, codes={"code": "123456"})
        async for status in client.follow("bank-meridian", since=sent.at_ms): ...

A publish that fails unknown is repeated with the same event: the name (source, id) makes it count once. Codes are sealed
once for each name and the sealed bytes are kept for a while, because a repeat has to carry the same.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from typing import Final, NamedTuple, Self

import msgspec

from schemas import topics
from schemas.names import Lane, RequestName, business_of, partition_of, request_name
from schemas.reasons import Reason
from schemas.refusal import Refusal
from schemas.request import MAX_REQUEST_BYTES
from schemas.status import Status
from schemas.wire import cloudevents
from schemas.wire.json import too_large
from streams.client.errors import (
    InvalidEventError,
    NotPublishedError,
    SealingError,
    StatusUnreadableError,
    UnknownPublishError,
)
from streams.client.events import Event
from streams.client.progress import Progress
from streams.client.seal import SealKey, seal_codes, seal_key_of
from streams.client.validation import form_refusal
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Place, Publisher, PublishError
from streams.kafka.scan import ScanError, follow
from streams.registered import read_registry

IN_FLIGHT: Final = 256
_SEALED_KEPT: Final = 10_000
_HEADERS: Final = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
_encoder: Final = msgspec.json.Encoder()


class Published(NamedTuple):
    """Where an event stands and what its request is called from now on. An offset of -1: there, but not known where."""

    topic: str
    partition: int
    offset: int
    name: RequestName
    at_ms: int
    """Kafka's time of it."""


class _Seal(NamedTuple):
    event: Event
    codes_mac: bytes


class Client:
    """A connection to Fanfare for one producer. ``seal_key`` defaults to the newest one in the registry topic."""

    def __init__(self, bootstrap: str, *, seal_key: SealKey | None = None) -> None:
        self._bootstrap = bootstrap
        self._publisher = Publisher(bootstrap)
        self._partitions: dict[Lane, int] = {}
        self._seal_key = seal_key
        self._sealed: OrderedDict[bytes, _Seal] = OrderedDict()
        self._mac_key = secrets.token_bytes(32)

    async def __aenter__(self) -> Self:
        try:
            await self._publisher.start()
        except PublishError as error:
            raise NotPublishedError(str(error)) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._publisher.stop()

    async def publish(self, lane: Lane, event: Event, *, codes: Mapping[str, str] | None = None) -> Published:
        """Append one event to its lane and partition; returns once it is acknowledged.

        ``codes`` are one-time codes in clear by parameter name; they are sealed for each explicit recipient first.
        Raises :class:`InvalidEventError` for an event without a usable name, and the errors of sealing and publishing.
        """
        return await (await self.enqueue(lane, event, codes=codes))

    async def enqueue(
        self, lane: Lane, event: Event, *, codes: Mapping[str, str] | None = None
    ) -> Awaitable[Published]:
        """Put one event into the queue of its partition, in the order of calls; await the result for its place.

        Refuses as :meth:`publish` does; what happens on the way to Kafka is raised by the result.
        """
        name = _name_of(lane, event)
        if codes:
            event = await self.seal(lane, event, codes)
        key = business_of(event["source"]).encode()
        topic = topics.requests(lane)
        try:
            if lane not in self._partitions:
                self._partitions[lane] = await self._publisher.partitions(topic)
            place = partition_of(key, self._partitions[lane])
            record = Outgoing(topic, _value_of(event), key=key, partition=place, headers=_HEADERS)
            return _published(await self._publisher.enqueue(record), name)
        except PublishError as error:
            raise _translated(error) from error

    async def publish_many(
        self, events: Iterable[tuple[Lane, Event]], *, in_flight: int = IN_FLIGHT
    ) -> AsyncIterator[Published]:
        """Publish all, in order within each partition, at most ``in_flight`` unacknowledged; yields in the order given.

        ``events`` is drawn from no faster than Kafka acknowledges. The first error ends it; later events are not sent.
        """
        waiting: deque[Awaitable[Published]] = deque()
        for lane, event in events:
            while len(waiting) >= in_flight:
                yield await waiting.popleft()
            waiting.append(asyncio.ensure_future(await self.enqueue(lane, event)))
        while waiting:
            yield await waiting.popleft()

    async def seal(self, lane: Lane, event: Event, codes: Mapping[str, str]) -> Event:
        """``event`` with ``codes`` sealed; the same event for the same codes as long as this client remembers it.

        Raises :class:`SealingError`; also for other codes under a name that was sealed before: a new code needs a new id.
        """
        name = _name_of(lane, event)
        mac = self._mac(event, codes)
        known = self._sealed.get(name)
        if known is not None:
            if not hmac.compare_digest(known.codes_mac, mac):
                raise SealingError("this id was sealed before with another code or content; a new code needs a new id")
            return known.event
        if self._seal_key is None:
            self._seal_key = await self._registered_key()
        sealed = seal_codes(event, lane, codes, self._seal_key)
        self._sealed[name] = _Seal(sealed, mac)
        if len(self._sealed) > _SEALED_KEPT:
            self._sealed.popitem(last=False)
        return sealed

    def validate(self, lane: Lane, event: Event) -> None:
        """Look at ``event`` as plan will, without the registry; :class:`InvalidEventError` says what is wrong.

        One-time codes have to be sealed already.
        """
        _name_of(lane, event)
        refusal = form_refusal(lane, business_of(event["source"]), _encoder.encode(event), _HEADERS)
        if refusal is not None:
            raise InvalidEventError(refusal)

    async def follow(self, business: str, *, since: int | None = None) -> AsyncIterator[Status]:
        """The business's statuses from Kafka time ``since`` (ms) on, or from now on; for ever.

        Each is merged over the shards of its request: counts are sums, ``closed`` means all of it. The first step waits
        for the next status. Raises :class:`StatusUnreadableError`.
        """
        progress = Progress()
        try:
            async for record in follow(self._bootstrap, topics.status(business), since_ms=since):
                told = cloudevents.decode_status(record.value or b"")
                merged = None if told is None else progress.apply(told)
                if merged is not None:
                    yield merged
        except ScanError as error:
            raise StatusUnreadableError(str(error)) from error

    async def _registered_key(self) -> SealKey:
        try:
            return seal_key_of(await read_registry(self._bootstrap))
        except ScanError as error:
            raise SealingError(f"the registry cannot be read for the key: {error}") from error

    def _mac(self, event: Event, codes: Mapping[str, str]) -> bytes:
        said = _encoder.encode((event, sorted(codes.items())))
        return hmac.digest(self._mac_key, said, hashlib.sha256)


async def _published(placing: Awaitable[Place], name: RequestName) -> Published:
    try:
        place = await placing
    except PublishError as error:
        raise _translated(error) from error
    return Published(place.topic, place.partition, place.offset, name, place.timestamp_ms)


def _value_of(event: Event) -> bytes:
    """The bytes to publish; :class:`InvalidEventError` for more than plan takes: a large record would be lost without a name."""
    value = _encoder.encode(event)
    if len(value) > MAX_REQUEST_BYTES:
        raise InvalidEventError(too_large(len(value), MAX_REQUEST_BYTES))
    return value


def _translated(error: PublishError) -> NotPublishedError | UnknownPublishError:
    return (UnknownPublishError if error.unknown else NotPublishedError)(str(error))


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
