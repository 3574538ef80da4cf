"""Reads logs for people: a whole topic up to its end now, one topic for ever, or what all businesses are told.

No group, nothing committed, nothing ends the process: what is wrong with the surroundings is a :class:`ScanError` with a
sentence. Workers read through ``reader`` and ``tail`` instead, which know deadlines and freshness.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator
from typing import Final, NamedTuple

import aiokafka
import aiokafka.errors
from aiokafka import TopicPartition

from schemas.topics import STATUS_PREFIX, topic_of_business
from streams.kafka import clients
from streams.kafka.faust_app.commits import Place
from streams.kafka.way_in import NOT_GRANTED, may_not, refusal, under
from streams.runtime import clock
from streams.runtime.kafka_access import Address, Kafka, kafka_at

_FETCH_MAX_WAIT_MS: Final = 50
_FETCH_BYTES: Final = 4 * 1024 * 1024
_REQUEST_TIMEOUT_MS: Final = 10_000
_POLL_MS: Final = 500
_PATIENCE: Final = 40
"""Polls without a record, although the log goes on, until a scan gives up: 20 s."""


class ScanError(Exception):
    """A topic cannot be read: it does not exist, or Kafka does not answer. The message is one sentence."""


class Record(NamedTuple):
    """Holds a record as it stands in its log."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Log time: when the broker appended it, milliseconds since the epoch."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


async def scan(
    bootstrap: Address, topic: str, *, partition: int | None = None, since_ms: int | None = None
) -> AsyncIterator[list[Record]]:
    """Everything in ``topic`` (or one partition) up to its end at the time of the call, in bites; ordered per partition.

    ``since_ms`` leaves out what Kafka stamped earlier. Raises :class:`ScanError`.
    """
    async with _consumer(bootstrap, topic) as consumer:
        places = await _positioned(consumer, bootstrap, topic, partition=partition, since_ms=since_ms)
        ends = await consumer.end_offsets(places)
        idle = 0
        while behind := [place for place in places if await consumer.position(place) < ends[place]]:
            with _translated(bootstrap, topic):
                fetched = await consumer.getmany(*behind, timeout_ms=_POLL_MS)
            idle = 0 if fetched else idle + 1
            if idle > _PATIENCE:
                raise ScanError(f"{kafka_at(bootstrap).name(topic)} goes on, but Kafka gives nothing more of it")
            yield [
                _record(topic, record)
                for place, records in fetched.items()
                for record in records
                if record.offset < ends[place]
            ]


async def read_at(bootstrap: Address, topic: str, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Record]:
    """The records that stand at these (partition, offset) of ``topic``; those that are gone, or not there yet, are left out.

    Raises :class:`ScanError`.
    """
    found: dict[tuple[int, int], Record] = {}
    async with _consumer(bootstrap, topic) as consumer:
        for partition in sorted({partition for partition, _ in places}):
            held = await _positioned(consumer, bootstrap, topic, partition=partition, since_ms=None)
            starts, ends = await consumer.beginning_offsets(held), await consumer.end_offsets(held)
            for place in held:
                for offset in sorted(offset for each, offset in places if each == partition):
                    if not starts[place] <= offset < ends[place]:
                        continue
                    if await consumer.position(place) != offset:
                        consumer.seek(place, offset)  # it throws away what was fetched
                    with _translated(bootstrap, topic):
                        fetched = await consumer.getmany(place, timeout_ms=_POLL_MS * _PATIENCE, max_records=1)
                    first = next(iter(fetched.get(place, ())), None)
                    if first is not None and first.offset == offset:
                        found[partition, offset] = _record(topic, first)
    return found


async def follow(
    bootstrap: Address,
    topic: str,
    *,
    partition: int | None = None,
    since_ms: int | None = None,
    offset: int | None = None,
) -> AsyncGenerator[Record, None]:
    """``topic`` from ``since_ms`` on (``None``: from its end at the time of the first step), for ever.

    With ``offset``, every partition from there on, or from its beginning if that is later.
    """
    async with _consumer(bootstrap, topic) as consumer:
        places = await _positioned(
            consumer, bootstrap, topic, partition=partition, since_ms=since_ms, end=since_ms is None
        )
        if offset is not None:
            for place, start in (await consumer.beginning_offsets(places)).items():
                consumer.seek(place, max(offset, start))
        while True:
            with _translated(bootstrap, topic):
                record = await consumer.getone()
            yield _record(topic, record)


@contextlib.asynccontextmanager
async def _consumer(bootstrap: Address, topic: str) -> AsyncIterator[aiokafka.AIOKafkaConsumer]:
    consumer = clients.consumer(
        bootstrap,
        f"scan-{topic}",
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_FETCH_MAX_WAIT_MS,
        max_partition_fetch_bytes=_FETCH_BYTES,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
    )
    try:
        try:
            await consumer.start()
        except aiokafka.errors.KafkaError as error:
            raise ScanError(await refusal(bootstrap) or f"no Kafka answers at {bootstrap}") from error
        yield consumer
    finally:
        # aiokafka's stop has been seen not to come back.
        await asyncio.wait([asyncio.ensure_future(consumer.stop())], timeout=1.0)


async def _positioned(
    consumer: aiokafka.AIOKafkaConsumer,
    bootstrap: Address,
    topic: str,
    *,
    partition: int | None,
    since_ms: int | None,
    end: bool = False,
) -> list[TopicPartition]:
    with _translated(bootstrap, topic):
        name = kafka_at(bootstrap).name(topic)
        if name not in await consumer.topics():
            raise ScanError(_absent(bootstrap, topic))
        known = await consumer._client._wait_on_metadata(name)  # noqa: SLF001 - the only way without a subscription
        places = [clients.place(bootstrap, topic, each) for each in sorted(known) if partition in (None, each)]
        starts = await (consumer.end_offsets(places) if end else consumer.beginning_offsets(places))
        if since_ms is not None:
            ends = await consumer.end_offsets(places)
            found = await consumer.offsets_for_times(dict.fromkeys(places, max(since_ms, 0)))
            starts = {place: ends[place] if (hit := found[place]) is None else hit.offset for place in places}
    consumer.assign(places)
    for place in places:
        consumer.seek(place, starts[place])
    return places


def _absent(address: Address, topic: str) -> str:
    name = kafka_at(address).name(topic)
    if kafka_at(address).security_protocol != "PLAINTEXT":
        return f"there is no topic {name}, or {may_not(address, f'read {name}')}"
    if topic_of_business(topic) is not None:
        business = topic.partition(".")[2]
        return (
            f"there is no topic {name}{under(address)}: {business} is not registered (`fanfare registry apply` does it)"
        )
    return f"there is no topic {name}{under(address)}; `fanfare provision` makes what Fanfare needs"


@contextlib.contextmanager
def _translated(address: Address, topic: str) -> Iterator[None]:
    try:
        yield
    except NOT_GRANTED as error:
        raise ScanError(may_not(address, f"read {kafka_at(address).name(topic)}")) from error
    except aiokafka.errors.KafkaError as error:
        raise ScanError(
            f"{kafka_at(address).name(topic)} cannot be read: {type(error).__name__.removesuffix('Error')}"
        ) from error


def _record(topic: str, record: aiokafka.ConsumerRecord) -> Record:
    return Record(
        topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple((name, value or b"") for name, value in record.headers),
    )


# Where logs begin and end, asked once for all of them: what a reader of a running system must fix before it reads.

_DEADLINE_S: Final = 30.0

Bounds = dict[Place, tuple[int, int]]
"""(topic, partition) -> the first offset that is still there, and the one that the next record will get."""


async def log_bounds(bootstrap: Address, choose: Callable[[set[str]], list[str]]) -> Bounds:
    """The bounds of the topics that ``choose`` picks of all that exist, asked one topic after the other in its order.

    Raises :class:`ScanError`.
    """
    kafka = kafka_at(bootstrap)
    consumer = clients.consumer(kafka, "bounds")
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await consumer.start()
            found: Bounds = {}
            existing = {topic for name in await consumer.topics() if (topic := kafka.plain(name)) is not None}
            for topic in choose(existing):
                known = await consumer._client._wait_on_metadata(kafka.name(topic))  # noqa: SLF001 - as scan does
                places = [clients.place(kafka, topic, partition) for partition in sorted(known)]
                ends = await consumer.end_offsets(places)
                starts = await consumer.beginning_offsets(places)
                found |= {(topic, place.partition): (starts[place], ends[place]) for place in places}
            return found
    except (TimeoutError, aiokafka.errors.KafkaError) as error:
        raise ScanError(await refusal(bootstrap) or f"no Kafka answers at {bootstrap}") from error
    finally:
        # aiokafka's stop has been seen not to come back.
        await asyncio.wait([asyncio.ensure_future(consumer.stop())], timeout=1.0)


_BEFORE: Final = 20
"""So many records of each topic are read that stand there already: the newest words of a quiet deployment."""
_STATUS_POLL_MS: Final = 500
_LOOK_S: Final = 15.0
_STATUS_REQUEST_MS: Final = 5_000


async def follow_statuses(
    bootstrap: Address, *, look_s: float = _LOOK_S
) -> AsyncGenerator[list[tuple[str, bytes | None]], None]:
    """(topic, value) of new statuses in bites, for ever, perhaps empty. Raises :class:`ScanError`.

    Topics of businesses that have been registered meanwhile, and whether Kafka is there, are looked for every ``look_s``.
    """
    kafka = kafka_at(bootstrap)
    consumer = clients.consumer(kafka, "status-view", auto_offset_reset="latest", request_timeout_ms=_STATUS_REQUEST_MS)
    try:
        await consumer.start()
        looked_ms: int | None = None
        while True:
            if looked_ms is None or clock.monotonic_ms() - looked_ms >= look_s * 1_000:
                await _look(consumer, kafka)
                looked_ms = clock.monotonic_ms()
            if not consumer.assignment():
                await asyncio.sleep(_STATUS_POLL_MS / 1_000)
                continue
            fetched = await consumer.getmany(timeout_ms=_STATUS_POLL_MS)
            yield [
                (record.topic.removeprefix(kafka.prefix), record.value)
                for records in fetched.values()
                for record in records
            ]
    except aiokafka.errors.KafkaError as error:
        raise ScanError(await refusal(kafka) or f"no Kafka answers at {kafka}") from error
    finally:
        with contextlib.suppress(aiokafka.errors.KafkaError):
            await consumer.stop()


async def _look(consumer: aiokafka.AIOKafkaConsumer, kafka: Kafka) -> None:
    """Go on where it stands in topics that are known, and begin in those that are new."""
    existing = (kafka.plain(topic) for topic in await consumer.topics())
    wanted = {clients.place(kafka, topic, 0) for topic in existing if topic and topic.startswith(STATUS_PREFIX)}
    known = consumer.assignment()
    if wanted <= known:
        return
    places = {place: await consumer.position(place) for place in known}
    new = sorted(wanted - known)
    starts, ends = await consumer.beginning_offsets(new), await consumer.end_offsets(new)
    places |= {place: max(starts[place], ends[place] - _BEFORE) for place in new}
    consumer.assign(list(places))
    for place, offset in places.items():
        consumer.seek(place, offset)
