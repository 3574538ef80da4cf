"""Reads ranges of logs: what a journal needs before it can decide, what a gap held, and the newest record that says something.

One consumer without a group for all journals of a process, all partitions assigned and paused from the start. A read
seeks, resumes, takes what it asked for, pauses again; an idle reader sends nothing. Reads of different partitions may
run side by side. Nothing here is retried for long: a read that makes no progress ends the process.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar

import aiokafka
import aiokafka.errors
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.kafka import clients
from streams.kafka.admin import admin, own_topics
from streams.kafka.faust_app.commits import Place
from streams.runtime import clock
from streams.runtime.exits import Exit, fatal
from streams.runtime.kafka_access import Address

_FETCH_MAX_WAIT_MS = 50
_FETCH_BYTES = 4 * 1024 * 1024
"""Folds are fetched in large pieces; records are below 1 MB."""
_TURN_MS = 10
"""Milliseconds that folding what was read may take in one turn of the loop, for each shard that folds."""
_BITE = 1_000
"""Records that are parsed in one turn."""
_PROGRESS_DEADLINE_S = 10.0
"""A fold may take longer than this, a fetch within it may not: above a leader election (6 s) and its aftermath."""


class LogRecord(NamedTuple):
    """Holds a record of a log as it stands there."""

    offset: int
    timestamp_ms: int
    """Log time: when the broker appended it, milliseconds since the epoch."""
    key: bytes | None
    value: bytes


class TrimmedError(Exception):
    """The log no longer holds the offset from which it was to be read."""


class LogReader:
    """Reads any range of the ``places`` it was made for. ``name`` shows up in the broker's logs."""

    def __init__(self, bootstrap: Address, name: str, places: Iterable[Place]) -> None:
        self._bootstrap = bootstrap
        self._name = name
        self._busy = {clients.place(bootstrap, *place): asyncio.Lock() for place in places}
        self._consumer: aiokafka.AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Connect; all partitions are assigned and paused."""
        consumer = clients.consumer(
            self._bootstrap,
            self._name,
            auto_offset_reset="none",
            fetch_max_wait_ms=_FETCH_MAX_WAIT_MS,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        try:
            await consumer.start()
        except BaseException:
            await _closed(consumer)
            raise
        # No await between these: a fetch before the pause would ask for a position that nobody has chosen.
        consumer.assign(list(self._busy))
        for tp in self._busy:
            consumer.seek(tp, 0)
        consumer.pause(*self._busy)
        self._consumer = consumer

    async def stop(self) -> None:
        """Close."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await _closed(consumer)

    async def bounds(self, place: Place) -> tuple[int, int]:
        """The log start offset, and the offset that the next append will get."""
        tp = clients.place(self._bootstrap, *place)
        async with self._deadline("bounds", place):
            starts: Mapping[TopicPartition, int] = await self._running().beginning_offsets([tp])
            ends: Mapping[TopicPartition, int] = await self._running().end_offsets([tp])
        return starts[tp], ends[tp]

    async def first_since(self, place: Place, at_ms: int) -> tuple[int, int] | None:
        """Offset and time of the first record appended at or after ``at_ms``; ``None`` when there is none."""
        tp = clients.place(self._bootstrap, *place)
        async with self._deadline("first_since", place):
            found = (await self._running().offsets_for_times({tp: max(at_ms, 0)}))[tp]
        return None if found is None else (found.offset, found.timestamp)

    async def read_one(self, place: Place, offset: int) -> LogRecord:
        """The record at ``offset``, which must exist."""
        records = [record async for bite in self.read(place, offset, offset + 1) for record in bite]
        return records[0]

    async def read(self, place: Place, start: int, stop: int) -> AsyncGenerator[list[LogRecord], None]:
        """The records of ``[start, stop)`` in bites. All of them must have been acknowledged; the log is dense.

        Raises :class:`TrimmedError` when the log begins after ``start``.
        """
        tp = clients.place(self._bootstrap, *place)
        async with self._busy[tp]:
            consumer = self._running()
            consumer.seek(tp, start)
            consumer.resume(tp)
            try:
                while start < stop:
                    async with self._deadline("read", place):
                        bite = await self._bite(consumer, tp, stop)
                        start = await consumer.position(tp)
                    yield bite
            finally:
                consumer.pause(tp)

    async def _bite(self, consumer: aiokafka.AIOKafkaConsumer, tp: TopicPartition, stop: int) -> list[LogRecord]:
        while True:
            try:
                fetched = await consumer.getmany(tp, timeout_ms=200, max_records=_BITE)
            except aiokafka.errors.OffsetOutOfRangeError as error:
                raise TrimmedError(f"{tp.topic}-{tp.partition} no longer holds what was to be read") from error
            if records := fetched.get(tp):
                return [
                    LogRecord(record.offset, record.timestamp, record.key, record.value)
                    for record in records
                    if record.offset < stop
                ]

    def _running(self) -> aiokafka.AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError(f"reader {self._name} is not running")
        return self._consumer

    @contextlib.asynccontextmanager
    async def _deadline(self, step: str, place: Place) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_PROGRESS_DEADLINE_S):
                yield
        except TimeoutError:
            fatal(Exit.DEADLINE, step=step, topic=place[0], partition=place[1], reader=self._name)


_Item = TypeVar("_Item")


async def in_turns(bites: AsyncGenerator[list[_Item], None], *, rest: int = 0) -> AsyncGenerator[_Item, None]:
    """Yields the records of a read to a caller who folds each; a long fold leaves room for others, and for the watchdog's look.

    After each piece of ``_TURN_MS``, and each bite, others have their turn, and on top of that a pause ``rest`` times as long as
    the piece took.
    """
    async with contextlib.aclosing(bites):
        async for bite in bites:
            begun_ms = clock.monotonic_ms()
            for record in bite:
                yield record
                if (took_ms := clock.monotonic_ms() - begun_ms) >= _TURN_MS:
                    await asyncio.sleep(rest * took_ms / 1000)
                    begun_ms = clock.monotonic_ms()
            await asyncio.sleep(rest * (clock.monotonic_ms() - begun_ms) / 1000)


async def by_time(
    reads: Mapping[Place, AsyncGenerator[list[LogRecord], None]],
) -> AsyncGenerator[list[tuple[Place, LogRecord]], None]:
    """Yields the records of several reads in bites, by the time of their logs; of one time those of the first read come first."""
    async with contextlib.AsyncExitStack() as closing:
        for read in reads.values():
            await closing.enter_async_context(contextlib.aclosing(read))
        waiting: dict[Place, deque[LogRecord]] = {place: deque() for place in reads}
        while waiting:
            for place in [place for place, records in waiting.items() if not records]:
                bite = await anext(reads[place], None)
                if bite is None:
                    del waiting[place]
                else:
                    waiting[place].extend(bite)
            merged: list[tuple[Place, LogRecord]] = []
            while waiting and all(waiting.values()):
                first = min(waiting, key=lambda place: waiting[place][0].timestamp_ms)
                merged.append((first, waiting[first].popleft()))
            if merged:
                yield merged


async def _closed(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Closes a consumer. aiokafka's stop has been seen not to come back, so it gets a second."""
    await asyncio.wait([asyncio.ensure_future(consumer.stop())], timeout=1.0)


_T = TypeVar("_T")


async def existing(bootstrap: Address, topics: Collection[str]) -> set[str]:
    """Returns those of ``topics`` that exist; none while Kafka does not answer."""
    try:
        async with admin(bootstrap) as client:
            return set(topics) & await own_topics(client, bootstrap)
    except KafkaError:
        return set()


async def newest(
    bootstrap: Address, topics: Collection[str], read: Callable[[bytes], _T | None]
) -> dict[str, _T | None]:
    """Returns what ``read`` makes of the newest record of each topic that it can make something of; None if there is none.

    The topics exist and have one partition. Ends the process when Kafka gives nothing (:class:`LogReader`).
    """
    async with _reader_of(bootstrap, topics) as reader:
        return {topic: await _newest(reader, topic, read) for topic in topics}


async def _newest(reader: LogReader, topic: str, read: Callable[[bytes], _T | None]) -> _T | None:
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
async def _reader_of(bootstrap: Address, topics: Collection[str]) -> AsyncIterator[LogReader]:
    reader = LogReader(bootstrap, "newest", [(topic, 0) for topic in topics])
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()
