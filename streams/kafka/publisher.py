"""The producers' way into Kafka: appends that end in a place or in an exception.

Unlike the kernel's confirmed producer this one never ends the process it runs in: it lives in other people's programs.
An append whose fate is unknown may still happen later, which is harmless here, because a request has a name (source, id)
and Fanfare accepts a name once: publish the same bytes again.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, NamedTuple

import aiokafka
import aiokafka.errors

from streams.kafka.producer import Outgoing

DEADLINE_S: Final = 15.0
"""Longer than a leader election; after it a publish is unknown."""
_BATCH_BYTES: Final = 256 * 1024
_STOP_S: Final = 5.0


class PublishError(Exception):
    """A record could not be published as asked. ``unknown``: it may be in the log, or come into it later."""

    def __init__(self, sentence: str, *, unknown: bool) -> None:
        super().__init__(sentence)
        self.unknown = unknown


class Place(NamedTuple):
    """Where a record stands, and the broker's time of it. An offset of -1: it is there, but nobody remembers where."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Publisher:
    """An idempotent producer (acks=all) for programs that are not ours to end. One event loop; start, then stop."""

    def __init__(self, bootstrap: str, name: str = "fanfare-client") -> None:
        self._bootstrap = bootstrap
        self._name = name
        self._producer: aiokafka.AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect; :class:`PublishError` when nobody answers at the bootstrap address."""
        producer = aiokafka.AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            client_id=self._name,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=int(DEADLINE_S * 1000),
        )
        try:
            await producer.start()
        except aiokafka.errors.KafkaError as error:
            await producer.stop()
            raise PublishError(f"no Kafka answers at {self._bootstrap}", unknown=False) from error
        self._producer = producer

    async def stop(self) -> None:
        """Send what is buffered, for at most five seconds, and close."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await asyncio.wait([asyncio.ensure_future(producer.stop())], timeout=_STOP_S)

    async def partitions(self, topic: str) -> int:
        """How many partitions ``topic`` has; :class:`PublishError` if it does not exist."""
        try:
            return len(await self._running().partitions_for(topic))
        except aiokafka.errors.KafkaError as error:
            raise PublishError(f"there is no topic {topic}, or it may not be written", unknown=False) from error

    async def enqueue(self, record: Outgoing) -> Awaitable[Place]:
        """Put ``record`` into the queue of its partition, in the order of calls; await the result for its place."""
        try:
            future = await self._running().send(
                record.topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
        except aiokafka.errors.KafkaError as error:
            raise PublishError(f"{record.topic} does not take the record: {_name(error)}", unknown=False) from error
        return self._placed(record, future)

    async def publish(self, record: Outgoing) -> Place:
        """Append one record; its place. Cancelling the caller does not take it back."""
        return await (await self.enqueue(record))

    async def _placed(self, record: Outgoing, future: "asyncio.Future[Any]") -> Place:
        try:
            async with asyncio.timeout(DEADLINE_S):
                done = await asyncio.shield(future)
        except (TimeoutError, aiokafka.errors.KafkaError) as error:
            raise PublishError(
                f"{record.topic} did not acknowledge the record ({_name(error)}); publish the same event again",
                unknown=True,
            ) from error
        if done is None:
            return Place(record.topic, -1 if record.partition is None else record.partition, -1, 0)
        return Place(done.topic, done.partition, done.offset, done.timestamp or 0)

    def _running(self) -> aiokafka.AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the publisher is not started")
        return self._producer


def _name(error: BaseException) -> str:
    return type(error).__name__.removesuffix("Error")
