"""Appends what stages say beside their journals, and lets a business whose topic is gone go without, alone.

A business's own topic may be deleted under us, by whoever offboards it, or stand without a leader. Nobody else's message may
wait for that: what is for such a topic is given up, counted and logged, until the topic is there again. It is given up only if
Kafka itself says that the topic is gone or leaderless; if Kafka does not answer, an append is unknown as ever and ends the
process, and the next one says it all again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from aiokafka.errors import KafkaError

from streams.kafka import clients
from streams.kafka.producer import Appended, ConfirmedProducer, Outgoing
from streams.runtime import clock
from streams.runtime.kafka_access import Address

_ANSWER_S: Final = 2.0
"""Seconds that Kafka has to say which topics are there."""
_LEAVE_S: Final = 0.5
"""Seconds that closing waits while something is under way to a topic that is gone: it will not arrive."""


class MayGo(NamedTuple):
    """Says which topics may go, and what follows."""

    topic: Callable[[str], bool]
    lost: Callable[[Outgoing], None]
    """Told of each record that is given up."""
    doubt_s: float = 2.0
    """Seconds after which an append is looked into. Elections on a healthy cluster are shorter."""
    again_ms: int = 30_000
    """Milliseconds for which a topic that was gone counts as gone; then Kafka is asked again."""


class OutputProducer(ConfirmedProducer):
    """Appends to topics of which some may go."""

    def __init__(self, bootstrap: Address, name: str, may_go: MayGo, *, linger_ms: int, deadline_ms: int) -> None:
        super().__init__(bootstrap, name, linger_ms=linger_ms, deadline_ms=deadline_ms)
        self._may_go = may_go
        self._gone_ms: dict[str, int] = {}
        """Topic -> when it was last seen to be gone, monotonic milliseconds."""

    async def stop(self) -> None:
        """Send what is buffered, but to topics that are gone, and close."""
        if self._gone_ms:
            self._deadline_s = min(self._deadline_s, _LEAVE_S)
        await super().stop()

    async def confirm(self, records: Sequence[Outgoing]) -> list[Appended]:
        """As :class:`ConfirmedProducer`, but in no order, and without what is for a topic that is gone."""
        needed, spared = list[Outgoing](), list[Outgoing]()
        for record in records:
            (spared if self._may_go.topic(record.topic) else needed).append(record)
        if not spared:
            return await super().confirm(records)
        told = asyncio.ensure_future(self._tell(spared))
        appended = await super().confirm(needed) if needed else []
        return appended + await asyncio.shield(told)

    async def _tell(self, records: Sequence[Outgoing]) -> list[Appended]:
        """Appends records to topics that may go."""
        if self._gone_ms:
            records = await self._without_gone(records)
        if not records:
            return []
        appending = asyncio.ensure_future(self._appended(records))
        await asyncio.wait([appending], timeout=self._may_go.doubt_s)
        if (not appending.done() or appending.exception() is not None) and await self._note_gone(records):
            # What is on its way stays so: aiokafka gives a batch without a leader up by itself. Others may be told twice.
            appending.add_done_callback(asyncio.Task.exception)
            return await self._tell(records)
        try:
            async with asyncio.timeout(self._deadline_s - self._may_go.doubt_s):
                return await appending
        except (TimeoutError, KafkaError) as error:
            self._unknown(records, type(error).__name__)

    async def _note_gone(self, records: Sequence[Outgoing]) -> bool:
        """Asks Kafka for the topics of records; whether some are gone."""
        gone = await self._gone({record.topic for record in records})
        self._gone_ms |= dict.fromkeys(gone, clock.monotonic_ms())
        return bool(gone)

    async def _without_gone(self, records: Sequence[Outgoing]) -> list[Outgoing]:
        """Gives up what is for a topic that is gone; now and then asks whether it still is."""
        due_ms = clock.monotonic_ms() - self._may_go.again_ms
        due = {record.topic for record in records if self._gone_ms.get(record.topic, due_ms + 1) <= due_ms}
        if due:
            there = due - await self._gone(due)
            self._gone_ms |= dict.fromkeys(due, clock.monotonic_ms())
            for topic in there:
                del self._gone_ms[topic]
        for record in records:
            if record.topic in self._gone_ms:
                self._may_go.lost(record)
        return [record for record in records if record.topic not in self._gone_ms]

    async def _gone(self, topics: set[str]) -> set[str]:
        """Returns those of ``topics`` that are gone or have no leader, as Kafka says now; none if it does not answer."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return topics - await clients.led(self._running(), self._kafka, topics)
        except (TimeoutError, KafkaError):
            return set()
