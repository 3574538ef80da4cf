"""Hand-offs to people who had withdrawn: after a STOP in scope, or after leaving the list, by more than the bound.

The bound runs from the acknowledgement in Kafka to the hand-off by Kafka's clock (:mod:`broker.audit.clocks`). Who took it back
in between may be told or not. ``stops`` and ``leavers`` are looked up once a part.
"""

from broker.audit.book import Book, Part
from broker.audit.consent import forbids, upto_time
from broker.audit.invariants import Breach
from broker.audit.people import joined_at


class Withdrawn:
    """Judges each run of a hand-off."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def handed(self, part: Part, lo: int, hi: int, at_ms: int, where: str) -> None:
        """The gateway took the places ``lo`` to ``hi`` of ``part``, at ``at_ms`` at the earliest."""
        bound_ms = self._book.rules.stop_bound_ms(part.request.lane)
        for rank in self._stopped(part, lo, hi, at_ms, bound_ms):
            detail = f"{part}, rank {rank}, more than {bound_ms} ms before"
            self._book.findings.report(Breach.LATE_AFTER_STOP, where, detail)
        if part.listed:
            for rank in self._left(part, lo, hi, at_ms, bound_ms):
                detail = f"{part}, rank {rank}, more than {bound_ms} ms before"
                self._book.findings.report(Breach.LATE_AFTER_LEAVING, where, detail)

    def _stopped(self, part: Part, lo: int, hi: int, at_ms: int, bound_ms: int) -> list[int]:
        """The ranks that had forbidden it a bound before, and forbade it still."""
        lane, list_id = part.request.lane, part.request.list
        return [
            rank
            for rank, stops in self._book.stops_of(part).items()
            if lo <= part.base + rank < hi
            and forbids(upto_time(stops, at_ms - bound_ms), lane, list_id) is not None
            and forbids(upto_time(stops, at_ms), lane, list_id) is not None
        ]

    def _left(self, part: Part, lo: int, hi: int, at_ms: int, bound_ms: int) -> list[int]:
        """The ranks that had left the list a bound before, and were not on it yet again."""
        return [
            rank
            for rank, words in self._book.leavers_of(part).items()
            if lo <= part.base + rank < hi and not joined_at(words, at_ms - bound_ms) and not joined_at(words, at_ms)
        ]
