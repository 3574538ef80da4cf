"""The plainest way to make a topic, write to it and read from it, for tests of what lies beneath."""

import asyncio
import uuid

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from streams.kafka.admin import admin, wait_leaders

READ_DEADLINE_S = 20
REQUEST_TIMEOUT_MS = 3_000
"""The default of 40 s is how long a client waits for a broker that stands still before it asks for the new leader."""


async def new_topic(
    bootstrap: str, *, partitions: int = 1, copies: int = 1, config: dict[str, str] | None = None
) -> str:
    """Make a topic under a name of its own and wait for every leader; gives the name."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    async with admin(bootstrap) as client:
        await client.create_topics([NewTopic(name, partitions, copies, topic_configs=config)])
        await wait_leaders(client, [name], deadline_s=30)
    return name


async def write(bootstrap: str, topic: str, *values: bytes) -> None:
    """Append `values` to partition 0, each acknowledged by every copy in sync."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, request_timeout_ms=REQUEST_TIMEOUT_MS
    )
    async with producer:
        for value in values:
            await producer.send_and_wait(topic, value, partition=0)


async def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    """The first `count` values of partition 0; TimeoutError if they do not come."""
    place = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer, asyncio.timeout(READ_DEADLINE_S):
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        return [(await consumer.getone()).value for _ in range(count)]
