"""Hand-offs that were forbidden: after a STOP in scope, a leaving of the list, a pause or a cancel, by more than the bound.

The bound runs from the acknowledgement in Kafka to the hand-off by Kafka's clock (:mod:`broker.audit.clocks`). Who took it back
in between may be told or not. ``stops`` and ``leavers`` are looked up once a part.
"""

from broker.audit.consent import forbids, upto_time
from broker.audit.control import forbidden_between
from broker.audit.invariants import Breach
from broker.audit.people import joined_at
from broker.audit.state import Book, Part


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
        self._halted(part, (lo, hi), at_ms, bound_ms, where)
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

    def _halted(self, part: Part, places: tuple[int, int], at_ms: int, bound_ms: int, where: str) -> None:
        """Report a hand-off of what had been paused or cancelled a bound before, and was so still."""
        request = part.request
        if request.words and (known := forbidden_between(request.words, request.time_ms, at_ms - bound_ms, at_ms)):
            lo, hi = places
            detail = f"{part}, rank {lo - part.base}, {hi - lo} in all, {known} more than {bound_ms} ms before"
            self._book.findings.report(Breach.LATE_AFTER_CONTROL, where, detail, messages=hi - lo)

    def _left(self, part: Part, lo: int, hi: int, at_ms: int, bound_ms: int) -> list[int]:
        """The ranks that had left the list a bound before, and were not on it yet again."""
        return [
            rank
            for rank, words in self._book.leavers_of(part).items()
            if lo <= part.base + rank < hi and not joined_at(words, at_ms - bound_ms) and not joined_at(words, at_ms)
        ]
