"""Following what businesses are told, on real Kafka: the newest words that stand there, new ones, and new businesses."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from schemas.status import Status
from schemas.topics import status
from streams.kafka import clients
from streams.kafka.producer import ConfirmedProducer
from streams.kafka.scan import ScanError, follow_statuses
from streams.runtime.ports import free_ports
from streams.worker.outputs import status_record
from tests.conftest import RealKafka
from tests.kafka.records import make, write
from tests.support.secured import as_operator


async def new_business(kafka: RealKafka) -> str:
    """The status topic of a business that nobody knew."""
    name = status(f"shop-{uuid.uuid4().hex[:12]}")
    await make(kafka.bootstrap, name)
    return name


async def heard(bites: AsyncIterator[list[tuple[str, bytes | None]]], topic: str, last: bytes) -> list[bytes | None]:
    """The values of ``topic`` that come up to ``last``."""
    values: list[bytes | None] = []
    async with asyncio.timeout(20):
        async for bite in bites:
            values += [value for name, value in bite if name == topic]
            if last in values:
                break
    return values


async def test_the_newest_words_come_first_and_then_the_new_ones(kafka: RealKafka) -> None:
    """Of what stands there, the last twenty of each topic; afterwards each once, in order."""
    topic = await new_business(kafka)
    old = [f"old {place}".encode() for place in range(30)]
    await write(kafka.bootstrap, topic, *old)
    async with aclosing(follow_statuses(as_operator(kafka.bootstrap))) as bites:
        assert await heard(bites, topic, old[-1]) == old[-20:]
        await write(kafka.bootstrap, topic, b"new 1", b"new 2")
        assert await heard(bites, topic, b"new 2") == [b"new 1", b"new 2"]


async def test_a_business_that_is_registered_meanwhile_is_heard_too(kafka: RealKafka) -> None:
    """From its first word; those that were known before go on where they stood."""
    known = await new_business(kafka)
    await write(kafka.bootstrap, known, b"one")
    async with aclosing(follow_statuses(as_operator(kafka.bootstrap), look_s=0.1)) as bites:
        assert await heard(bites, known, b"one") == [b"one"]
        added = await new_business(kafka)
        await write(kafka.bootstrap, added, b"first", b"second")
        assert await heard(bites, added, b"second") == [b"first", b"second"]
        await write(kafka.bootstrap, known, b"two")
        assert await heard(bites, known, b"two") == [b"two"]


async def test_no_kafka_is_a_sentence() -> None:
    """Nothing else is raised where nobody listens."""
    (port,) = free_ports(1)
    with pytest.raises(ScanError, match=f"no Kafka answers at 127.0.0.1:{port}"):
        async for _ in follow_statuses(f"127.0.0.1:{port}"):
            pass


async def test_a_status_is_an_event_for_a_receiver_that_keeps_to_the_binding(kafka: RealKafka) -> None:
    """The record as it stands in Kafka says by its header that it is structured; CloudEvents' own library finds the event."""
    topic = await new_business(kafka)
    told = Status(request="abc", source="//shop/till", id="1", state="running", seq=3, at_ms=1_790_000_000_123)
    producer = ConfirmedProducer(kafka.bootstrap, "test")
    await producer.start()
    await producer.confirm([status_record(topic.removeprefix("status."), told)])
    await producer.stop()
    place = clients.place(kafka.bootstrap, topic, 0)
    async with clients.consumer(kafka.bootstrap, "test") as consumer, asyncio.timeout(20):
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        record = await consumer.getone()
    assert tuple(record.headers) == (("content-type", b"application/cloudevents+json"),)
    event = from_kafka(KafkaMessage(dict(record.headers), record.key, record.value), JSONFormat(), CloudEvent)
    assert (event.get_type(), event.get_subject()) == ("fanfare.status.v1", "abc")
    assert msgspec.convert(event.get_data(), Status) == told
