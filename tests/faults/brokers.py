"""One Kafka broker of three is killed under load, missed for longer than its session, and brought back."""

import asyncio
from typing import Final

from streams.kafka.cluster import BROKER_SESSION_MS
from streams.kafka.cluster_errors import ClusterError
from streams.kafka.readiness import admin
from tests.faults.scene import Scene

NODES: Final = (1, 2, 3)
_AWAY_S: Final = BROKER_SESSION_MS / 1000 + 6
"""So long that everything has to be served by the two others before it is back."""
_IN_SYNC_S: Final = 60


async def broker(scene: Scene) -> None:
    """SIGKILL of the node that the fault names; over when it is back, its copies are in sync and every process is ready."""
    cluster, node = scene.stack.cluster, int(scene.done.name.rpartition("-")[2])
    if cluster is None:
        raise ClusterError("A broker of somebody else's Kafka is not killed.")
    scene.harm()
    await cluster.kill_node(node)
    await asyncio.sleep(_AWAY_S)
    await cluster.start_node(node)
    async with asyncio.timeout(_IN_SYNC_S):
        while await _out_of_sync(scene.stack.bootstrap):
            await asyncio.sleep(0.5)
    await asyncio.gather(*(process.ready() for process in scene.stack.processes.values()))


async def _out_of_sync(bootstrap: str) -> int:
    """Partitions that lack a copy."""
    async with admin(bootstrap) as client:
        topics = await client.describe_topics()
    return sum(len(part["isr"]) < len(part["replicas"]) for topic in topics for part in topic["partitions"])
