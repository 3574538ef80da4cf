"""Tells other commands about the processes of a running stack, by a file in its data folder.

DIR/stack.lock    held with flock(2) by the process that keeps the stack: held means alive, never stale
DIR/stack.json    each process that it keeps: its name, process id, number of starts, and where it answers
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from streams.runtime.file_lock import hold, is_held, write_whole
from streams.runtime.supervisor import Process, ProcessError

_LOCK: Final = "stack.lock"
_LIST: Final = "stack.json"


class Entry(msgspec.Struct, frozen=True):
    """Describes a process as it is now. ``pid`` is 0 between its end and its next start."""

    name: str
    pid: int
    starts: int
    host: str
    port: int
    """Of /readyz."""


class Register:
    """The list of one stack, kept by the process that holds its folder; :class:`ProcessError` if another does."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _LIST
        try:
            self._lock = hold(folder / _LOCK)
        except BlockingIOError as error:
            raise ProcessError(
                f"a stack runs in {folder} already; stop it, or name another folder with --data DIR"
            ) from error
        self._path.unlink(missing_ok=True)

    def write(self, processes: Iterable[Process]) -> None:
        """The processes as they are now."""
        entries = [Entry(each.name, each.pid, each.starts, each.plan.host, each.plan.port) for each in processes]
        write_whole(self._path, msgspec.json.encode(entries) + b"\n")

    def close(self) -> None:
        """Nothing is kept any more."""
        self._path.unlink(missing_ok=True)
        self._lock.close()


def read_register(folder: Path) -> dict[str, Entry]:
    """The processes of the stack that runs in ``folder``, by name in the order of starting; empty if none runs there."""
    if not is_held(folder / _LOCK):
        return {}
    try:
        entries = msgspec.json.decode((folder / _LIST).read_bytes(), type=list[Entry])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        raise ProcessError(f"the stack in {folder} is kept by another release; restart it as a whole") from error
    return {entry.name: entry for entry in entries}
