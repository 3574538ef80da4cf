"""Faust's consumer with three things taken out of its hands: what is committed, when it waits, what it remembers.

It runs in the main thread and asks :class:`~streams.kafka.membership.MemberThread` for everything that touches the
network. Overrides and their reasons: research/kernel.md sections 1.1 to 1.3. The topics have ``acks=False``, so
nothing of Faust's own offset logic (``_acked``, ``_gap``, ``_unacked_messages``) ever holds anything.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from faust.transport.drivers.aiokafka import Consumer, Transport

from streams.kafka.commits import Place
from streams.kafka.fatal import Exit, fatal
from streams.kafka.membership import MemberThread

_POLL_S = 0.1
"""Faust waits up to 1 s in one fetch, with the partitions that were active when it began to wait."""
_NOTHING_ACTIVE_S = 0.02
"""Faust sleeps 1 s when every partition is held back or none is assigned."""
_COMMIT_PATIENCE_S = 1.0
"""How long a revocation waits for a commit that is under way. It may end later; then it is refused or harmless: a
commit offset of ours that lands after a new owner's only repeats records that the journal already knows."""


class LaneConsumer(Consumer):
    """One per process; ``self.app`` is the :class:`~streams.kafka.app.FanfareApp`."""

    def _new_consumer_thread(self) -> MemberThread:
        return MemberThread(self, loop=self.loop, beacon=self.beacon)

    async def force_commit(self, *_topics: Any, **_options: Any) -> bool:
        """Commit what the tracker says is due, and end the process when that is refused. Faust calls it at intervals."""
        tracker = self.app.tracker
        generation = tracker.generation
        due: dict[Place, int] = tracker.due(self.assignment())
        if not due:
            return False
        if not await self._commit(due):
            if self.app.should_stop:
                return False
            fatal(Exit.COMMIT_REFUSED, group=self.app.spec.group, slot=self.app.spec.slot, generation=generation)
        tracker.committed(due, generation)
        return True

    async def seek_to_committed(self) -> Mapping[Place, int | None]:
        """Part of Faust's ``perform_seek``; here, and only here, one learns where each partition starts."""
        committed: Mapping[Place, int | None] = await super().seek_to_committed()
        self.app.reading_starts_at(committed)
        return committed

    def getmany(self, timeout: float) -> AsyncIterator[tuple[Any, Any]]:  # noqa: ARG002 - Faust's signature
        """Faust's, with a shorter wait."""
        records: AsyncIterator[tuple[Any, Any]] = super().getmany(_POLL_S)
        return records

    async def _wait_next_records(self, timeout: float) -> tuple[Any, Any]:  # noqa: ASYNC109 - Faust's signature
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        active = self._get_active_partitions()
        if active:
            return await self._getmany(active_partitions=active, timeout=timeout), active
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


class LaneTransport(Transport):
    """The door through which Faust finds our consumer."""

    Consumer = LaneConsumer
