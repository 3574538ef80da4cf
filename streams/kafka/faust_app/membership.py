"""Being a member of a lane's group: joining in a slot, beating, noticing that the slot is gone, leaving.

*Joining.* Static membership (KIP-345): a killed process that comes back in its slot gets its shards with no rebalance.
*Beating.* Faust tells nobody when a heartbeat succeeds, so aiokafka's own method is wrapped and stamps the time.
*Losing.* aiokafka's heartbeats carry no instance id. When another process has joined in this slot, the answer is
"unknown member", aiokafka rejoins with the same instance id, and the two evict one another for as long as both live,
mostly with the wrong one left (observed on aiokafka 0.14.0). So a heartbeat that finds its member id gone ends the
process, as does any error of the coordination that aiokafka would store for a caller who, under Faust, never asks.
*Leaving.* aiokafka leaves the group only when it is no static member, but the broker takes LeaveGroup version 1 with
the member id of a static one too. Without it a SIGTERM costs the neighbours a whole session time-out.
"""

import asyncio
from typing import Any

import aiokafka
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from streams.kafka import clients
from streams.kafka.faust_app.assignor import assignor_for
from streams.kafka.way_in import may_not
from streams.runtime import clock
from streams.runtime.exits import Exit, fatal

_FETCH_MAX_WAIT_MS = 50
"""Milliseconds that the broker may hold an empty fetch: the wait of the first fetch after a seek or a resume. Faust asks
for 1,500."""
_POLL_RECORDS = 500
"""Records that one fetch hands over: an inbox that is full gets at most this and Faust's queue on top."""
_IDLE_FOR_EVER_MS = 2**31 - 1
"""aiokafka leaves a group in which nothing is fetched for this long. Under back-pressure nothing is fetched on purpose;
whether the process still works is the watchdog's question."""


class MemberThread(AIOKafkaConsumerThread):
    """Faust's consumer thread with our consumer in it."""

    last_heartbeat_ms = 0
    """Monotonic time of the last good heartbeat; written in this thread, read in the main one."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002 - Faust's signature
        spec = self.app.spec
        self._assignor = assignor_for(spec.slot)
        return clients.member(
            spec.bootstrap,
            spec.group,
            spec.slot,
            partition_assignment_strategy=[self._assignor],
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_FETCH_MAX_WAIT_MS,
            max_poll_records=_POLL_RECORDS,
            max_poll_interval_ms=_IDLE_FOR_EVER_MS,
            request_timeout_ms=spec.session_timeout_ms + 9_000,
            session_timeout_ms=spec.session_timeout_ms,
            rebalance_timeout_ms=spec.session_timeout_ms,
            heartbeat_interval_ms=spec.heartbeat_ms,
        )

    async def on_start(self) -> None:
        """Start the consumer, then put our ears on its coordinator before it joins (it has no subscription yet)."""
        await super().on_start()
        self._listen(self._consumer._coordinator)  # noqa: SLF001 - hooked internals, checked by selftest

    def _listen(self, coordinator: Any) -> None:
        beat = coordinator._do_heartbeat  # noqa: SLF001
        spec = self.app.spec

        async def stamped() -> bool:
            try:
                good: bool = await beat()
            except GroupAuthorizationFailedError:
                raise
            except KafkaError:
                # Mostly a coordinator that is still loading the group after a failover: aiokafka has said so in the log
                # and would give up for good. The next beat asks again.
                good = False
            if good:
                self.stamp()
            elif coordinator.member_id == "" and not self.app.should_stop:
                fatal(Exit.SLOT_TAKEN, group=spec.group, slot=spec.slot)
            return good

        def lost(error: BaseException) -> None:
            if isinstance(error, GroupAuthorizationFailedError):
                fatal(Exit.REFUSED_START, detail=may_not(spec.bootstrap, f"be a member of the group {error.args[0]}"))
            fatal(Exit.GROUP_LOST, group=spec.group, slot=spec.slot, error=repr(error))

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                lost(error)

        coordinator._do_heartbeat = stamped  # noqa: SLF001
        coordinator._push_error_to_user = lost  # noqa: SLF001
        coordinator._coordination_task.add_done_callback(ended)  # noqa: SLF001

    def stamp(self) -> None:
        """The group has just shown that it knows this member: a good heartbeat or an assignment."""
        self.last_heartbeat_ms = clock.monotonic_ms()

    async def on_thread_stop(self) -> None:
        """Leave the group for good, so that the neighbours have our shards within a second and not after a session."""
        if self._consumer is not None:
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001
        await super().on_thread_stop()
