"""The folder of a cluster: its lasting identity, and a lock while a process runs it.

DIR/cluster.json    format, cluster id, number of nodes, broker and controller ports, release of Kafka (kept over restarts)
DIR/lock            held with flock(2) while the cluster runs, so it cannot be stale
DIR/n1, n2, n3/     server.properties, server.log, log/ (Kafka's own)
"""

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from streams.dev.kafka.errors import WrongFolderError
from streams.dev.kafka.properties import NodePlan, new_cluster_id
from streams.runtime.file_lock import hold, private_folder
from streams.runtime.ports import all_free, demand_free, free_ports

_IDENTITY: Final = "cluster.json"
_LOCK: Final = "lock"
_FORMAT: Final = 1
"""Files without a number are of format 1."""


class _Format(msgspec.Struct):
    """Reads the part that every format of the file has."""

    format: int = 1


class _Identity(msgspec.Struct):
    """Format 1. ``kafka`` is the release that wrote last; files of earlier releases do not say."""

    cluster_id: str
    nodes: int
    ports: list[int]
    """Of the brokers, then of the controllers."""
    format: int = _FORMAT
    kafka: str = "0"
    secure: bool = False


def lock_folder(folder: Path) -> IO[bytes]:
    """Hold `folder` until the result is closed or this process ends; WrongFolderError if another holds it."""
    try:
        private_folder(folder)
        return hold(folder / _LOCK)
    except BlockingIOError as error:
        raise WrongFolderError(
            f"A Kafka cluster is running in {folder} already; stop it with `fanfare kafka down --data {folder}`."
        ) from error
    except OSError as error:
        raise WrongFolderError(f"{folder} cannot hold a Kafka cluster: {error.strerror}.") from error


def settle_identity(
    folder: Path, *, nodes: int, ports: Sequence[int] | None, kafka: str, secure: bool = False
) -> tuple[str, tuple[NodePlan, ...]]:
    """The cluster id and node plans of `folder`: those of its last run, or new ones, recorded at once.

    `ports` asks for broker ports. Without it, ports of the last run are used again if they are free. `kafka` is the release
    that will run. Raises WrongFolderError when `folder` holds a cluster of another size or security, or one that a later
    release of ours or of Kafka wrote; PortTakenError for `ports`.
    """
    if ports is not None:
        if len(ports) != nodes:
            raise WrongFolderError(f"{nodes} nodes need {nodes} ports, not {len(ports)}.")
        demand_free(ports)
    known = _read(folder / _IDENTITY)
    if known is not None:
        _demand_same(folder, known, _Identity("", nodes, [], kafka=kafka, secure=secure))
    cluster_id = known.cluster_id if known else new_cluster_id()
    chosen = _choose(ports, known, nodes)
    plans = tuple(NodePlan(i + 1, folder / f"n{i + 1}", chosen[i], chosen[nodes + i]) for i in range(nodes))
    record = _Identity(cluster_id, nodes, chosen, kafka=kafka, secure=secure)
    (folder / _IDENTITY).write_bytes(msgspec.json.encode(record) + b"\n")
    return cluster_id, plans


def _demand_same(folder: Path, known: _Identity, wanted: _Identity) -> None:
    if known.nodes != wanted.nodes:
        raise WrongFolderError(
            f"{folder} holds a cluster of {known.nodes} nodes; start it with --nodes {known.nodes}, or name another folder."
        )
    if known.secure is not wanted.secure:
        how = "with --secure" if known.secure else "without --secure"
        raise WrongFolderError(f"{folder} holds a cluster that was made {how}; start it so, or name another folder.")
    if _release(known.kafka) > _release(wanted.kafka):
        raise WrongFolderError(
            f"{folder} holds records of Kafka {known.kafka}, and this release runs {wanted.kafka}, which may not read them; "
            "start the release that wrote them, or name another folder."
        )


def _read(path: Path) -> _Identity | None:
    try:
        raw = path.read_bytes()
        found = msgspec.json.decode(raw, type=_Format).format
        if found > _FORMAT:
            raise WrongFolderError(
                f"{path} is of format {found}, written by a later release; this one reads {_FORMAT}. Start the release that "
                "wrote it, or name another folder."
            )
        known = msgspec.json.decode(raw, type=_Identity)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise WrongFolderError(f"{path} is damaged ({error}); delete it together with its folder.") from error
    return known


def _release(version: str) -> tuple[int, ...]:
    """Major and minor: within a minor release, Kafka reads what a later patch wrote."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _choose(ports: Sequence[int] | None, known: _Identity | None, nodes: int) -> list[int]:
    """Broker ports, then controller ports."""
    if ports is not None:
        return [*ports, *free_ports(nodes)]
    if known is not None and len(known.ports) == 2 * nodes and all_free(known.ports):
        return list(known.ports)
    return free_ports(2 * nodes)
