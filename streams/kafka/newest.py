"""The newest record of a log that says something: where a writer goes on whose record of what it wrote is the log itself."""

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka.errors import KafkaError

from streams.kafka.admin import admin, own_topics
from streams.kafka.reader import LogReader
from streams.runtime.kafka_access import Address

T = TypeVar("T")


async def existing(bootstrap: Address, topics: Collection[str]) -> set[str]:
    """Returns those of ``topics`` that exist; none while Kafka does not answer."""
    try:
        async with admin(bootstrap) as client:
            return set(topics) & await own_topics(client, bootstrap)
    except KafkaError:
        return set()


async def newest(bootstrap: Address, topics: Collection[str], read: Callable[[bytes], T | None]) -> dict[str, T | None]:
    """Returns what ``read`` makes of the newest record of each topic that it can make something of; None if there is none.

    The topics exist and have one partition. Ends the process when Kafka gives nothing (:class:`LogReader`).
    """
    async with _reader(bootstrap, topics) as reader:
        return {topic: await _newest(reader, topic, read) for topic in topics}


async def _newest(reader: LogReader, topic: str, read: Callable[[bytes], T | None]) -> T | None:
    """Looks back from the end in steps that double, past records that somebody else put there."""
    start, stop = await reader.bounds((topic, 0))
    step = 1
    while stop > start:
        begin = max(start, stop - step)
        records = [record async for bite in reader.read((topic, 0), begin, stop) for record in bite]
        for record in reversed(records):
            found = read(record.value)
            if found is not None:
                return found
        stop, step = begin, step * 2
    return None


@asynccontextmanager
async def _reader(bootstrap: Address, topics: Collection[str]) -> AsyncIterator[LogReader]:
    reader = LogReader(bootstrap, "newest", [(topic, 0) for topic in topics])
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()
