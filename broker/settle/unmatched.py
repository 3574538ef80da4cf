"""Holds what came about requests that are not known here (yet): kept for a while, bounded, never charged.

Receipts and the journal are two logs, so a receipt may be read before the decision that it answers. It waits here until the
request appears; what nobody ever decided expires, and is counted.
"""

from typing import Generic, TypeVar

from schemas.delivery_journal import Answered, Decided, Held, Members
from schemas.facts import ReceiptRun

Section = Members | Decided | Answered | Held | ReceiptRun
"""May be said of a request before it is known."""

Entry = TypeVar("Entry")


class Quarantine(Generic[Entry]):
    """Sections and receipts by request, oldest request first. ``limit`` bounds their number."""

    __slots__ = ("_entries", "_limit", "dropped", "held")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[bytes, list[tuple[int, Entry]]] = {}
        self.held = 0
        """Entries kept now."""
        self.dropped = 0
        """Entries that expired or had to make room: evidence about nothing that was ever decided here."""

    def keep(self, request: bytes, at_ms: int, entry: Entry) -> None:
        """Keep ``entry``, said at ``at_ms``, for when ``request`` becomes known."""
        self._entries.setdefault(request, []).append((at_ms, entry))
        self.held += 1
        while self.held > self._limit:
            # The oldest makes room: its request should long have been read, so it is likeliest to belong to none.
            self._drop(next(iter(self._entries)))

    def release(self, request: bytes) -> list[tuple[int, Entry]]:
        """Everything kept about ``request``, in the order in which it came."""
        entries = self._entries.pop(request, [])
        self.held -= len(entries)
        return entries

    def expire(self, before_ms: int) -> None:
        """Drop what was said before ``before_ms``: the journal has been read beyond that and never named the request."""
        while self._entries:
            request = next(iter(self._entries))
            entries = self._entries[request]
            if entries[0][0] >= before_ms:
                return
            young = [entry for entry in entries if entry[0] >= before_ms]
            self._drop(request)
            if young:  # an old word about a request says nothing of the receipts that came since
                self._entries[request] = young
                self.held += len(young)
                self.dropped -= len(young)

    def _drop(self, request: bytes) -> None:
        self.dropped += len(self.release(request))
