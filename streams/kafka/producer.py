"""Appends to logs for sure: an append has happened, or the process ends.

A broker that knows us and does not let us write has not taken the record, and would not take it from the next process either:
that ends with the status after which nobody starts it again as it is.

Idempotent, acks=all. An append that is not acknowledged within its deadline, fails, or is acknowledged without an
offset is *unknown*: it may stand in the log or appear in it later. aiokafka's idempotent mode retries for ever, so a
caller that gave up and went on could be overtaken by its own record; hence exit, and the next claim reads what really
happened (PROTOCOL.md section 1.2, rule 4). A process has one producer for its journals and another one for charges,
status and dead letters, so that these never wait in one another's batches.

A resumed producer is the same producer to Kafka as the dead process before it: what that had under way cannot be doubled. A
broker keeps, for each producer id and partition, the sequence number of the last record, and takes only the next one. As a
rule each process gets an id of its own, so the append that a killed process had on its way may still come after its successor
has read the end of the log, and stands there twice. Here the id is kept and handed on, and the sequence number of a record is
its number in the log, counted by the caller. Of two appends of the same number the broker takes the one that comes first: it
answers a repeat of the same batch with its offset, and refuses whatever else is not next, which ends the process
(:class:`ConfirmedProducer`); the next one reads the log again.
"""

import asyncio
from collections.abc import Hashable, Sequence
from typing import Any, Final, NamedTuple, NoReturn, Protocol

import aiokafka
import aiokafka.errors
import msgspec

from streams.kafka import clients
from streams.kafka.way_in import NOT_GRANTED, may_not_write, may_write_nothing
from streams.runtime import clock
from streams.runtime.exits import Exit, fatal
from streams.runtime.kafka_access import Address, kafka_at

APPEND_DEADLINE_MS = 4_000
"""Of a journal. No length of it is unsafe, because nothing is acted on before it is acknowledged and checked. It is above a
leader election on a quiet cluster, and below the session time-out of the group: an owner that hears nothing is gone before
its shards are given away."""
REPEATABLE_DEADLINE_MS = 10_000
"""Of what may be written again by anybody (work, charges, statuses, dead letters): no ownership hangs on it, so it outlasts
the loss of a broker, which is its session and an election, and a backlog of the broker's. Far below the age at which a
process counts as stuck."""
_BATCH_BYTES = 256 * 1024
"""Only filled when appends are pipelined; a larger record gets a batch of its own."""


class Outgoing(msgspec.Struct, frozen=True):
    """Holds a record to append. Without a partition the key decides (murmur2, as Java does)."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Appended(NamedTuple):
    """Where a record stands now, and the broker's time of it."""

    offset: int
    timestamp_ms: int
    """Log time: when the broker appended it, milliseconds since the epoch."""


class LearnsTime(Protocol):
    """Learns Kafka's time (``kafka_time.py``). A protocol, for producers are part of the client, which has no metrics."""

    def note(self, place: Hashable, appended_ms: int, sent_ms: int) -> None:
        """Takes note of an acknowledgement that has just come: LogAppendTime, and the monotonic time of sending."""


class ConfirmedProducer:
    """Appends records and confirms each. ``name`` tells producers of one process apart in the broker's logs.

    ``time`` learns Kafka's time from the acknowledgements.
    """

    def __init__(
        self,
        bootstrap: Address,
        name: str,
        *,
        linger_ms: int = 0,
        deadline_ms: int = APPEND_DEADLINE_MS,
        time: LearnsTime | None = None,
    ) -> None:
        self._kafka = kafka_at(bootstrap)
        self._name = name
        self._linger_ms = linger_ms
        self._time = time
        self._deadline_s = deadline_ms / 1000
        self._producer: aiokafka.AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect and obtain a producer id. Ends the process if it is given none."""
        producer = clients.producer(self._kafka, self._name, linger_ms=self._linger_ms, max_batch_size=_BATCH_BYTES)
        self._prepared(producer)
        self._producer = producer
        try:
            await producer.start()
        except NOT_GRANTED:
            fatal(Exit.REFUSED_START, producer=self._name, detail=may_write_nothing(self._kafka))

    async def stop(self) -> None:
        """Send what is buffered and close. At most the append deadline."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await asyncio.wait([asyncio.ensure_future(producer.stop())], timeout=self._deadline_s)

    async def append(
        self,
        topic: str,
        partition: int | None,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> int:
        """Append one record; its offset. Ends the process when the outcome is unknown.

        Cancelling the caller does not cancel the append.
        """
        appended = await self.confirm([Outgoing(topic, value, key, partition, headers)])
        return appended[0].offset

    async def send_many(self, records: Sequence[Outgoing]) -> list[int]:
        """Append all, pipelined and in order within each partition; their offsets. One deadline for all of them.

        Offsets are only informative here: an idempotent retry may be acknowledged without its true one.
        """
        return [appended.offset for appended in await self.confirm(records)]

    async def confirm(self, records: Sequence[Outgoing]) -> list[Appended]:
        """As :meth:`send_many`, with times."""
        try:
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.shield(asyncio.ensure_future(self._confirm(records)))
        except TimeoutError:
            self._unknown(records, "deadline")

    async def _confirm(self, records: Sequence[Outgoing]) -> list[Appended]:
        try:
            return await self._appended(records)
        except aiokafka.errors.KafkaError as error:
            self._unknown(records, type(error).__name__)

    async def _appended(self, records: Sequence[Outgoing]) -> list[Appended]:
        """Appends; raises ``KafkaError`` if that failed, or may have, for a reason that may pass."""
        try:
            sent_ms = clock.monotonic_ms()
            waiting = [await self._send(record) for record in records]
            return [self._checked(records, await future, sent_ms) for future in waiting]
        except aiokafka.errors.MessageSizeTooLargeError:
            fatal(Exit.OVERSIZE, producer=self._name, topic=records[0].topic)
        except NOT_GRANTED as error:
            fatal(Exit.REFUSED_START, producer=self._name, detail=may_not_write(self._kafka, records[0].topic, error))

    async def _send(self, record: Outgoing) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = await self._running().send(
            self._kafka.name(record.topic),
            value=record.value,
            key=record.key,
            partition=record.partition,
            headers=list(record.headers),
        )
        return future

    def _prepared(self, producer: aiokafka.AIOKafkaProducer) -> None:
        """Called before it connects; a subclass may say who it is."""

    def _running(self) -> aiokafka.AIOKafkaProducer:
        if self._producer is None:
            raise RuntimeError(f"producer {self._name} is not running")
        return self._producer

    def _checked(self, records: Sequence[Outgoing], done: Any, sent_ms: int) -> Appended:
        # aiokafka reports success without an offset when the broker remembers the sequence but not where it put it.
        if done is None or done.offset < 0:
            self._unknown(records, "no_offset")
        if self._time is not None:
            self._time.note((done.topic, done.partition), done.timestamp, sent_ms)
        return Appended(done.offset, done.timestamp)

    def _unknown(self, records: Sequence[Outgoing], why: str) -> NoReturn:
        first = records[0]
        fatal(Exit.UNKNOWN_APPEND, producer=self._name, topic=first.topic, partition=first.partition, why=why)


_SEQUENCES: Final = 2**31


class ProducerIdentity(NamedTuple):
    """The id by which a broker tells producers apart, and its epoch."""

    id: int
    epoch: int


class ResumedProducer(ConfirmedProducer):
    """Appends under ``identity`` if there is one, else under a new one; say where with :meth:`resume` before the first append."""

    def __init__(
        self,
        bootstrap: Address,
        name: str,
        identity: ProducerIdentity | None,
        *,
        deadline_ms: int,
        time: LearnsTime | None = None,
    ) -> None:
        super().__init__(bootstrap, name, deadline_ms=deadline_ms, time=time)
        self._kept = identity

    @property
    def identity(self) -> ProducerIdentity:
        """Returns the identity under which it appends; it is running."""
        manager = self._running()._txn_manager  # noqa: SLF001 - examined internals, checked by selftest
        return ProducerIdentity(manager.producer_id, manager.producer_epoch)

    def resume(self, topic: str, partition: int, written: int) -> None:
        """Continues a log of which this identity wrote the first ``written`` records, and nobody else any."""
        manager = self._running()._txn_manager  # noqa: SLF001 - examined internals, checked by selftest
        place = clients.place(self._kafka, topic, partition)
        manager.increment_sequence_number(place, written % _SEQUENCES - manager.sequence_number(place))

    def _prepared(self, producer: aiokafka.AIOKafkaProducer) -> None:
        if self._kept is not None:
            producer._txn_manager.set_pid_and_epoch(*self._kept)  # noqa: SLF001 - examined internals, checked by selftest
