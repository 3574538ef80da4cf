"""Who owns which shards: partition s of every topic of a lane goes to one member.

Without Tables Faust uses aiokafka's RoundRobin, which co-partitions only by accident, when the members divide S.
Members are ordered by their slot and not by their member id, which is random and new after every restart, so a
restarted slot gets its old shards back. Shards are dealt in contiguous runs that differ by at most one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


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
