"""Checks the gateway's answers in the journal: only a message that was handed off can be answered, and only once for good.

An illegal answer is reported and left out, so that one fault is told once.
"""

from typing import Final

from broker.audit.early import Early
from broker.audit.fact_versions import Versions
from broker.audit.invariants import Breach
from broker.audit.journal_rules import CONSENT, EXCEPTED, FIRST_TERMINAL, OPEN, SENT, Said
from broker.audit.knowledge import Book, Part
from broker.audit.message_columns import ColumnsError, spans
from broker.audit.prohibitions import NOTHING, cancelled, forbids, knows_opt_out, upto_time
from broker.audit.recipients import joined_at
from schemas.delivery_journal import Answered
from schemas.reasons import Reason, State, word_of
from schemas.wire.columns import of_i64s, of_u32s, ranks_of

_APPEND_MS: Final = 5_000
"""More than an append may take (``streams/kafka/producer.py``)."""

_Exceptions = dict[int, tuple[int, int, int]]
"""Rank -> status, due time and the gateway's code."""


def _exceptions(section: Answered) -> _Exceptions:
    """Those of a section, mostly none; :class:`ColumnsError` if the columns differ in length."""
    packed = (section.except_ranks, section.except_statuses, section.except_due_ms, section.except_codes)
    if not any(packed):
        return {}
    ranks, statuses, dues, codes = of_u32s(packed[0]), packed[1], of_i64s(packed[2]), of_u32s(packed[3])
    if not len(ranks) == len(statuses) == len(dues) == len(codes):
        raise ColumnsError("exceptions of different length")
    return dict(zip(ranks, zip(statuses, dues, codes, strict=True), strict=True))


class Answers:
    """Applies answers to the columns."""

    def __init__(self, book: Book, versions: Versions, early: Early) -> None:
        self._book = book
        self._ranks = book.ranks
        self._versions = versions
        self._early = early

    def take(self, said: Said, part: Part, section: Answered) -> None:
        """Checks one section of answers: all its messages were accepted but the exceptions."""
        part.answered_ms = max(part.answered_ms, section.gateway_ms)
        try:
            exceptions = _exceptions(section)
        except ColumnsError as error:
            self._book.findings.report(Breach.UNREADABLE, said.record.where, str(error))
            return
        foreign = exceptions.keys() - set(ranks_of(section.ranks)) if exceptions else ()
        last = max([first + count for first, count in spans(section.ranks)], default=0)
        if foreign or last > part.count:
            detail = f"{part}: {part.count} members, answers about {max(last - 1, *foreign, 0)}"
            self._book.findings.report(Breach.RANK_UNKNOWN, said.record.where, detail)
            return
        if section.gateway_ms and last:
            self._heard(said, part, section)
        for first, count in spans(section.ranks):
            self._accept(said, part, range(first, first + count), exceptions)
        for rank, exception in exceptions.items():
            self._except(said, part, rank, exception, section.gateway_ms)

    def _heard(self, said: Said, part: Part, section: Answered) -> None:
        """The gateway's clock, between the decision of the first rank and this answer."""
        ranks, at = self._ranks, part.base + next(iter(spans(section.ranks)))[0]
        attempt = ranks.attempt[at]
        decided_ms = ranks.sent_ms[at] if attempt == 1 else ranks.sent_again_ms.get((at, attempt), 0)
        if decided_ms:
            self._book.clocks[said.lane].heard(section.gateway_ms, decided_ms, said.record.timestamp_ms)

    def _accept(self, said: Said, part: Part, ranks: range, exceptions: _Exceptions) -> None:
        statuses, lo, hi = self._ranks.status, part.base + ranks.start, part.base + ranks.stop
        if hi - lo == 1 and statuses[lo] == State.SENDING:
            statuses[lo] = State.ACCEPTED
            return
        if not statuses[lo:hi].translate(None, SENT):
            statuses[lo:hi] = bytes((State.ACCEPTED,)) * len(ranks)
            return
        for rank in ranks:
            before = statuses[part.base + rank]
            if before == State.SENDING:
                statuses[part.base + rank] = State.ACCEPTED
            else:
                now, _, _ = exceptions.pop(rank, (State.ACCEPTED, 0, 0))
                self._not_under_way(said, f"{part}, rank {rank}", before, now)

    def _not_under_way(self, said: Said, message: str, before: int, now: int) -> None:
        if before == now:
            self._book.counts["repeats"] += 1
            return
        if before in OPEN:
            breach = Breach.ILLEGAL_MOVE
        elif now >= FIRST_TERMINAL or now in {State.ACCEPTED, State.IN_DOUBT}:
            breach = Breach.TWO_TERMINALS
        else:
            breach = Breach.AFTER_TERMINAL
        detail = f"{message}: {word_of(before)}, then answered {word_of(now)}"
        self._book.findings.report(breach, said.record.where, detail)

    def _except(self, said: Said, part: Part, rank: int, exception: tuple[int, int, int], gateway_ms: int) -> None:
        status, due_ms, code = exception
        ranks, at, report = self._ranks, part.base + rank, self._book.findings.report
        if status not in EXCEPTED:
            report(Breach.ILLEGAL_MOVE, said.record.where, f"{part}, rank {rank}, answered {status}")
            return
        ranks.status[at] = status
        ranks.due_ms[at] = due_ms
        self._early.excepted(said, part, rank, status, code=code, gateway_ms=gateway_ms)
        if status == Reason.RECIPIENT_OPTED_OUT and code:
            self._opted_out(said, part, rank, min(gateway_ms, said.header.at_ms))
        else:
            self._withheld(said, part, rank, status)

    def _opted_out(self, said: Said, part: Part, rank: int, at_ms: int) -> None:
        """The gateway said that a person had opted out of offers: the suppressions must know it soon."""
        spoken = self._book.stops_of(part).get(rank, NOTHING)
        known = knows_opt_out(spoken, part.request.business, at_ms)
        if not known and self._book.rules.late(said.record.timestamp_ms):
            self._book.findings.report(Breach.STOP_LOST, said.record.where, f"{part}, rank {rank}, answered")

    def _withheld(self, said: Said, part: Part, rank: int, status: int) -> None:
        report, at_ms = self._book.findings.report, said.record.timestamp_ms
        # Who joined again between the frame and the append of its answer was withheld with good reason.
        before_ms = at_ms - _APPEND_MS
        if status in CONSENT:
            spoken = upto_time(self._book.stops_of(part).get(rank, NOTHING), at_ms, before_ms)
            if forbids(spoken, said.lane, part.request.list) is None:
                report(Breach.REFUSED_THOUGH_ALLOWED, said.record.where, f"{part}, rank {rank}, withheld")
        elif status == Reason.NOT_OPTED_IN and not self._had_left(part, rank, before_ms, at_ms):
            report(Breach.REFUSED_THOUGH_ALLOWED, said.record.where, f"{part}, rank {rank}, withheld")
        elif status == Reason.SUPERSEDED and not self._versions.newer_planned(part):
            report(Breach.SUPERSEDED_BY_NOTHING, said.record.where, f"{part}, rank {rank}, withheld")
        elif status == Reason.CANCELLED and not cancelled(part.request.words, part.request.time_ms):
            report(Breach.CANCELLED_BY_NOTHING, said.record.where, f"{part}, rank {rank}, withheld")

    def _had_left(self, part: Part, rank: int, since_ms: int, until_ms: int) -> bool:
        """Returns True if somebody was not on the list at some moment of a span."""
        words = self._book.leavers_of(part).get(rank, ())
        moments = (since_ms, *(word.at_ms for word in words if since_ms < word.at_ms <= until_ms))
        return bool(words) and not all(joined_at(words, at_ms) for at_ms in moments)
