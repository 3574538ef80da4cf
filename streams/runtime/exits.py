"""The one way out when something is wrong: one log line, then ``os._exit`` with a code from a closed list.

Crash-only (PROTOCOL.md rule 14): recovery is the start-up path, so there is no second one to get wrong. ``os._exit``
and not ``sys.exit``: nothing may run after the verdict, no buffered append, no commit, no ``finally``.
"""

import os
import threading
from enum import IntEnum
from typing import Final, NoReturn

from streams.runtime import log


class Exit(IntEnum):
    """Why a process ended itself. The numbers lie above what shells, Python and signals use, and are never reused."""

    FENCED = 70
    UNKNOWN_APPEND = 71
    SLOT_TAKEN = 72
    WATCHDOG = 73
    COMMIT_REFUSED = 74
    HOLE = 75
    DEADLINE = 76
    CRASHED = 77
    CLOCK_JUMP = 78
    TRIMMED = 79
    REFUSED_START = 80
    GROUP_LOST = 81
    OVERSIZE = 82
    DISK_REFUSED = 83


_MEANINGS: Final = {
    Exit.FENCED: "Another owner has claimed this journal; it goes on, this process starts afresh.",
    Exit.UNKNOWN_APPEND: "An append was not confirmed; whether it happened is unknown, and the next claim reads it.",
    Exit.SLOT_TAKEN: "Another process has joined the group in this slot, or the group has given the slot up.",
    Exit.WATCHDOG: "The process stood still for more than half the session time-out and may have lost its shards.",
    Exit.COMMIT_REFUSED: "The group refused a commit: this process is no longer the owner it thinks it is.",
    Exit.HOLE: "An input offset did not follow its predecessor: records were skipped. Restarting reads them again.",
    Exit.DEADLINE: "A step took longer than its deadline allows.",
    Exit.CRASHED: "Something unexpected happened in this program; it is a defect.",
    Exit.CLOCK_JUMP: "The wall clock jumped by more than five seconds against the monotonic clock.",
    Exit.TRIMMED: "The log no longer holds what the fold needs; starting would forget decisions; the fields say which.",
    Exit.REFUSED_START: "This process must not start as it is configured or installed; the fields say why.",
    Exit.GROUP_LOST: "The consumer group can no longer be followed: its coordinator gave an error that does not heal.",
    Exit.OVERSIZE: "A record was built larger than Kafka takes; records must be bounded before they are sent.",
    Exit.DISK_REFUSED: "The disk took no more: it is full, or fails. Nothing is lost; make room, and start again.",
}


_once = threading.Lock()
_LOG_PATIENCE_S = 1.0
"""A log that cannot be written (a full pipe that nobody reads) must not keep a process alive that has to go."""


def fatal(code: Exit, **fields: str | int | None) -> NoReturn:
    """Log ``code`` with its sentence and ``fields`` once, whichever thread is first, and end the process with it.

    ``fields`` are ids, counts, offsets, class names; never content. Inside an ``except`` block the exception's class
    and frames are added.
    """
    _once.acquire()  # never released: a second thread waits here until the process is gone
    patience = threading.Timer(_LOG_PATIENCE_S, os._exit, (int(code),))
    patience.daemon = True
    patience.start()
    try:
        log.get("fatal").critical(
            f"exit_{code.name.lower()}", code=int(code), meaning=meaning(code), exc_info=True, **fields
        )
    finally:
        os._exit(code)


def meaning(code: Exit) -> str:
    """Returns a sentence for whoever reads the log: what happened, and what follows."""
    return _MEANINGS[code]
