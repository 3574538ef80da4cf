"""Follows what all businesses are told, for people who watch: every topic ``status.*``, from shortly before its end."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

import aiokafka
import aiokafka.errors
from aiokafka import TopicPartition

from schemas.topics import STATUS_PREFIX
from streams.kafka.scan import ScanError
from streams.runtime import clock

_BEFORE: Final = 20
"""So many records of each topic are read that stand there already: the newest words of a quiet deployment."""
_POLL_MS: Final = 500
_LOOK_S: Final = 15.0
_REQUEST_TIMEOUT_MS: Final = 5_000


async def follow_statuses(
    bootstrap: str, *, look_s: float = _LOOK_S
) -> AsyncGenerator[list[tuple[str, bytes | None]], None]:
    """(topic, value) of new statuses in bites, for ever, perhaps empty. Raises :class:`ScanError`.

    Topics of businesses that have been registered meanwhile, and whether Kafka is there, are looked for every ``look_s``.
    """
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        client_id="status-view",
        group_id=None,
        auto_offset_reset="latest",
        enable_auto_commit=False,
        request_timeout_ms=_REQUEST_TIMEOUT_MS,
    )
    try:
        await consumer.start()
        looked_ms: int | None = None
        while True:
            if looked_ms is None or clock.monotonic_ms() - looked_ms >= look_s * 1_000:
                await _look(consumer)
                looked_ms = clock.monotonic_ms()
            if not consumer.assignment():
                await asyncio.sleep(_POLL_MS / 1_000)
                continue
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
            yield [(record.topic, record.value) for records in fetched.values() for record in records]
    except aiokafka.errors.KafkaError as error:
        raise ScanError(f"no Kafka answers at {bootstrap}") from error
    finally:
        with contextlib.suppress(aiokafka.errors.KafkaError):
            await consumer.stop()


async def _look(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Go on where it stands in topics that are known, and begin in those that are new."""
    wanted = {TopicPartition(topic, 0) for topic in await consumer.topics() if topic.startswith(STATUS_PREFIX)}
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
