"""Reads request topics and writes down their events: what is there already, or what comes.

What was read is written: after `live` ended, however it did, `drain` takes what stood in the queue.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from broker.registry.fold import Registry
from streams.dev.recordings.capture import captured
from streams.dev.recordings.files import Writer, line_of
from streams.dev.recordings.pseudonyms import Pseudonyms
from streams.kafka.scan import Record, follow, scan
from streams.runtime.kafka_access import Address
from streams.runtime.signals import first_error

_QUEUED: Final = 1_000
_FLUSH_S: Final = 1.0
"""A recording that is killed lacks at most so much."""


class Recorder:
    """Writes a recording and counts the events written and the records left out."""

    def __init__(self, writer: Writer, registry: Registry, pseudonyms: Pseudonyms | None) -> None:
        self.written = 0
        self.left_out = 0
        self._writer = writer
        self._registry = registry
        self._pseudonyms = pseudonyms
        self._queue: asyncio.Queue[Record] = asyncio.Queue(_QUEUED)

    async def history(self, bootstrap: Address, topics: Sequence[str], *, since_ms: int) -> None:
        """Everything that Kafka stamped since then, up to the topics' ends now; one topic after another."""
        for topic in topics:
            async for bite in scan(bootstrap, topic, since_ms=since_ms):
                for record in bite:
                    self._take(record)

    async def live(self, bootstrap: Address, topics: Sequence[str], *, since_ms: int, seconds: float | None) -> None:
        """From then on, for so long, or for ever."""
        with first_error(), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                for topic in topics:
                    tasks.create_task(self._follow(bootstrap, topic, since_ms))
                tasks.create_task(self._flush())
                while True:
                    self._take(await self._queue.get())

    def drain(self) -> None:
        """Write what was read and still waits."""
        while not self._queue.empty():
            self._take(self._queue.get_nowait())

    async def _follow(self, bootstrap: Address, topic: str, since_ms: int) -> None:
        async for record in follow(bootstrap, topic, since_ms=since_ms):
            await self._queue.put(record)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            self._writer.flush()

    def _take(self, record: Record) -> None:
        entry = captured(record, self._registry)
        if entry is None:
            self.left_out += 1
            return
        self._writer.write(line_of(entry if self._pseudonyms is None else self._pseudonyms.entry(entry)))
        self.written += 1
