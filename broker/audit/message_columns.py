"""Keeps every message of the audit as one place in a few byte columns.

A (request, shard) is given a run of places, so that a chunk of ranks is a slice: what a slice may hold is asked with
``bytes.translate`` and ``count``, which cost microseconds for four thousand messages. A single message, which most requests
are, is an index instead: a million of them are a million times everything. About 30 bytes a message.
"""

from array import array
from collections.abc import Iterable, Iterator
from enum import IntEnum
from functools import lru_cache
from typing import Final

from schemas.facts import ReceiptStatus
from schemas.wire.columns import pairs


class Mark(IntEnum):
    """Names the bits of what is known of a message beside its status."""

    SENT = 1
    """A valid decision to send it."""
    HANDED = 2
    """The gateway accepted it."""
    CHARGED = 4
    DUE = 8
    """Its charge lies below the ledger's offset."""
    BOOKED = 16
    """It stands in the ledger."""
    LATE = 32
    """Proof of its delivery came after its window."""


_PAIR_BYTES: Final = 8
_RUN_BYTES: Final = 5

PROGRESS: Final = 3
"""The bits of ``progress`` that say how far: sent, delivered, read."""
FAILED: Final = 4
"""The latched bit."""

_SET: Final = {mark: bytes(byte | mark for byte in range(256)) for mark in Mark}
_WITH: Final = {mark: bytes(byte for byte in range(256) if byte & mark) for mark in Mark}
_JOIN: Final = {
    status: bytes((byte & ~PROGRESS) | max(byte & PROGRESS, status) for byte in range(256))
    for status in (ReceiptStatus.SENT, ReceiptStatus.DELIVERED, ReceiptStatus.READ)
} | {ReceiptStatus.FAILED: bytes(byte | FAILED for byte in range(256))}


class ColumnsError(ValueError):
    """Columns whose lengths do not agree."""


class Ranks:
    """The columns. ``lo`` and ``hi`` are places."""

    __slots__ = (
        "_bytes",
        "_columns",
        "_numbers",
        "attempt",
        "due_ms",
        "epoch",
        "market",
        "marks",
        "progress",
        "reported",
        "sent_again_ms",
        "sent_ms",
        "status",
    )

    def __init__(self) -> None:
        self.status = bytearray()
        self.attempt = bytearray()
        self.marks = bytearray()
        self.progress = bytearray()
        """The receipts of each message: sent, delivered or read, and failed as a bit beside it."""
        self.reported = bytearray()
        """The same as the gateway reported it and the webhook confirmed."""
        self.market = array("H")
        self.epoch = array("I")
        """Of the last decision to send."""
        self.sent_ms = array("q")
        """Log time of the first decision to send."""
        self.sent_again_ms: dict[tuple[int, int], int] = {}
        """(place, attempt) -> log time, for attempts from the second on."""
        self.due_ms = array("q")
        self._bytes = (self.status, self.attempt, self.marks, self.progress, self.reported)
        self._numbers = (self.market, self.epoch, self.sent_ms, self.due_ms)
        self._columns = (*self._bytes, *self._numbers)

    def __len__(self) -> int:
        return len(self.status)

    def allot(self, count: int) -> int:
        """Places for ``count`` messages; returns the first."""
        base = len(self.status)
        if count == 1:
            for each in self._columns:
                each.append(0)
            return base
        for column in self._bytes:
            column.extend(bytes(count))
        for numbers in self._numbers:
            numbers.frombytes(bytes(numbers.itemsize * count))
        return base

    def mark(self, lo: int, hi: int, mark: Mark) -> None:
        """Set a mark on all of a slice."""
        if hi - lo == 1:
            self.marks[lo] |= mark
        else:
            self.marks[lo:hi] = self.marks[lo:hi].translate(_SET[mark])

    def marked(self, lo: int, hi: int, mark: Mark) -> int:
        """Returns how many of a slice have the mark."""
        if hi - lo == 1:
            return 1 if self.marks[lo] & mark else 0
        return hi - lo - len(self.marks[lo:hi].translate(None, _WITH[mark]))

    def heard(self, lo: int, hi: int, status: ReceiptStatus) -> None:
        """Join a receipt into a slice."""
        if hi - lo == 1:
            self.progress[lo] = _JOIN[status][self.progress[lo]]
        else:
            self.progress[lo:hi] = self.progress[lo:hi].translate(_JOIN[status])

    def confirmed(self, lo: int, hi: int, status: ReceiptStatus) -> None:
        """Join a report that the webhook confirmed into a slice."""
        self.reported[lo:hi] = self.reported[lo:hi].translate(_JOIN[status])


def highest(column: "array[int]", lo: int, hi: int) -> int:
    """The greatest value of a slice that holds at least one."""
    return column[lo] if hi - lo == 1 else max(column[lo:hi])


def paint(column: bytearray, lo: int, hi: int, value: int) -> None:
    """Sets every byte of a slice to the same status."""
    if hi - lo == 1:
        column[lo] = value
    else:
        column[lo:hi] = bytes((value,)) * (hi - lo)


def fill(column: "array[int]", lo: int, hi: int, value: int) -> None:
    """Sets every value of a slice to the same number."""
    if hi - lo == 1:
        column[lo] = value
    else:
        column[lo:hi] = array(column.typecode, (value,)) * (hi - lo)


@lru_cache(maxsize=4_096)
def _only(interval: bytes) -> tuple[tuple[int, int], ...]:
    return tuple(pairs(interval))


def spans(intervals: bytes) -> Iterable[tuple[int, int]]:
    """The (first, count) pairs of packed intervals; of one interval, which is mostly one of few, without unpacking."""
    return _only(intervals) if len(intervals) == _PAIR_BYTES else pairs(intervals)


Segment = tuple[int, int, int, int]


def segments(intervals: bytes, statuses: bytes, attempts: bytes) -> Iterable[Segment]:
    """(first rank, count, status, attempt) of runs in which status and attempt are the same.

    ``intervals`` are packed (first, count) pairs, the others packed runs; raises :class:`ColumnsError` if they differ in
    length.
    """
    if len(intervals) == _PAIR_BYTES and len(statuses) == len(attempts) == _RUN_BYTES:
        alike = _alike(intervals, statuses, attempts)
        if alike:
            return alike
    return _mixed(intervals, statuses, attempts)


@lru_cache(maxsize=4_096)
def _alike(interval: bytes, status: bytes, attempt: bytes) -> tuple[Segment, ...]:
    """Returns one segment if one run of each column covers one interval, else nothing. Single messages say the same for ever."""
    first, count = next(pairs(interval))
    covered = count and interval[4:] == status[1:] == attempt[1:]
    return ((first, count, status[0], attempt[0]),) if covered else ()


def _mixed(intervals: bytes, statuses: bytes, attempts: bytes) -> Iterator[Segment]:
    status_runs, attempt_runs = _runs(statuses), _runs(attempts)
    status = attempt = status_left = attempt_left = 0
    for first, count in pairs(intervals):
        at, left = first, count
        while left:
            if not status_left:
                status, status_left = next(status_runs, (0, 0))
            if not attempt_left:
                attempt, attempt_left = next(attempt_runs, (0, 0))
            step = min(left, status_left, attempt_left)
            if not step:
                raise ColumnsError("fewer statuses or attempts than ranks")
            yield at, step, status, attempt
            at, left = at + step, left - step
            status_left, attempt_left = status_left - step, attempt_left - step
    if status_left or next(status_runs, None):
        raise ColumnsError("more statuses than ranks")


def _runs(packed: bytes) -> Iterator[tuple[int, int]]:
    return ((packed[at], int.from_bytes(packed[at + 1 : at + 5])) for at in range(0, len(packed), 5))
