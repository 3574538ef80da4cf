"""The seam between the Faust kernel and the stages that run on it.

The kernel owns membership, reading and committing. A stage owns its shards' engines, journals and producers. They
meet in :class:`ShardHooks`, which the stage implements, and in :class:`Delivered`, which the kernel hands over.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from broker.losses import Loss
from streams.runtime.kafka_access import Address


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """Holds an input record, undecoded. ``generation`` belongs to ``FanfareApp.done``."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """When the broker appended it (all topics use LogAppendTime)."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    generation: int

    @classmethod
    def of(cls, message: Any, prefix: str, generation: int) -> "Delivered":
        """Converts a message of Faust's; ``prefix`` stands before Kafka's names of topics."""
        return cls(
            topic=message.topic.removeprefix(prefix),
            partition=message.partition,
            offset=message.offset,
            timestamp_ms=round(message.timestamp * 1000),
            key=message.key,
            value=message.value,
            headers=tuple(message.headers),
            generation=generation,
        )


class ShardHooks(Protocol):
    """Names the functions that a program gives the kernel to call. An exception from any of them ends the process."""

    async def on_start(self) -> None:
        """Before the consumer starts: producers, HTTP, tails."""

    async def on_assigned(self, shards: frozenset[int], generation: int) -> None:
        """The shards are ours; records of ``generation`` follow when this has returned.

        It must return at once (deadline 1 s) and leave opening journals to tasks: no heartbeat is sent before it
        returns.
        """

    async def on_revoked(self) -> None:
        """All shards are taken away (Kafka revokes eagerly, every shard each time).

        Stop the engines, await appends in flight (at most 1 s), drop the inboxes. What is folded may be kept.
        """

    async def on_stop(self) -> None:
        """The process has been told to end: as :meth:`on_revoked`, which is not called, then close everything."""

    def deliver(self, record: Delivered) -> None:
        """Take one record into the inbox of its shard. Never blocks, never raises."""

    def lost(self, topic: str, partition: int, records: int) -> None:
        """So many records of an input are gone that nobody has read, which the operator has accepted."""


class WorkerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Describes a member of a lane's group."""

    group: str
    """The consumer group, and Faust's app id: one per lane."""
    slot: str
    """Which of the lane's places this process takes: the static membership. One living process per slot."""
    bootstrap: Address
    """Where Kafka is and how to come in."""
    stages: Mapping[str, tuple[str, ...]]
    """Agent (plan, deliver, settle) -> its input topics. All topics of all stages have the same partition count."""
    session_timeout_ms: int = 6_000
    """Milliseconds that Kafka waits for a silent member; half of it is the most that a process may stand still."""
    heartbeat_ms: int = 1_000
    """Milliseconds between two signs of life to the group."""
    commit_interval_ms: int = 500
    """Milliseconds between two commits."""
    accepted_losses: frozenset[Loss] = frozenset()
    """The operator's word on what inputs have lost unread."""
    inbox_limit: int = 256
    """Records of one partition delivered and unfinished beyond which reading it pauses. A soft limit: what was fetched
    (500) and what Faust has queued (256) still comes."""
