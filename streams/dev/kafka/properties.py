"""Writes a broker's `server.properties`: text made from values, nothing started.

Sources: the configuration reference of Kafka 4.1 and KIP-500 (KRaft). Each line that differs from
Kafka's default has its reason beside it.
"""

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"

_HEARTBEATS_PER_SESSION: Final = 3


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Describes a node: its id (1, 2, 3), the folder that is its own, and its two ports on loopback."""

    node_id: int
    folder: Path
    broker_port: int
    controller_port: int

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{self.broker_port}"

    @property
    def properties_path(self) -> Path:
        """The file that `node_properties` is written to."""
        return self.folder / "server.properties"

    @property
    def log_path(self) -> Path:
        """Returns the file with the node's standard output and error."""
        return self.folder / "server.log"


@dataclass(frozen=True, slots=True)
class Doors:
    """Holds what guards a secured node: certificates, the login of brokers, and who may do everything (`User:a;User:b`)."""

    node_pem: Path
    ca_pem: Path
    mechanism: str
    user: str
    password: str
    super_users: str


def new_cluster_id() -> str:
    """A random UUID in the 22 characters of URL-safe Base64 that Kafka expects.

    Kafka refuses ids that start with a dash, as its command line would read them as options.
    """
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text


def write_properties(
    node: NodePlan, cluster: Sequence[NodePlan], *, broker_session_ms: int, doors: Doors | None = None
) -> None:
    """Writes `node_properties` to the node's own folder, which is made if need be; of a secured one for its owner alone."""
    node.folder.mkdir(exist_ok=True)
    text = node_properties(node, cluster, broker_session_ms=broker_session_ms, doors=doors)
    node.properties_path.touch(mode=0o600 if doors else 0o644)
    node.properties_path.write_text(text, "utf-8")


def node_properties(
    node: NodePlan, cluster: Sequence[NodePlan], *, broker_session_ms: int, doors: Doors | None = None
) -> str:
    """The file for `node` in a static quorum of `cluster` (one node or three)."""
    copies = len(cluster)
    in_sync = 2 if copies >= 3 else 1
    voters = ",".join(f"{peer.node_id}@{HOST}:{peer.controller_port}" for peer in cluster)
    return f"""\
process.roles=broker,controller
node.id={node.node_id}
{_listeners(node, "SASL_SSL" if doors else "PLAINTEXT")}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:{"SSL" if doors else "PLAINTEXT"}
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
log.dirs={node.folder / "log"}

# No accepted record is lost with one node of three.
default.replication.factor={copies}
min.insync.replicas={in_sync}
unclean.leader.election.enable=false

# Internal topics default to three copies, which one node could never make; 50 partitions only cost start-up time.
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=4

# Partition counts are Fanfare's: a topic made by accident has the wrong one.
auto.create.topics.enable=false

# A first consumer need not wait 3 s for others; tests use short sessions.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000

# How long a killed broker keeps its leaderships.
broker.session.timeout.ms={broker_session_ms}
broker.heartbeat.interval.ms={max(1, broker_session_ms // _HEARTBEATS_PER_SESSION)}

# A small machine: few threads, and 16 MB instead of 128 MB of heap for the log cleaner. What is over goes soon.
num.network.threads=2
num.io.threads=4
background.threads=2
group.coordinator.threads=1
share.coordinator.threads=1
log.cleaner.dedupe.buffer.size=16777216
log.retention.check.interval.ms=2000
{"" if doors is None else _secured(doors)}"""


def _listeners(node: NodePlan, clients: str) -> str:
    return f"""\
listeners={clients}://{node.address},CONTROLLER://{HOST}:{node.controller_port}
advertised.listeners={clients}://{node.address}
inter.broker.listener.name={clients}"""


def _secured(doors: Doors) -> str:
    login = f'org.apache.kafka.common.security.scram.ScramLoginModule required username="{doors.user}"'
    return f"""
# Brokers come to one another as clients do, and to the controllers by their certificate.
ssl.keystore.type=PEM
ssl.keystore.location={doors.node_pem}
ssl.truststore.type=PEM
ssl.truststore.location={doors.ca_pem}
listener.name.controller.ssl.client.auth=required
sasl.enabled.mechanisms={doors.mechanism}
sasl.mechanism.inter.broker.protocol={doors.mechanism}
listener.name.sasl_ssl.{doors.mechanism.lower()}.sasl.jaas.config={login} password="{doors.password}";

# Whatever is not granted is refused.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users={doors.super_users}
"""
