"""The producers' way into Kafka: appends that end in a place or in an exception.

Unlike the kernel's confirmed producer this one never ends the process it runs in: it lives in other people's programs.
An append whose fate is unknown may still happen later, which is harmless here, because a request has a name (source, id)
and Fanfare accepts a name once: publish the same bytes again.

While Kafka is away the library repeats by itself, in order and without doubles, for as long as the producer lives. A batch
that fails for good leaves a gap in its producer's numbering, after which the broker takes nothing more from it: such a
producer is replaced before the next append.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable
from typing import Any, Final, NamedTuple

import aiokafka
import aiokafka.errors

from streams.kafka import clients
from streams.kafka.producer import LearnsTime, Outgoing
from streams.kafka.way_in import NOT_GRANTED, may_not_write, may_write_nothing, refusal, under
from streams.runtime import clock
from streams.runtime.kafka_access import Address, kafka_at

DEADLINE_S: Final = 15.0
"""Longer than a leader election; after it a publish is unknown."""
CONNECT_S: Final = 5.0
"""For so long somebody is waited for at the bootstrap address."""
_ASK_AGAIN_S: Final = 0.2
_BATCH_BYTES: Final = 256 * 1024
_STOP_S: Final = 5.0

# The exceptions say it. A program that has set up no logging would otherwise get aiokafka's warnings on its standard error.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())

_REFUSED: Final = (
    aiokafka.errors.MessageSizeTooLargeError,
    aiokafka.errors.TopicAuthorizationFailedError,
    aiokafka.errors.ClusterAuthorizationFailedError,
    aiokafka.errors.InvalidTopicError,
    aiokafka.errors.InvalidTimestampError,
    aiokafka.errors.PolicyViolationError,
)
"""Exceptions for a record that a broker will not take, however often it is sent."""


class PublishError(Exception):
    """A record could not be published as asked.

    ``unknown``: it may be in the log, or come into it later. ``again``: the same record may be appended if it is sent again at
    once; otherwise time or a person has to change something first.
    """

    def __init__(self, sentence: str, *, unknown: bool, again: bool = False) -> None:
        super().__init__(sentence)
        self.unknown = unknown
        self.again = again


class NotGrantedError(PublishError):
    """Kafka knows us and does not let us write there; the next attempt would end the same way."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, unknown=False)


class NoKafkaError(PublishError):
    """Nobody answers at the bootstrap address, or who does lets us not in: ``why``."""

    def __init__(self, bootstrap: Address, tried_s: float, why: str | None = None) -> None:
        super().__init__(
            why
            or f"no Kafka answers at {bootstrap} (tried for {tried_s:g} s): is that the address? "
            "`fanfare kafka up` starts one on this machine",
            unknown=False,
        )


class Place(NamedTuple):
    """Where a record stands, and the broker's time of it. An offset of -1: it is there, but nobody remembers where."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Log time: when the broker appended it, milliseconds since the epoch."""


class Publisher:
    """An idempotent producer (acks=all) for programs that are not ours to end. One event loop; start, then stop.

    ``deadline_s`` is how long an append may take until it counts as unknown; the library goes on with it all the same.
    ``time`` learns Kafka's time from the acknowledgements.
    """

    def __init__(
        self,
        bootstrap: Address,
        name: str = "fanfare-client",
        *,
        deadline_s: float = DEADLINE_S,
        connect_s: float = CONNECT_S,
        time: LearnsTime | None = None,
    ) -> None:
        self._kafka = kafka_at(bootstrap)
        self._name = name
        self._deadline_s = deadline_s
        self._connect_s = connect_s
        self._time = time
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._broken: aiokafka.AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()

    async def start(self) -> None:
        """Connects.

        Raises :class:`NoKafkaError` when nobody has answered at the bootstrap address for ``connect_s``, and
        :class:`NotGrantedError` for who may write no topic at all.
        """
        self._producer = await self._connected()

    async def _connected(self) -> aiokafka.AIOKafkaProducer:
        try:
            async with asyncio.timeout(self._connect_s):
                while True:
                    if (producer := await self._tried()) is not None:
                        return producer
                    await asyncio.sleep(_ASK_AGAIN_S)
        except TimeoutError as error:
            raise NoKafkaError(self._kafka, self._connect_s, await refusal(self._kafka)) from error

    async def _tried(self) -> aiokafka.AIOKafkaProducer | None:
        producer = clients.producer(
            self._kafka,
            self._name,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=int(DEADLINE_S * 1000),
        )
        # A batch that waits for a leader would be dropped after the request's time-out, and those behind it sent.
        producer._message_accumulator._batch_ttl = math.inf  # noqa: SLF001 - there is no option for it
        try:
            await producer.start()
        except NOT_GRANTED as error:
            await producer.stop()
            raise NotGrantedError(may_write_nothing(self._kafka)) from error
        except aiokafka.errors.KafkaError:
            await producer.stop()
            return None
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def stop(self) -> None:
        """Send what is buffered, for at most five seconds, and close."""
        producer, self._producer, self._broken = self._producer, None, None
        if producer is not None:
            await _close(producer)

    async def partitions(self, topic: str) -> int:
        """Returns how many partitions ``topic`` has; :class:`PublishError` if it does not exist."""
        try:
            return len(await self._running().partitions_for(self._kafka.name(topic)))
        except NOT_GRANTED as error:
            raise NotGrantedError(may_not_write(self._kafka, topic, error)) from error
        except aiokafka.errors.KafkaError as error:
            raise PublishError(
                f"there is no topic {self._kafka.name(topic)}{under(self._kafka)}: `fanfare provision` makes it",
                unknown=False,
            ) from error

    @property
    def broken(self) -> bool:
        """Returns whether the next append gets a new producer, and with it overtakes what the old one did not place."""
        return self._broken is not None

    async def enqueue(self, record: Outgoing) -> Awaitable[Place]:
        """Put ``record`` into the queue of its partition, in the order of calls; await the result for its place."""
        if self._broken is not None:
            await self._replace()
        producer, sent_ms = self._running(), clock.monotonic_ms()
        try:
            future = await producer.send(
                self._kafka.name(record.topic),
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
        except NOT_GRANTED as error:
            raise NotGrantedError(may_not_write(self._kafka, record.topic, error)) from error
        except aiokafka.errors.KafkaError as error:
            again = not isinstance(error, _REFUSED)
            if again and not isinstance(error, aiokafka.errors.KafkaTimeoutError):
                self._broken = producer
            raise PublishError(self._refused(record, error), unknown=False, again=again) from error
        return self._placed(record, future, producer, sent_ms)

    async def _replace(self) -> None:
        """Once for all who wait: what the broken producer still holds is given five seconds."""
        async with self._replacing:
            if self._broken is None:
                return
            if self._broken is self._producer:
                await _close(self._broken)
                self._producer = None
            if self._producer is None:
                self._producer = await self._connected()
            self._broken = None

    async def publish(self, record: Outgoing) -> Place:
        """Append one record; its place. Cancelling the caller does not take it back."""
        return await (await self.enqueue(record))

    async def _placed(
        self, record: Outgoing, future: "asyncio.Future[Any]", producer: aiokafka.AIOKafkaProducer, sent_ms: int
    ) -> Place:
        try:
            async with asyncio.timeout(self._deadline_s):
                done = await asyncio.shield(future)
        except TimeoutError as error:
            raise PublishError(self._silent(record, "Timeout"), unknown=True) from error
        except aiokafka.errors.KafkaError as error:
            self._broken = producer
            if isinstance(error, NOT_GRANTED):
                raise NotGrantedError(may_not_write(self._kafka, record.topic, error)) from error
            if isinstance(error, _REFUSED):
                raise PublishError(self._refused(record, error), unknown=False) from error
            raise PublishError(self._silent(record, _name(error)), unknown=True, again=True) from error
        if done is None:
            return Place(record.topic, -1 if record.partition is None else record.partition, -1, 0)
        if self._time is not None and done.timestamp:
            self._time.note((done.topic, done.partition), done.timestamp, sent_ms)
        return Place(record.topic, done.partition, done.offset, done.timestamp or 0)

    def _refused(self, record: Outgoing, error: BaseException) -> str:
        return f"{self._kafka.name(record.topic)} does not take the record: {_name(error)}"

    def _silent(self, record: Outgoing, why: str) -> str:
        return f"{self._kafka.name(record.topic)} did not acknowledge the record ({why}); publish the same event again"

    def _running(self) -> aiokafka.AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError("the publisher is not started")
        return self._producer


async def _close(producer: aiokafka.AIOKafkaProducer) -> None:
    await asyncio.wait([asyncio.ensure_future(producer.stop())], timeout=_STOP_S)


def _name(error: BaseException) -> str:
    return type(error).__name__.removesuffix("Error")
