"""Makes this process a member of a lane's group: joins in a slot, owns shards, beats, notices that the slot is gone, leaves.

*Joining.* Static membership (KIP-345): a killed process that comes back in its slot gets its shards with no rebalance.
*Beating.* Faust tells nobody when a heartbeat succeeds, so aiokafka's own method is wrapped and stamps the time.
*Losing.* aiokafka's heartbeats carry no instance id. When another process has joined in this slot, the answer is
"unknown member", aiokafka rejoins with the same instance id, and the two evict one another for as long as both live,
mostly with the wrong one left (observed on aiokafka 0.14.0). So a heartbeat that finds its member id gone ends the
process, as does any error of the coordination that aiokafka would store for a caller who, under Faust, never asks.
*Leaving.* aiokafka leaves the group only when it is no static member, but the broker takes LeaveGroup version 1 with
the member id of a static one too. Without it a SIGTERM costs the neighbours a whole session time-out.
*Owning.* Partition s of every topic of a lane goes to one member. Without Tables Faust uses aiokafka's
RoundRobin, which co-partitions only by accident, when the members divide S. Members are ordered by their slot
and not by their member id, which is random and new after every restart, so a restarted slot gets its old shards
back. Shards are dealt in contiguous runs that differ by at most one.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import aiokafka
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

from streams.kafka import clients
from streams.kafka.way_in import may_not
from streams.runtime import clock
from streams.runtime.exits import Exit, fatal


class MisfitError(Exception):
    """The members and topics of a lane do not fit together; no shard can be assigned."""


def shard_runs(slots: Iterable[str], shards: int) -> dict[str, range]:
    """Deal shards 0..``shards`` to ``slots`` in their sorted order: contiguous, sizes differing by at most one."""
    ordered = sorted(slots)
    bounds = [index * shards // len(ordered) for index in range(len(ordered) + 1)]
    return {slot: range(bounds[index], bounds[index + 1]) for index, slot in enumerate(ordered)}


class LaneAssignor(AbstractPartitionAssignor):
    """aiokafka's interface: class methods throughout, so a slot is a subclass (:func:`assignor_for`)."""

    name = "fanfare-lane"
    version = 0
    slot = ""

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Returns what this member tells the group's leader: its topics and its slot."""
        return ConsumerProtocolMemberMetadata(cls.version, sorted(topics), cls.slot.encode())

    @classmethod
    def assign(cls, cluster: Any, members: Mapping[str, Any]) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Called on the leader. Raises :class:`MisfitError`, which ends the leader's process."""
        topics = sorted({topic for member in members.values() for topic in member.subscription})
        shards = _common_partition_count(cluster, topics)
        # While a release that reads more topics is rolled out, only members that read them all can own a whole shard.
        able = {_slot_of(member): name for name, member in members.items() if sorted(member.subscription) == topics}
        if not able:
            raise MisfitError(f"no member of the group reads all of {', '.join(topics)}")
        runs = {able[slot]: run for slot, run in shard_runs(able, shards).items()}
        return {
            name: ConsumerProtocolMemberAssignment(
                cls.version, [(topic, list(runs[name])) for topic in topics if runs.get(name)], b""
            )
            for name in members
        }

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Nothing is kept: the next assignment depends on slots alone."""


def assignor_for(slot: str) -> type[LaneAssignor]:
    """The assignor of the member in ``slot``."""
    return type("SlotAssignor", (LaneAssignor,), {"slot": slot})


def _slot_of(member: Any) -> str:
    return bytes(member.user_data).decode()


def _common_partition_count(cluster: Any, topics: list[str]) -> int:
    counts = {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}
    if 0 in counts.values() or len(set(counts.values())) != 1:
        raise MisfitError(f"the topics of a lane must exist with equal partition counts, but there are {counts}")
    return next(iter(counts.values()))


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

    async def ask_group(self) -> bool:
        """Sends a heartbeat now, whenever the last one was; whether it was good. Called in the main thread."""
        beat = self._consumer._coordinator._do_heartbeat()  # noqa: SLF001
        asked = asyncio.run_coroutine_threadsafe(beat, self.thread_loop)
        try:
            # A caller that is cancelled, at a rebalance say, takes no request of the coordinator with it.
            return await asyncio.shield(asyncio.wrap_future(asked))
        except GroupAuthorizationFailedError:
            return False  # the next heartbeat meets it, too, and says so

    def stamp(self) -> None:
        """The group has just shown that it knows this member: a good heartbeat or an assignment."""
        self.last_heartbeat_ms = clock.monotonic_ms()

    async def on_thread_stop(self) -> None:
        """Leave the group for good, so that the neighbours have our shards within a second and not after a session."""
        if self._consumer is not None:
            self._consumer._coordinator._group_instance_id = None  # noqa: SLF001
        await super().on_thread_stop()
