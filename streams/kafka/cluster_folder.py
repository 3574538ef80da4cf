"""The folder of a cluster: its lasting identity, and a lock while a process runs it.

DIR/cluster.json    cluster id, number of nodes, broker and controller ports (kept over restarts)
DIR/lock            held with flock(2) while the cluster runs, so it cannot be stale
DIR/n1, n2, n3/     server.properties, server.log, log/ (Kafka's own)
"""

import fcntl
import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from streams.kafka.cluster_errors import PortTakenError, WrongFolderError
from streams.kafka.ports import demand_free, free_ports
from streams.kafka.properties import NodePlan, new_cluster_id

_IDENTITY: Final = "cluster.json"
_LOCK: Final = "lock"


def lock_folder(folder: Path) -> IO[bytes]:
    """Hold `folder` until the result is closed or this process ends; WrongFolderError if another holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / _LOCK).open("ab")
    except OSError as error:
        raise WrongFolderError(f"{folder} cannot hold a Kafka cluster: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise WrongFolderError(
            f"A Kafka cluster is running in {folder} already; stop it with `fanfare kafka down --data {folder}`."
        ) from error
    return lock


def settle_identity(folder: Path, *, nodes: int, ports: Sequence[int] | None) -> tuple[str, tuple[NodePlan, ...]]:
    """The cluster id and node plans of `folder`: those of its last run, or new ones, recorded at once.

    `ports` asks for broker ports. Without it, ports of the last run are used again if they are free.
    Raises WrongFolderError when `folder` holds a cluster of another size, PortTakenError for `ports`.
    """
    if ports is not None:
        if len(ports) != nodes:
            raise WrongFolderError(f"{nodes} nodes need {nodes} ports, not {len(ports)}.")
        demand_free(ports)
    known = _read(folder / _IDENTITY)
    if known is not None and known["nodes"] != nodes:
        raise WrongFolderError(
            f"{folder} holds a cluster of {known['nodes']} nodes; start it with --nodes {known['nodes']}, "
            "or name another folder."
        )
    cluster_id = known["cluster_id"] if known else new_cluster_id()
    chosen = _choose(ports, known, nodes)
    plans = tuple(NodePlan(i + 1, folder / f"n{i + 1}", chosen[i], chosen[nodes + i]) for i in range(nodes))
    record = {"cluster_id": cluster_id, "nodes": nodes, "ports": chosen}
    (folder / _IDENTITY).write_text(json.dumps(record) + "\n", "utf-8")
    return cluster_id, plans


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise WrongFolderError(f"{path} is damaged ({error}); delete it together with its folder.") from error


def _all_free(ports: Sequence[int]) -> bool:
    try:
        demand_free(ports)
    except PortTakenError:
        return False
    return True


def _choose(ports: Sequence[int] | None, known: dict[str, Any] | None, nodes: int) -> list[int]:
    """Broker ports, then controller ports."""
    if ports is not None:
        return [*ports, *free_ports(nodes)]
    if known is not None and _all_free(known["ports"]):
        return list(known["ports"])
    return free_ports(2 * nodes)
