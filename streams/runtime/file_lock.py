"""Files that processes share: a lock that says who lives, a file that is replaced whole, a folder for nobody else's eyes.

A lock is held with flock(2): held means alive, and what a killed process left behind is free.
"""

import fcntl
from pathlib import Path
from typing import IO


def hold(path: Path) -> IO[bytes]:
    """Hold the lock at ``path`` until the result is closed or this process ends; ``BlockingIOError`` if another holds it.

    ``OSError`` if it cannot be made.
    """
    lock = path.open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise
    return lock


def is_held(path: Path) -> bool:
    """Returns whether a living process holds the lock at ``path``."""
    try:
        with path.open("rb") as lock:
            # Shared, so that two who ask do not see each other as the owner.
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def private_folder(path: Path) -> None:
    """Makes the folder at ``path`` for its owner alone (0700); one that is there already keeps what its owner chose.

    Records, books, logs and the gateway's phones hold what people were told, and by whom.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_whole(path: Path, value: bytes) -> None:
    """Replace the file at ``path``: whoever reads it meanwhile reads the old or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(value)
    fresh.replace(path)
