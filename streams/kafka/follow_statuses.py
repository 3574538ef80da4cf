"""Follows what all businesses are told, for people who watch: every topic ``status.*``, from shortly before its end."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

import aiokafka
import aiokafka.errors

from schemas.topics import STATUS_PREFIX
from streams.kafka import clients
from streams.kafka.scan import ScanError
from streams.kafka.way_in import refusal
from streams.runtime import clock
from streams.runtime.kafka_access import Address, Kafka, kafka_at

_BEFORE: Final = 20
"""So many records of each topic are read that stand there already: the newest words of a quiet deployment."""
_POLL_MS: Final = 500
_LOOK_S: Final = 15.0
_REQUEST_TIMEOUT_MS: Final = 5_000


async def follow_statuses(
    bootstrap: Address, *, look_s: float = _LOOK_S
) -> AsyncGenerator[list[tuple[str, bytes | None]], None]:
    """(topic, value) of new statuses in bites, for ever, perhaps empty. Raises :class:`ScanError`.

    Topics of businesses that have been registered meanwhile, and whether Kafka is there, are looked for every ``look_s``.
    """
    kafka = kafka_at(bootstrap)
    consumer = clients.consumer(
        kafka, "status-view", auto_offset_reset="latest", request_timeout_ms=_REQUEST_TIMEOUT_MS
    )
    try:
        await consumer.start()
        looked_ms: int | None = None
        while True:
            if looked_ms is None or clock.monotonic_ms() - looked_ms >= look_s * 1_000:
                await _look(consumer, kafka)
                looked_ms = clock.monotonic_ms()
            if not consumer.assignment():
                await asyncio.sleep(_POLL_MS / 1_000)
                continue
            fetched = await consumer.getmany(timeout_ms=_POLL_MS)
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
