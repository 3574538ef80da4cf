"""Faust's consumer with three things taken out of its hands: what is committed, when it waits, what it remembers.

It runs in the main thread and asks :class:`~streams.kafka.faust_app.membership.MemberThread` for everything that touches the
network. The topics have ``acks=False``, so nothing of Faust's own offset logic (``_acked``, ``_gap``,
``_unacked_messages``) ever holds anything.

*Skips.* Offsets are dense, except where a producer uses transactions: their markers take offsets that nobody can
read. A business that does so must not look like a lost record, so a jump between what aiokafka hands over is looked
at once, here: if the log still begins at or before it, nothing readable was in it. Otherwise retention has taken
records that were never read; that stays a hole.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import pairwise
from typing import Any

import aiokafka
from faust.transport.drivers.aiokafka import Consumer, Producer, Transport

from streams.kafka import clients
from streams.kafka.faust_app.commits import Place
from streams.kafka.faust_app.membership import MemberThread
from streams.runtime import crash_points
from streams.runtime.exits import Exit, fatal

_POLL_S = 0.1
"""Faust waits up to 1 s in one fetch, with the partitions that were active when it began to wait."""
_NOTHING_ACTIVE_S = 0.02
"""Faust sleeps 1 s when every partition is held back or none is assigned."""
_COMMIT_PATIENCE_S = 1.0
"""Seconds that a revocation waits for a commit that is under way. It may end later; then it is refused or harmless: a
commit offset of ours that lands after a new owner's only repeats records that the journal already knows."""


class LaneConsumer(Consumer):
    """Consumes for a process, of which each has one; ``self.app`` is its :class:`~streams.kafka.faust_app.app.FanfareApp`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._handed: dict[Place, int | None] = {}
        """The offset after the last record that aiokafka handed over, since the last seek."""
        self._skips: dict[tuple[Place, int], int] = {}
        super().__init__(*arguments, **options)

    def _new_consumer_thread(self) -> MemberThread:
        return MemberThread(self, loop=self.loop, beacon=self.beacon)

    async def force_commit(self, *_topics: Any, **_options: Any) -> bool:
        """Commit what the tracker says is due; end the process when that is refused. Faust calls it at intervals."""
        tracker = self.app.tracker
        generation = tracker.generation
        due: dict[Place, int] = tracker.due(self.assignment())
        if not due:
            return False
        crash_points.point("worker.commit")
        if not await self._commit(due):
            if self.app.should_stop:
                return False
            fatal(Exit.COMMIT_REFUSED, group=self.app.spec.group, slot=self.app.spec.slot, generation=generation)
        crash_points.point("worker.committed")
        tracker.committed(due, generation)
        return True

    async def seek_to_committed(self) -> Mapping[Place, int | None]:
        """Part of Faust's ``perform_seek``; here, and only here, one learns where each partition starts."""
        committed: Mapping[Place, int | None] = await super().seek_to_committed()
        begins = await self._begins_above(committed)
        self._skips = {}
        self._handed = {**committed, **begins}
        self.app.reading_starts_at(committed, begins)
        return committed

    async def _begins_above(self, committed: Mapping[Place, int | None]) -> dict[Place, int]:
        """Returns where partitions begin now that have lost what nobody had read; aiokafka goes on there by itself."""
        begun = {place: offset for place, offset in committed.items() if offset is not None}
        first: Mapping[Place, int] = await self.earliest_offsets(*begun) if begun else {}
        return {place: first[place] for place, offset in begun.items() if first[place] > offset}

    def follows(self, place: Place, offset: int) -> int:
        """The offset from which on the log held nothing readable before ``offset``: normally ``offset`` itself."""
        return self._skips.pop((place, offset), offset) if self._skips else offset

    def last_answer_ms(self, tp: Place) -> int:
        """When the end of an assigned partition was last heard of, wall time; 0 if it never was."""
        seen_ms: int | None = self._thread._ensure_consumer().last_poll_timestamp(tp)  # noqa: SLF001
        return seen_ms or 0

    async def _getmany(self, active_partitions: Any, timeout: float) -> Mapping[Any, list[Any]]:  # noqa: ASYNC109
        fetched: Mapping[Any, list[Any]] = await super()._getmany(active_partitions, timeout)
        for tp, records in fetched.items():
            await self._note_skips(tp, records)
        return fetched

    async def _note_skips(self, tp: Place, records: list[Any]) -> None:
        expected = self._handed.get(tp)
        first, last = records[0].offset, records[-1].offset
        self._handed[tp] = last + 1
        if expected is not None and first > expected and not await self._trimmed(tp, expected):
            self._skips[tp, first] = expected
        if last - first + 1 != len(records):
            for before, record in pairwise(records):
                if record.offset != before.offset + 1:
                    self._skips[tp, record.offset] = before.offset + 1

    async def _trimmed(self, tp: Place, expected: int) -> bool:
        first: int = (await self.earliest_offsets(tp))[tp]
        return first > expected

    def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ARG002 - Faust's signature
        """Faust's, with a shorter wait."""
        records: AsyncIterator[tuple[Any, Any]] = super().getmany(_POLL_S)
        return records

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's signature
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        if active:
            # A copy: aiokafka takes a set that becomes empty while it waits for "all partitions".
            return await self._getmany(active_partitions=set(active), timeout=timeout), active
        await self.sleep(_NOTHING_ACTIVE_S)
        return {}, active

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        """Forget which partitions were held back: Faust does not, and would later activate one that is not ours."""
        self._buffered_partitions.clear()
        await super().on_partitions_revoked(revoked)

    async def settle_commit(self) -> None:
        """Wait for a commit that is under way, for at most ``_COMMIT_PATIENCE_S``."""
        if self._commit_fut is not None:
            await asyncio.wait([self._commit_fut], timeout=_COMMIT_PATIENCE_S)

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Nothing. Faust's check compares two different clocks and trips over partitions that have just gone."""


class LaneProducer(Producer):
    """Faust's own producer, which it starts although nothing is sent through it: it comes in as all others do."""

    def _new_producer(self, transactional_id: str | None = None) -> aiokafka.AIOKafkaProducer:
        return clients.producer(self.app.spec.bootstrap, "faust", transactional_id=transactional_id)


class LaneTransport(Transport):
    """The door through which Faust finds our consumer and our producer."""

    Consumer = LaneConsumer
    Producer = LaneProducer
