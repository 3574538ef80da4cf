"""Following a topic from its beginning (or an offset) for ever, and knowing how fresh what one knows is.

Used for registry, controls, suppressions and audience.changes, which every worker folds whole. No group, nothing
committed.

*Freshness.* A message may be decided only if the tail of suppressions has seen everything that was acknowledged up to
100 ms ago (PROTOCOL.md section 1.7). aiokafka stamps a partition when it *processes* a fetch response; after a pause
that can be seconds after the broker wrote it, and the stamp would lie by exactly the pause it should reveal. So we
take the time at which the fetch was *sent*: whatever was acknowledged before that is covered by the high watermark in
the response. A fetch that finds nothing returns after ``wait_ms`` w, so an idle tail is between w and 2w old: 40 ms
keep below 100. Each such fetch costs about 0.7 ms of CPU; tails that need no such freshness wait longer.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import aiokafka
import aiokafka.errors
from aiokafka import TopicPartition

from streams.kafka import clients
from streams.kafka.reader import LogRecord
from streams.kafka.way_in import NOT_GRANTED, may_not, refusal
from streams.runtime import clock
from streams.runtime.events import Event
from streams.runtime.exits import Exit, fatal
from streams.runtime.kafka_access import Address, kafka_at
from streams.runtime.log import log

REGISTRY_WAIT_MS = 500
"""Milliseconds that a fetch of the registry may find nothing. A change comes at once all the same."""

_WAIT_MS = 40
_FETCH_BYTES = 4 * 1024 * 1024
_BITE_BYTES = 128 * 1024
"""Bytes of values that are applied in one turn of the loop: some 6 ms of audience, the dearest to fold."""
_BITE_RECORDS = 128
"""Records in one turn: as long, where each names one person."""
_START_DEADLINE_S = 10.0
_LOOK_S = 1.0
"""Seconds after which somebody who waits for a tail looks again how far it is."""
_TELL_MS = 5_000
"""Milliseconds between two lines of log about it."""

NEVER_MS = 2**62
"""The age of what has never been fresh."""

ApplyBatch = Callable[[int, Sequence[LogRecord]], None]
"""Takes a partition and its next records, in order; synchronous, so that it is one step with the position."""


class Progress:
    """Judges whether something that is read to an end moves. ``patience_ms``: for so long it may stand still."""

    def __init__(self, behind: int, now_ms: int, *, patience_ms: int) -> None:
        self.behind = behind
        self.stands_still = False
        self.to_be_told = False
        """True if somebody waits for so long that a line of log is due."""
        self._patience_ms = patience_ms
        self._moved_ms = self._told_ms = now_ms

    def note(self, behind: int, now_ms: int) -> None:
        """Take note of how much is left at a time of the monotonic clock."""
        if behind < self.behind:
            self.behind, self._moved_ms = behind, now_ms
        self.stands_still = behind > 0 and now_ms - self._moved_ms >= self._patience_ms
        self.to_be_told = behind > 0 and now_ms - self._told_ms >= _TELL_MS
        if self.to_be_told:
            self._told_ms = now_ms


class Tail:
    """A tail of one topic. ``partitions`` of ``None`` means all; ``start`` gives offsets, default the beginning."""

    def __init__(
        self,
        bootstrap: Address,
        topic: str,
        apply: ApplyBatch,
        *,
        partitions: Sequence[int] | None = None,
        start: Mapping[int, int] | None = None,
        wait_ms: int = _WAIT_MS,
    ) -> None:
        self.topic = topic
        self._kafka = kafka_at(bootstrap)
        self._apply = apply
        self._partitions = partitions
        self._start = dict(start or {})
        self._wait_ms = wait_ms
        self.if_trimmed = ""
        """Says what to do if the log does not hold an offset of ``start``, when the process ends for it."""
        self._applied: dict[int, int] = {}
        self._fresh_ms: dict[int, int] = {}
        self._asked: dict[int, tuple[int, int]] = {}
        """Partition -> when the last answered fetch was sent, and the high watermark that it brought."""
        self._moved = asyncio.Event()
        self._consumer: aiokafka.AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and follow from now on. A topic that does not exist ends the process."""
        consumer = clients.consumer(
            self._kafka,
            f"tail-{self.topic}",
            auto_offset_reset="none",
            fetch_max_wait_ms=self._wait_ms,
            max_partition_fetch_bytes=_FETCH_BYTES,
        )
        try:
            await consumer.start()
        except aiokafka.errors.KafkaError:
            if (why := await refusal(self._kafka, sure=True)) is not None:
                fatal(Exit.REFUSED_START, detail=why)
            fatal(Exit.DEADLINE, step="tail_start", topic=self.topic)
        self._time_fetches(consumer._fetcher)  # noqa: SLF001 - hooked internals, checked by selftest
        self._consumer = consumer
        await self._position(consumer)
        self._task = asyncio.ensure_future(self._follow(consumer))
        self._task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Follow no longer."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await asyncio.wait([asyncio.ensure_future(consumer.stop())], timeout=1.0)

    def fresh_ms(self, partition: int) -> int:
        """Age of what is known of ``partition``: everything acknowledged longer ago has been applied."""
        seen_ms = self._fresh_ms.get(partition)
        return NEVER_MS if seen_ms is None else clock.monotonic_ms() - seen_ms

    def applied(self, partition: int) -> int:
        """The offset of ``partition`` up to which (exclusive) everything has been applied."""
        return self._applied.get(partition, 0)

    def lag(self) -> int:
        """Records between what was applied and the end of the topic, as of the last answer for each partition."""
        return sum(max(0, end - self._applied[partition]) for partition, (_, end) in self._asked.items())

    async def caught_up(self, patience_s: float) -> None:
        """Return when everything that stood in the topic at the time of the call has been applied.

        However long that takes: as long as it moves, a line of log says now and then how far it is. Exits if it has stood still
        for ``patience_s``.
        """
        assert self._consumer is not None
        try:
            async with asyncio.timeout(patience_s):
                ends = await self._consumer.end_offsets([self._place(p) for p in self._applied])
        except TimeoutError:
            self._stands_still(patience_s, None)
        progress = Progress(self._behind(ends), clock.monotonic_ms(), patience_ms=int(patience_s * 1000))
        while progress.behind:
            self._moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_LOOK_S, patience_s)):
                    await self._moved.wait()
            progress.note(self._behind(ends), clock.monotonic_ms())
            if progress.stands_still:
                self._stands_still(patience_s, progress.behind)
            if progress.to_be_told:
                log(Event.CATCHING_UP, component="tail", topic=self.topic, behind=progress.behind)

    def _behind(self, ends: Mapping[TopicPartition, int]) -> int:
        """Returns how many offsets are not applied of those before ``ends``."""
        return sum(max(0, end - self._applied[tp.partition]) for tp, end in ends.items())

    def _stands_still(self, patience_s: float, behind: int | None) -> NoReturn:
        left = "its end could not be asked for" if behind is None else f"{behind} offsets of it are not read"
        detail = f"reading {self._kafka.name(self.topic)} has not moved for {patience_s:g} s: {left}"
        fatal(Exit.DEADLINE, step="caught_up", topic=self.topic, behind=behind, detail=detail)

    def _place(self, partition: int) -> TopicPartition:
        return clients.place(self._kafka, self.topic, partition)

    async def _position(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        try:
            async with asyncio.timeout(_START_DEADLINE_S):
                known = await consumer._client._wait_on_metadata(self._kafka.name(self.topic))  # noqa: SLF001
                tps = [self._place(p) for p in sorted(self._partitions or known)]
                starts = await consumer.beginning_offsets(tps)
        except NOT_GRANTED:
            fatal(Exit.REFUSED_START, detail=may_not(self._kafka, f"read {self._kafka.name(self.topic)}"))
        except (TimeoutError, aiokafka.errors.KafkaError):
            fatal(Exit.DEADLINE, step="tail_start", topic=self.topic)
        consumer.assign(tps)
        for tp in tps:
            offset = self._start.get(tp.partition, starts[tp])
            consumer.seek(tp, offset)
            self._applied[tp.partition] = offset

    async def _follow(self, consumer: aiokafka.AIOKafkaConsumer) -> None:
        while True:
            fetched = await consumer.getmany(timeout_ms=1_000)
            for tp, records in fetched.items():
                for bite in _bites(records):
                    self._apply(tp.partition, bite)
                    self._applied[tp.partition] = bite[-1].offset + 1
                    # A start reads the whole topic: megabytes at once, beside a loop that answers its health and its watchdog.
                    await asyncio.sleep(0)
                # Not the last offset: compaction leaves holes, also at the end of what was fetched.
                self._applied[tp.partition] = await consumer.position(tp)
                self._judge(tp.partition)
            self._moved.set()
            await asyncio.sleep(0)

    def _time_fetches(self, fetcher: Any) -> None:
        answered = fetcher._proc_fetch_request  # noqa: SLF001

        async def timed(assignment: Any, node_id: int, request: Any) -> bool:
            sent_ms = clock.monotonic_ms()
            states = {row[0]: assignment.state_value(self._place(row[0])) for _, rows in request.topics for row in rows}
            before = {partition: state.timestamp for partition, state in states.items()}
            woken: bool = await answered(assignment, node_id, request)
            for partition, state in states.items():
                if state.timestamp != before[partition]:
                    self._asked[partition] = (sent_ms, state.highwater)
                    self._judge(partition)
            return woken

        fetcher._proc_fetch_request = timed  # noqa: SLF001

    def _judge(self, partition: int) -> None:
        asked = self._asked.get(partition)
        if asked is not None and self._applied[partition] >= asked[1]:
            self._fresh_ms[partition] = asked[0]

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            return
        error = task.exception()
        told = {"step": "tail", "topic": self.topic, "error": type(error).__name__}
        if isinstance(error, aiokafka.errors.OffsetOutOfRangeError):
            fatal(Exit.TRIMMED, **told, detail=self.if_trimmed)
        fatal(Exit.CRASHED, **told)


def _bites(records: Sequence[Any]) -> Iterator[list[LogRecord]]:
    """Yields aiokafka's ``records`` in order, in pieces that one turn of the loop may take."""
    bite: list[LogRecord] = []
    size = 0
    for record in records:
        bite.append(LogRecord(record.offset, record.timestamp, record.key, record.value))
        size += len(record.value or b"")
        if size >= _BITE_BYTES or len(bite) >= _BITE_RECORDS:
            yield bite
            bite, size = [], 0
    if bite:
        yield bite
