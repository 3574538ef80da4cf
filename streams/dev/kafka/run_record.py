"""Lets `fanfare kafka down` and `status` find a cluster that another process runs.

    HOME/run.lock    held with flock(2) by the process that runs the cluster: held means alive, never stale
    HOME/run.json    its process id, addresses and folder, written once it is ready

HOME is the data folder, or one place in the cache folder for the cluster without a data folder.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from streams.dev.kafka.errors import WrongFolderError
from streams.runtime import file_lock
from streams.runtime.settings import cache_folder

_LOCK: Final = "run.lock"
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
        lock = file_lock.hold(home / _LOCK)
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
    return file_lock.is_held(home / _LOCK)


def _taken(home: Path) -> str:
    record = read_record(home)
    if record is None:
        return f"Another process is starting or stopping the Kafka of {home}; try again in a moment."
    option = "" if record.temporary else f" --data {home}"
    return (
        f"Kafka is up already at {record.bootstrap} (process {record.pid}); "
        f"`fanfare kafka down{option}` stops it, and another --data DIR starts a second one."
    )
