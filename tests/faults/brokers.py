"""A Kafka broker under load: killed and missed for longer than its session, held up for a while, or out of disk."""

import asyncio
import contextlib
import resource
from typing import Final

from aiokafka.errors import KafkaError

from streams.dev.kafka.cluster import BROKER_SESSION_MS, Cluster
from streams.dev.kafka.errors import ClusterError, NodeFailedError
from streams.kafka.admin import admin
from tests.faults.scene import Scene

STALL_S: Final = 3.0
"""Below the deadline of an append: everybody waits, nobody has to end."""
FREEZE_S: Final = 10.0
"""Beyond every deadline and every session: of three brokers another takes over, of one everybody begins again."""
_NO_ROOM_BYTES: Final = 16_384
"""No file of a broker whose disk is full grows beyond this: its next appends fail, and it ends itself."""
_ENDS_S: Final = 60
_AWAY_S: Final = BROKER_SESSION_MS / 1000 + 6
"""So long that everything has to be served by the two others before it is back."""
_IN_SYNC_S: Final = 60


async def broker(scene: Scene) -> None:
    """SIGKILL of the node that the fault names; over when it is back, its copies are in sync and every process is ready."""
    cluster, node = _node(scene)
    scene.harm()
    await cluster.kill_node(node)
    await asyncio.sleep(_AWAY_S)
    await cluster.start_node(node)
    await _whole(scene)


async def stall(scene: Scene) -> None:
    """SIGSTOP, SIGCONT after :data:`STALL_S`."""
    await _paused(scene, STALL_S)


async def freeze(scene: Scene) -> None:
    """SIGSTOP, SIGCONT after :data:`FREEZE_S`."""
    await _paused(scene, FREEZE_S)


async def logdir(scene: Scene) -> None:
    """RLIMIT_FSIZE on a broker: it ends itself, as Kafka does when its log folder fails, and is started when there is room."""
    cluster, node = _node(scene)
    pid = cluster.java_pids[node - 1]
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    scene.harm()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (_NO_ROOM_BYTES, hard))
    async with asyncio.timeout(_ENDS_S):
        while pid in cluster.java_pids:
            await asyncio.sleep(0.1)
    await cluster.kill_node(node)
    with contextlib.suppress(NodeFailedError):  # all that is started again beside it makes it slow
        await cluster.start_node(node)
    await cluster.wait_ready()
    await _whole(scene)


async def _paused(scene: Scene, pause_s: float) -> None:
    cluster, node = _node(scene)
    scene.harm()
    cluster.pause_node(node)
    try:
        await asyncio.sleep(pause_s)
    finally:
        cluster.resume_node(node)
    await _whole(scene)


def _node(scene: Scene) -> tuple[Cluster, int]:
    """The broker that the fault names."""
    if scene.stack.cluster is None:
        raise ClusterError("A broker of somebody else's Kafka is left alone.")
    return scene.stack.cluster, int(scene.done.name.rpartition("-")[2])


async def _whole(scene: Scene) -> None:
    """Return when all copies are in sync and every process is ready."""
    async with asyncio.timeout(_IN_SYNC_S):
        while not await _in_sync(scene.stack.bootstrap):
            await asyncio.sleep(0.5)
    await asyncio.gather(*(process.ready() for process in scene.stack.processes.values()))


async def _in_sync(bootstrap: str) -> bool:
    """Whether no partition lacks a copy; a Kafka that has just been woken may not answer yet."""
    try:
        async with admin(bootstrap) as client:
            topics = await client.describe_topics()
    except KafkaError:
        return False
    return all(len(part["isr"]) == len(part["replicas"]) for topic in topics for part in topic["partitions"])
