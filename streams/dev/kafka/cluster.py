"""A real Apache Kafka on this machine, in KRaft mode: one node or three, for development, demo and tests.

It needs nothing but Python: the jars come from a lock file (`distribution`), Java from the machine or from a
package (`java`). It listens on loopback only, without encryption and authorisation unless they are
asked for (`security`), and is no production set-up: there, Fanfare uses any Kafka from 3.7 on, named by its bootstrap address.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import IO, Final

from streams.dev.kafka.data_folder import lock_folder, settle_identity
from streams.dev.kafka.distribution import Distribution, format_storage, obtain_distribution
from streams.dev.kafka.errors import WrongFolderError
from streams.dev.kafka.node import Node
from streams.dev.kafka.properties import Doors, NodePlan, write_properties
from streams.dev.kafka.security import ADMIN, BROKER, MECHANISM, NODE_NAME, Secured, Security
from streams.kafka.acls import allow
from streams.kafka.admin import wait_ready
from streams.kafka.grants import grants
from streams.runtime.kafka_access import Kafka

READY_DEADLINE_S: Final = 60
"""Two to five seconds are usual on two cores; a loaded machine gets a minute."""

BROKER_SESSION_MS: Final = 6_000
"""Kafka's default is 9 s: a killed broker's partitions are led by others after 6 s instead."""

_FOLDER_PREFIX: Final = "fanfare-kafka-"
_WATCH_S: Final = 0.2


class Cluster:
    """A running cluster. Nodes are numbered from 1, as Kafka numbers them.

    Its methods may be called from any event loop, one at a time.
    """

    def __init__(self, folder: Path, *, lock: IO[bytes], temporary: bool) -> None:
        self._nodes: dict[int, Node] = {}
        self._lock = lock
        self._temporary = temporary
        self.folder = folder
        self.security: Security | None = None
        """Of a secured cluster."""

    @property
    def bootstrap(self) -> str:
        """`host:port` of every node, separated by commas."""
        return ",".join(node.plan.address for node in self._nodes.values())

    @property
    def kafka(self) -> Kafka:
        """The way in; of a secured cluster that of its administrator."""
        return Kafka(bootstrap=self.bootstrap) if self.security is None else self.security.kafka(self.bootstrap)

    @property
    def java_pids(self) -> tuple[int, ...]:
        """Process ids of the brokers that run."""
        return tuple(node.java_pid for node in self._nodes.values() if node.running)

    def launch(self, plans: Sequence[NodePlan], distribution: Distribution) -> None:
        """Start the processes of all `plans`; `wait_ready` says when they serve."""
        for plan in plans:
            command = distribution.command("kafka.Kafka", plan.properties_path)
            self._nodes[plan.node_id] = Node(
                plan, java_command=command, scratch=self.folder if self._temporary else None
            )
        for node in self._nodes.values():
            node.start()

    async def kill_node(self, node_id: int) -> None:
        """End a node as a crash would (SIGKILL)."""
        await self._nodes[node_id].kill()

    def pause_node(self, node_id: int) -> None:
        """Stop a node where it stands (SIGSTOP); its connections stay open and silent."""
        self._nodes[node_id].pause()

    def resume_node(self, node_id: int) -> None:
        """Continue a paused node (SIGCONT)."""
        self._nodes[node_id].resume()

    async def start_node(self, node_id: int) -> None:
        """Start a killed node on its own ports and records; returns when the whole cluster is ready."""
        self._nodes[node_id].start()
        await self.wait_ready()

    async def wait_ready(self, *, deadline_s: float = READY_DEADLINE_S) -> None:
        """Return when every node that runs has joined and every partition is led.

        Raises NodeFailedError at the deadline, or as soon as a node exits.
        """
        running = [node for node in self._nodes.values() if node.running]
        ready = asyncio.ensure_future(wait_ready(self.kafka, brokers=len(running), deadline_s=deadline_s))
        try:
            while not ready.done():
                await asyncio.wait([ready], timeout=_WATCH_S)
                exited = next((node for node in running if not node.running), None)
                if exited is not None:
                    raise exited.failure("exited while it started")
            await ready
        finally:
            ready.cancel()

    async def stop(self) -> None:
        """Stop every node cleanly and, if its data was temporary, remove it. May be called twice."""
        await asyncio.gather(*(node.stop() for node in self._nodes.values()))
        if self._temporary:
            await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)
        self._lock.close()


async def start_cluster(
    *,
    nodes: int = 1,
    data: Path | None = None,
    ports: Sequence[int] | None = None,
    say: Callable[[str], None],
    broker_session_ms: int = BROKER_SESSION_MS,
    secured: Secured | None = None,
) -> Cluster:
    """Start `nodes` (1 or 3) brokers and return when they can be used.

    `data` keeps records, cluster id and ports over restarts; without it a temporary folder is used and
    removed. `ports` asks for broker ports. `secured` has it use TLS, users and grants. `say` gets a line for
    each step that takes time. Whatever ends this process ends the brokers too. Raises a ClusterError, with nothing left running.
    """
    if nodes not in {1, 3}:
        raise WrongFolderError(f"A cluster has one node or three, not {nodes}.")
    distribution = await obtain_distribution(say)
    folder = _folder(data)
    cluster = Cluster(folder, lock=lock_folder(folder), temporary=data is None)
    try:
        cluster_id, plans = settle_identity(
            folder, nodes=nodes, ports=ports, kafka=distribution.version, secure=secured is not None
        )
        cluster.security = None if secured is None else Security(folder, secured)
        doors, users = _guarded(cluster.security)
        for plan in plans:
            write_properties(plan, plans, broker_session_ms=broker_session_ms, doors=doors)
        await format_storage(distribution, plans, cluster_id, users=users)
        say(f"starting Kafka {distribution.version}: {len(plans)} node{'s' if nodes > 1 else ''} in {folder}")
        cluster.launch(plans, distribution)
        await cluster.wait_ready()
        if cluster.security is not None:
            await allow(cluster.kafka, grants(cluster.kafka, cluster.security.secured.businesses))
            cluster.security.write_ways_in(cluster.bootstrap)
    except BaseException:
        await cluster.stop()
        raise
    return cluster


@contextlib.asynccontextmanager
async def some_kafka(
    bootstrap: str | None, *, nodes: int = 1, data: Path | None = None, say: Callable[[str], None]
) -> AsyncIterator[str]:
    """Lend the Kafka at `bootstrap` once it answers, or else one started here and stopped at the end.

    Gives its bootstrap address. Demo, development set-up and tests begin with it.
    """
    if bootstrap is not None:
        await wait_ready(bootstrap, brokers=1, deadline_s=READY_DEADLINE_S)
        yield bootstrap
        return
    cluster = await start_cluster(nodes=nodes, data=data, say=say)
    try:
        yield cluster.bootstrap
    finally:
        await cluster.stop()


def _guarded(security: Security | None) -> tuple[Doors | None, list[str]]:
    """Returns what guards the nodes, and the storage tool's options that make the users."""
    if security is None:
        return None, []
    may_all = ";".join(f"User:{name}" for name in (ADMIN, BROKER, f"CN={NODE_NAME}"))
    doors = Doors(security.node_pem, security.ca_pem, MECHANISM, BROKER, security.password(BROKER), super_users=may_all)
    return doors, security.scram


def _folder(data: Path | None) -> Path:
    return data.absolute() if data else Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX))
