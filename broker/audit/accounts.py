"""Closing the accounts: after all logs are read, every message is in one state, and book, gateway and charges agree.

Done over whole columns; a violation names the request and shard, and how many of its messages it concerns.
"""

from collections import Counter
from typing import Final

import numpy as np
import numpy.typing as npt

from broker.audit.business_topics import DELIVERED, OPEN, READ
from broker.audit.invariants import Breach
from broker.audit.journal_rules import FIRST_TERMINAL
from broker.audit.knowledge import Book, Part
from broker.audit.message_columns import FAILED, PROGRESS, Mark
from schemas.facts import ReceiptStatus
from schemas.lanes import Lane
from schemas.reasons import Reason, State, word_of
from schemas.topics import outcomes, requests, status, work

Mask = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

_CODES: Final = 64
"""Codes of a tally: status bytes, and the two above for what no status byte says."""
_WORDS: Final = {DELIVERED: "delivered", READ: "read"}


class Accounts:
    """The columns of one audit, as arrays, with the part that each message belongs to."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._parts = sorted((part for part in book.all_parts() if part.frozen), key=lambda part: part.base)
        counts = np.fromiter((part.count for part in self._parts), dtype=np.int64, count=len(self._parts))
        self._owner = np.repeat(np.arange(len(self._parts)), counts)
        self._status: Bytes = np.frombuffer(book.ranks.status, dtype=np.uint8)
        self._marks: Bytes = np.frombuffer(book.ranks.marks, dtype=np.uint8)
        self._progress: Bytes = np.frombuffer(book.ranks.progress, dtype=np.uint8)
        windows = book.rules.windows
        self._expires = self._numbers([part.request.expires_ms for part in self._parts])
        self._settled_ms = self._numbers(
            [part.request.expires_ms + windows[part.request.lane].settle_ms for part in self._parts]
        )
        self._heartbeat = self._flags([part.request.heartbeat for part in self._parts])

    def _numbers(self, each: list[int]) -> npt.NDArray[np.int64]:
        return np.asarray(each, dtype=np.int64)[self._owner] if each else np.empty(0, dtype=np.int64)

    def _flags(self, each: list[bool]) -> Mask:
        return np.asarray(each, dtype=np.bool_)[self._owner] if each else np.empty(0, dtype=np.bool_)

    def _marked(self, mark: Mark) -> Mask:
        marked: Mask = (self._marks & np.uint8(mark)) != 0
        return marked

    @property
    def _delivered(self) -> Mask:
        delivered: Mask = (self._progress & np.uint8(PROGRESS)) >= np.uint8(ReceiptStatus.DELIVERED)
        return delivered

    def _report(self, breach: Breach, wrong: Mask) -> None:
        owners, counts = np.unique(self._owner[wrong], return_counts=True)
        for owner, count in zip(owners.tolist(), counts.tolist(), strict=True):
            part = self._parts[owner]
            first = int(np.flatnonzero(wrong[part.base : part.base + part.count])[0])
            detail = f"{part}, {count} of {part.count}, the first is rank {first}"
            self._book.findings.report(breach, part.request.where, detail, messages=count)

    def close(self) -> None:
        """Report all that does not add up."""
        self._against_gateway()
        self._unfinished()
        self._charges()
        self._ledger()

    def _against_gateway(self) -> None:
        handed, status = self._marked(Mark.HANDED), self._status
        now_ms = self._book.rules.now_ms
        heard = self._flags([part.answered_ms <= now_ms for part in self._parts])
        self._report(Breach.ACCEPTED_UNSEEN, (status == State.ACCEPTED) & ~handed & heard)
        denied = (status >= FIRST_TERMINAL) | (status == State.WAITING)
        self._report(Breach.REFUSED_BUT_VISIBLE, denied & handed)
        read = self._flags([part.evidence_ms <= now_ms for part in self._parts])
        self._report(Breach.DELIVERED_UNSEEN, self._delivered & ~handed & read)
        reported: Bytes = np.frombuffer(self._book.ranks.reported, dtype=np.uint8)
        further = (reported & np.uint8(PROGRESS)) > (self._progress & np.uint8(PROGRESS))
        failed = (reported & ~self._progress & np.uint8(FAILED)) != 0
        self._report(Breach.RECEIPT_LOST, (further | failed) & ~self._marked(Mark.LATE) & self._marked(Mark.SENT))

    def _unfinished(self) -> None:
        rules = self._book.rules
        opened = self._flags([part.opened for part in self._parts])
        due = (self._expires + rules.finish_ms < rules.now_ms) | rules.quiet
        self._report(Breach.UNFINISHED, (self._status <= State.WAITING) & opened & due)

    def _charges(self) -> None:
        rules = self._book.rules
        charged, delivered = self._marked(Mark.CHARGED), self._delivered
        test = self._flags([part.request.test for part in self._parts])
        due = self._flags([rules.late(part.evidence_ms) for part in self._parts])
        self._report(Breach.UNCHARGED, delivered & ~charged & ~test & due)
        self._report(Breach.CHARGED_UNDELIVERED, charged & ~delivered)

    def _ledger(self) -> None:
        booked, due = self._marked(Mark.BOOKED), self._marked(Mark.DUE)
        wanted = self._marked(Mark.CHARGED) if self._book.rules.quiet else due
        self._report(Breach.LEDGER_RANKS_DIFFER, (wanted & ~booked) | (booked & ~due))

    def ends(self) -> bytes:
        """The code of what each message came to (:mod:`broker.audit.business_topics`), whatever the time."""
        codes = np.where(self._status >= FIRST_TERMINAL, self._status, np.uint8(OPEN))
        self._join_receipts(codes)
        return codes.tobytes()

    def _join_receipts(self, codes: Bytes) -> None:
        """Overwrites the codes of messages that were handed off with the last word of their receipts: failed, delivered, read."""
        sent, progress = self._marked(Mark.SENT), self._progress & np.uint8(PROGRESS)
        codes[sent & ((self._progress & np.uint8(FAILED)) != 0)] = Reason.FAILED
        codes[sent & (progress == ReceiptStatus.DELIVERED)] = DELIVERED
        codes[sent & (progress == ReceiptStatus.READ)] = READ

    def tally(self) -> dict[Lane, Counter[str]]:
        """Returns how many messages of each lane are in each state; heartbeats are left out."""
        codes = self._status.copy()
        taken = (codes == State.ACCEPTED) | (codes == State.IN_DOUBT)
        over = self._settled_ms < self._book.rules.now_ms
        codes[taken & over] = Reason.UNKNOWN
        self._join_receipts(codes)
        lanes = self._numbers([part.request.lane for part in self._parts])
        both = (lanes * _CODES + codes)[~self._heartbeat]
        found: dict[Lane, Counter[str]] = {lane: Counter() for lane in Lane}
        for code, count in enumerate(np.bincount(both, minlength=_CODES).tolist()):
            if count:
                byte = code % _CODES
                found[Lane(code // _CODES)][_WORDS.get(byte) or word_of(byte)] = count
        return found

    @property
    def charged(self) -> int:
        """Returns how many messages were charged."""
        return int(self._marked(Mark.CHARGED).sum())

    @property
    def heartbeats(self) -> int:
        """Returns how many messages are heartbeats of ours."""
        return int(self._heartbeat.sum())

    @property
    def contradicted(self) -> int:
        """Returns how many messages have both proof of delivery and a report of failure."""
        return int((self._delivered & ((self._progress & np.uint8(FAILED)) != 0)).sum())


def close_parts(book: Book) -> None:
    """Report shards that were not asked, or asked and not heard of."""
    for part in book.all_parts():
        if part.opened and not part.frozen:
            _unfrozen(book, part)
        elif not part.opened:
            _unopened(book, part)


def _unfrozen(book: Book, part: Part) -> None:
    rules = book.rules
    if rules.quiet or part.request.expires_ms + rules.finish_ms < rules.now_ms:
        book.findings.report(Breach.UNFINISHED, part.request.where, f"{part}, members were never frozen")
    else:
        book.counts["open_unfrozen"] += 1


def _unopened(book: Book, part: Part) -> None:
    lane = part.request.lane
    if any((work(lane), part.shard, offset) in book.dead for offset in part.asked):
        book.counts["poisoned"] += 1
    elif book.trimmed((outcomes(lane), part.shard), part.request.verdict_ms):
        book.counts["beyond_retention"] += 1
    elif part.asked:
        _not_taken_over(book, part)
    else:
        _not_asked(book, part)


def _not_taken_over(book: Book, part: Part) -> None:
    place, offset = (work(part.request.lane), part.shard), part.asked[0]
    if book.committed(place, offset):
        detail = f"{part} was not opened"
        book.findings.report(Breach.COMMITTED_UNFINISHED, f"{place[0]}/{place[1]}@{offset}", detail)
    elif book.rules.late(part.request.verdict_ms):
        book.findings.report(Breach.NOT_OPENED, part.request.where, str(part), messages=max(part.count, 1))
    else:
        book.counts["lag_deliver"] += 1


def _not_asked(book: Book, part: Part) -> None:
    (partition, offset), topic = part.request.origin, requests(part.request.lane)
    if book.committed((topic, partition), offset):
        book.findings.report(Breach.COMMITTED_UNFINISHED, f"{topic}/{partition}@{offset}", f"no work for {part}")
    elif book.rules.late(part.request.verdict_ms):
        book.findings.report(Breach.WORK_MISSING, part.request.where, str(part), messages=max(part.count, 1))
    else:
        book.counts["lag_work"] += 1


def close_statuses(book: Book) -> None:
    """Report verdicts that were committed and never told."""
    for request in book.requests.values():
        place = (status(request.business), 0)
        if request.told or place not in book.begun or book.trimmed(place, request.verdict_ms):
            continue
        topic, (partition, offset) = requests(request.lane), request.origin
        if book.committed((topic, partition), offset):
            where = f"{topic}/{partition}@{offset}"
            book.findings.report(
                Breach.COMMITTED_UNFINISHED, where, f"the verdict about request {request} was not told"
            )
