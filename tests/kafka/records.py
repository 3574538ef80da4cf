"""The plainest way to make a topic, write to it and read from it, for tests of what lies beneath."""

import asyncio
import uuid

from aiokafka.admin import RecordsToDelete

from streams.kafka import clients
from streams.kafka.admin import admin, wait_leaders
from streams.runtime.kafka_access import Address, kafka_at

READ_DEADLINE_S = 20
REQUEST_TIMEOUT_MS = 3_000
"""The default of 40 s is how long a client waits for a broker that stands still before it asks for the new leader."""


async def new_topic(
    bootstrap: Address, *, partitions: int = 1, copies: int = 1, config: dict[str, str] | None = None
) -> str:
    """Make a topic under a name of its own and wait for every leader; gives the name."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    await make(bootstrap, name, partitions=partitions, copies=copies, config=config)
    return name


async def make(
    bootstrap: Address, topic: str, *, partitions: int = 1, copies: int = 1, config: dict[str, str] | None = None
) -> None:
    """Make that topic and wait for every leader."""
    name = kafka_at(bootstrap).name(topic)
    async with admin(bootstrap) as client:
        await client.create_topics([clients.new_topic(name, partitions, copies, config or {})])
        await wait_leaders(client, [name], deadline_s=30)


async def trim(bootstrap: Address, topic: str, offset: int) -> None:
    """Delete the records of partition 0 that stand before ``offset``."""
    async with admin(bootstrap) as client:
        await client.delete_records({clients.place(bootstrap, topic, 0): RecordsToDelete(before_offset=offset)})


async def write(bootstrap: Address, topic: str, *values: bytes) -> None:
    """Append `values` to partition 0, each acknowledged by every copy in sync."""
    name = kafka_at(bootstrap).name(topic)
    async with clients.producer(bootstrap, "test", request_timeout_ms=REQUEST_TIMEOUT_MS) as producer:
        for value in values:
            await producer.send_and_wait(name, value, partition=0)


async def read(bootstrap: Address, topic: str, count: int) -> list[bytes]:
    """The first `count` values of partition 0; TimeoutError if they do not come."""
    place = clients.place(bootstrap, topic, 0)
    async with clients.consumer(bootstrap, "test") as consumer, asyncio.timeout(READ_DEADLINE_S):
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        return [(await consumer.getone()).value for _ in range(count)]
