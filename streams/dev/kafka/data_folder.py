"""Keeps the folder of a cluster: its lasting identity, locks while a process runs it, and a record that finds this process.

DIR/cluster.json    format, cluster id, number of nodes, broker and controller ports, release of Kafka (kept over restarts)
DIR/lock            held with flock(2) while the cluster runs, so it cannot be stale
DIR/n1, n2, n3/     server.properties, server.log, log/ (Kafka's own)
HOME/run.lock       held with flock(2) by the process that runs the cluster: held means alive, never stale
HOME/run.json       its process id, addresses and folder, written once it is ready

HOME is DIR, or one place in the cache folder for the cluster without a data folder.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from streams.dev.kafka.errors import WrongFolderError
from streams.dev.kafka.properties import NodePlan, new_cluster_id
from streams.runtime import file_lock
from streams.runtime.ports import all_free, demand_free, free_ports
from streams.runtime.settings import cache_folder

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
        file_lock.private_folder(folder)
        return file_lock.hold(folder / _LOCK)
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


_RUN_LOCK: Final = "run.lock"
_RECORD: Final = "run.json"
_DEFAULT_HOME: Final = "kafka-run"


class RunRecord(msgspec.Struct, frozen=True):
    """A cluster that is up: who runs it, where it listens, where it keeps its records."""

    pid: int
    bootstrap: str
    nodes: int
    folder: str
    temporary: bool
    secure: str = ""
    """Folder of certificates and ways in; empty for a cluster without."""


def home_of(data: Path | None) -> Path:
    """The folder that holds the record of the cluster with this data folder, or with none."""
    return data.absolute() if data is not None else cache_folder() / _DEFAULT_HOME


@contextlib.contextmanager
def holding(home: Path) -> Iterator[None]:
    """Be the one process that runs the cluster of `home`; WrongFolderError if another does."""
    try:
        file_lock.private_folder(home)
        lock = file_lock.hold(home / _RUN_LOCK)
    except BlockingIOError as error:
        raise WrongFolderError(_taken(home)) from error
    except OSError as error:
        raise WrongFolderError(f"{home} cannot be used: {error.strerror}.") from error
    with lock:
        # A predecessor that was killed may have left its record.
        (home / _RECORD).unlink(missing_ok=True)
        try:
            yield
        finally:
            (home / _RECORD).unlink(missing_ok=True)


def write_record(home: Path, record: RunRecord) -> None:
    """Tell other processes that the cluster is ready."""
    file_lock.write_whole(home / _RECORD, msgspec.json.encode(record) + b"\n")


def read_record(home: Path) -> RunRecord | None:
    """The cluster that runs in `home`; None if none does, or it is not ready yet. WrongFolderError if another release does."""
    if not is_held(home):
        return None
    try:
        return msgspec.json.decode((home / _RECORD).read_bytes(), type=RunRecord)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise WrongFolderError(
            f"Another release runs the Kafka of {home}; stop it with that release's `fanfare kafka down`."
        ) from error


def is_held(home: Path) -> bool:
    """Returns whether a living process runs, starts or stops the cluster of `home`."""
    return file_lock.is_held(home / _RUN_LOCK)


def _taken(home: Path) -> str:
    record = read_record(home)
    if record is None:
        return f"Another process is starting or stopping the Kafka of {home}; try again in a moment."
    option = "" if record.temporary else f" --data {home}"
    return (
        f"Kafka is up already at {record.bootstrap} (process {record.pid}); "
        f"`fanfare kafka down{option}` stops it, and another --data DIR starts a second one."
    )
