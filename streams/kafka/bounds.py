"""Where logs begin and end, asked once for all of them: what a reader of a running system must fix before it reads."""

import asyncio
from collections.abc import Callable
from typing import Final

import aiokafka
import aiokafka.errors
from aiokafka import TopicPartition

from streams.kafka.faust_app.commits import Place
from streams.kafka.scan import ScanError

_DEADLINE_S: Final = 30.0

Bounds = dict[Place, tuple[int, int]]
"""(topic, partition) -> the first offset that is still there, and the one that the next record will get."""


async def log_bounds(bootstrap: str, choose: Callable[[set[str]], list[str]]) -> Bounds:
    """The bounds of the topics that ``choose`` picks of all that exist, asked one topic after the other in its order.

    Raises :class:`ScanError`.
    """
    consumer = aiokafka.AIOKafkaConsumer(bootstrap_servers=bootstrap, client_id="bounds", group_id=None)
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await consumer.start()
            found: Bounds = {}
            for topic in choose(await consumer.topics()):
                known = await consumer._client._wait_on_metadata(topic)  # noqa: SLF001 - as scan does
                places = [TopicPartition(topic, partition) for partition in sorted(known)]
                ends = await consumer.end_offsets(places)
                starts = await consumer.beginning_offsets(places)
                found |= {(place.topic, place.partition): (starts[place], ends[place]) for place in places}
            return found
    except (TimeoutError, aiokafka.errors.KafkaError) as error:
        raise ScanError(f"no Kafka answers at {bootstrap}") from error
    finally:
        # aiokafka's stop has been seen not to come back.
        await asyncio.wait([asyncio.ensure_future(consumer.stop())], timeout=1.0)
