"""Between which times settle has read its two logs: whence a new owner folds, and before when no request may be given up.

What a new owner has to know reaches back a life and a settle window before the last finished record, and not before now: an
outage may have been longer. What lay unread in it is about messages as old as that, and windows ended in it that nobody has
spoken of. What ended before, in the times of both logs, was said before that record was finished.

A request ends when its settle window is over *in the logs*: a receipt that came in time may still lie unread, behind an
outage or a backlog, long after the clock has passed the window. Each log is read up to the time of its last record, or to
now once nothing has come from it for a while and nothing lies unread in it: silence alone may be that of a backlog, of
the other log or of a broker that is away.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from schemas.ids import NAME_BYTES

QUIET_MS: Final = 30_000
"""A log from which nothing came for this long is read to its end: heartbeats cross every shard each 10 s."""
LOOK_AGAIN_MS: Final = 60_000
"""A request whose window is over while deliver owes it a word (it was down) is looked at again this much later."""


def fold_from(now_ms: int, reached_ms: Iterable[int], fold_ms: int) -> int:
    """The log time at which a fold begins.

    ``reached_ms``: of each log the time that its last committed record bears (not the log's own time of it, which may be far
    later: an ending waits for the former); 0 if there is none, for then no window has ended yet.
    """
    return min((now_ms, *reached_ms)) - fold_ms


class _Log(msgspec.Struct):
    last_ms: int = 0
    """Latest time that a record of the log bore, milliseconds since the epoch; 0: none was read."""
    moved: bool = False
    quiet_since_ms: int | None = None
    """Since when nothing came from the log, milliseconds; None: something came at the last look."""


class Horizon:
    """The low water of the logs by time. ``quiet_ms`` is the silence after which a log counts as read."""

    __slots__ = ("_logs", "_quiet_ms")

    def __init__(self, quiet_ms: int = QUIET_MS) -> None:
        self._quiet_ms = quiet_ms
        self._logs = {name: _Log() for name in ("outcomes", "receipts")}

    def read(self, name: str, at_ms: int) -> None:
        """A record written at ``at_ms`` was read from a log."""
        log = self._logs[name]
        log.last_ms = max(log.last_ms, at_ms)
        log.moved = True

    def behind(self, name: str) -> None:
        """Records may lie unread in a log: that nothing comes from it means nothing."""
        # As if something had come: silence proves that a log is read only while nothing lies unread in it.
        self._logs[name].moved = True

    @property
    def low(self) -> int:
        """The time up to which the records read so far reach, whatever the clock says."""
        return min(log.last_ms for log in self._logs.values())

    def at(self, now_ms: int) -> int:
        """The time up to which everything has been read; asked regularly, with a clock that does not go back."""
        # A window is over only in the log that lags most: else a restart could end a request before its receipts are read.
        return min([self._reached(log, now_ms) for log in self._logs.values()])

    def _reached(self, log: _Log, now_ms: int) -> int:
        if log.moved or log.quiet_since_ms is None:
            log.moved, log.quiet_since_ms = False, now_ms
        quiet = now_ms - log.quiet_since_ms >= self._quiet_ms
        return now_ms if quiet else min(now_ms, log.last_ms)


# When the settle windows of requests end: names by deadline, in buckets, so that a name costs its 16 bytes.


class Ends:
    """Names by deadline. ``width_ms`` is how much later than its deadline a name may come due."""

    __slots__ = ("_buckets", "_first", "_later", "_width_ms")

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._buckets: dict[int, bytearray] = {}
        self._first = 2**62
        """No bucket lies before this one."""
        self._later: list[tuple[int, bytes]] = []

    def add(self, deadline_ms: int, request: bytes) -> None:
        """``request`` ends at ``deadline_ms``."""
        bucket = deadline_ms // self._width_ms
        self._buckets.setdefault(bucket, bytearray()).extend(request)
        self._first = min(self._first, bucket)

    def put_off(self, deadline_ms: int, request: bytes) -> None:
        """``request`` is not to be taken again before :meth:`recall`: a rebuild asks often, and can end nothing that is open."""
        self._later.append((deadline_ms, request))

    def recall(self) -> None:
        """Makes what was put off be taken at its deadline, which has passed."""
        for deadline_ms, request in self._later:
            self.add(deadline_ms, request)
        self._later.clear()

    def take(self, before_ms: int) -> Iterator[bytes]:
        """The names whose deadline has passed before ``before_ms``, the oldest bucket first. They are gone from here."""
        while self._buckets and (self._first + 1) * self._width_ms <= before_ms:
            names = self._buckets.pop(self._first)
            self._first = min(self._buckets, default=2**62)
            for at in range(0, len(names), NAME_BYTES):
                yield bytes(names[at : at + NAME_BYTES])
