"""Checks deliver's decisions against the table of moves, and against the facts that each decision names.

An illegal decision is reported and left out, so that one fault is told once.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from broker.audit.early import Early
from broker.audit.fact_versions import Versions
from broker.audit.invariants import Breach
from broker.audit.journal_rules import CONSENT, DECIDED, FIRST_TERMINAL, OPEN, Said
from broker.audit.knowledge import Book, Part
from broker.audit.message_columns import ColumnsError, Mark, fill, paint, segments
from broker.audit.prohibitions import cancelled, forbids, upto_offset
from schemas.delivery_journal import Decided
from schemas.reasons import Reason, State, word_of
from schemas.wire.columns import of_i64s, of_u16s

_LAST_NUMBER: Final = 255
"""An attempt is a byte; those after the last number bear it, too."""


class _Decision(msgspec.Struct, eq=False, gc=False):
    """A run of ranks that one decision treats alike, as places ``lo`` to ``hi``."""

    part: Part
    section: Decided
    status: int
    attempt: int
    lo: int
    hi: int
    count: int
    """Messages that were accepted together."""

    @property
    def first(self) -> int:
        """The first rank."""
        return self.lo - self.part.base

    def __str__(self) -> str:
        ranks = f"rank {self.first}" if self.count == 1 else f"ranks {self.first} to {self.first + self.count - 1}"
        return f"{self.part}, {ranks}, {word_of(self.status)}"


class Decisions:
    """Applies decisions to the columns."""

    def __init__(self, book: Book, versions: Versions, early: Early) -> None:
        self._book = book
        self._ranks = book.ranks
        self._versions = versions
        self._early = early

    def take(self, said: Said, part: Part, section: Decided) -> None:
        """Checks one section of decisions, and notes the legal ones."""
        markets = iter(of_u16s(section.markets) if section.markets else ())
        dues = iter(of_i64s(section.due_ms) if section.due_ms else ())
        try:
            for first, count, status, attempt in segments(section.ranks, section.statuses, section.attempts):
                if first + count > part.count:
                    detail = f"{part}: {part.count} members, rank {first + count - 1}"
                    self._book.findings.report(Breach.RANK_UNKNOWN, said.record.where, detail)
                    return
                lo = part.base + first
                decision = _Decision(part, section, status, attempt, lo, lo + count, count)
                its_markets = _next(markets, count) if section.markets and status == State.SENDING else ()
                its_dues = _next(dues, count) if status == State.WAITING else ()
                if self._legal(said, decision):
                    self._apply(said, decision, its_markets, its_dues)
        except ColumnsError as error:
            self._book.findings.report(Breach.UNREADABLE, said.record.where, str(error))

    def _legal(self, said: Said, decision: _Decision) -> bool:
        illegal = self._ranks.status[decision.lo : decision.hi].translate(None, OPEN)
        if decision.status not in DECIDED:
            breach = Breach.ILLEGAL_MOVE
        elif not illegal:
            return True
        elif State.SENDING in illegal:
            breach = Breach.DECIDED_TWICE
        elif decision.status < FIRST_TERMINAL:
            breach = Breach.AFTER_TERMINAL
        elif illegal == bytes((decision.status,)) * decision.count:
            self._book.counts["repeats"] += decision.count
            return False
        else:
            breach = Breach.TWO_TERMINALS
        self._book.findings.report(breach, said.record.where, str(decision), messages=len(illegal) or decision.count)
        return False

    def _apply(self, said: Said, decision: _Decision, markets: Sequence[int], dues: Sequence[int]) -> None:
        ranks, lo, hi = self._ranks, decision.lo, decision.hi
        match decision.status:
            case State.SENDING:
                self._judge_send(said, decision)
                self.sent(said, lo, hi, decision.attempt)
                paint(ranks.attempt, lo, hi, decision.attempt)
                if markets:
                    ranks.market[lo:hi] = array("H", markets)
                else:
                    fill(ranks.market, lo, hi, decision.section.market)
            case State.WAITING:
                ranks.due_ms[lo:hi] = array("q", dues)
            case _:
                self._judge_refusal(said, decision)
        paint(ranks.status, lo, hi, decision.status)

    def sent(self, said: Said, lo: int, hi: int, attempt: int) -> None:
        """A valid record says that these places were decided to be sent as ``attempt``."""
        ranks, logged_ms = self._ranks, said.record.timestamp_ms
        ranks.mark(lo, hi, Mark.SENT)
        fill(ranks.epoch, lo, hi, said.header.epoch)
        if attempt == 1:
            fill(ranks.sent_ms, lo, hi, logged_ms)
        else:
            ranks.sent_again_ms.update(((at, attempt), logged_ms) for at in range(lo, hi))

    # -- whether it was right

    def _judge_send(self, said: Said, decision: _Decision) -> None:
        part, where, at_ms = decision.part, said.record.where, said.header.at_ms
        report, request = self._book.findings.report, part.request
        self._judge_attempt(said, decision)
        if at_ms < request.start_ms:
            report(Breach.BEFORE_START, where, str(decision), messages=decision.count)
        if at_ms > request.expires_ms:
            report(Breach.DECIDED_AFTER_EXPIRY, where, str(decision), messages=decision.count)
        if self._versions.newer_opened(part):
            report(Breach.DECIDED_SUPERSEDED, where, str(decision), messages=decision.count)
        if part.held:
            report(Breach.SENT_WHILE_HELD, where, str(decision), messages=decision.count)
        stopped = self._forbidden(said, decision)
        if stopped:
            detail = f"{decision}, suppressions up to {decision.section.suppressed_upto}"
            report(Breach.SENT_THOUGH_STOPPED, where, detail, messages=stopped)
        left = self._leavers(decision) if part.listed else 0
        if left:
            report(Breach.SENT_TO_LEAVER, where, str(decision), messages=left)

    def _judge_attempt(self, said: Said, decision: _Decision) -> None:
        ranks, lo, hi, attempt = self._ranks, decision.lo, decision.hi, decision.attempt
        before = ranks.attempt.count(attempt - 1, lo, hi) if attempt else 0
        if attempt == _LAST_NUMBER:
            before += ranks.attempt.count(attempt, lo, hi)
        if before < decision.count:
            self._wrong_attempt(Breach.ATTEMPT_HOLE, said, decision, decision.count - before)
        if State.WAITING in ranks.status[lo:hi]:
            waiting = (at for at in range(lo, hi) if ranks.status[at] == State.WAITING)
            early = sum(ranks.due_ms[at] > said.header.at_ms for at in waiting)
            if early:
                self._wrong_attempt(Breach.TOO_EARLY, said, decision, early)

    def _wrong_attempt(self, breach: Breach, said: Said, decision: _Decision, messages: int) -> None:
        detail = f"{decision} as attempt {decision.attempt}"
        self._book.findings.report(breach, said.record.where, detail, messages=messages)

    def _judge_refusal(self, said: Said, decision: _Decision) -> None:
        report, where, count = self._book.findings.report, said.record.where, decision.count
        if decision.status == Reason.NOT_OPTED_IN:
            allowed = count - self._leavers(decision)
        elif decision.status in CONSENT:
            allowed = count - self._forbidden(said, decision)
        else:
            allowed = 0
        if allowed:
            report(Breach.REFUSED_THOUGH_ALLOWED, where, str(decision), messages=allowed)
        if decision.status == Reason.EXPIRED:
            self._early.expired(said, decision.part, decision.lo, decision.hi)
        if decision.status == Reason.SUPERSEDED and not self._versions.newer_planned(decision.part):
            report(Breach.SUPERSEDED_BY_NOTHING, where, str(decision), messages=count)
        request = decision.part.request
        if decision.status == Reason.CANCELLED and not cancelled(request.words, request.time_ms):
            report(Breach.CANCELLED_BY_NOTHING, where, str(decision), messages=count)

    def _forbidden(self, said: Said, decision: _Decision) -> int:
        """Returns how many of these people forbid it, by the suppressions that the decision names."""
        part, section = decision.part, decision.section
        upto, audience, list_id = section.suppressed_upto, section.audience_upto, part.request.list
        spoken = self._book.stops_of(part)
        if not spoken:
            return 0
        here = (each for rank, each in spoken.items() if decision.lo <= part.base + rank < decision.hi)
        return sum(forbids(upto_offset(each, upto, audience), said.lane, list_id) is not None for each in here)

    def _leavers(self, decision: _Decision) -> int:
        """Returns how many of these members are not on the list any more, by the offset that the decision names."""
        part = decision.part
        if part.ordinals is None:
            return 0
        fold = self._book.people[part.shard].list(part.request.business, part.request.list)
        joined = fold.fold_to(decision.section.audience_upto)
        ordinals = part.ordinals[decision.first : decision.first + decision.count]
        here = ordinals[ordinals < len(joined)]
        return decision.count - int(joined[here].sum())


def _next(values: Iterator[int], count: int) -> list[int]:
    taken = [value for _, value in zip(range(count), values, strict=False)]
    if len(taken) < count:
        raise ColumnsError("fewer markets or due times than ranks")
    return taken
