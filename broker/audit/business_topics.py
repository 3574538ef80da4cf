"""Checks what businesses read: statuses, against verdicts and what became of messages; billing events, against the book.

Each stands on its business's own topic. Of billing events there is one for each posting, in the order of posting, each once, and
together they are what the book took.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import msgspec
from pyroaring import BitMap

from broker.audit.invariants import Breach
from broker.audit.knowledge import Book, Part, Request
from broker.audit.sources import Ledger, LedgerPosting, Logged
from schemas.ids import NAME_BYTES, business_of, name_of, text_of
from schemas.lanes import Lane
from schemas.reasons import MESSAGE_REASONS, Reason, State
from schemas.status import BilledCharge, Status
from schemas.topics import BILLING_PREFIX, STATUS_PREFIX, billing, outcomes, receipts
from schemas.topics import status as status_topic

# What settle told businesses, held against the journal and the receipts: the newest word about each (request, shard).
#
# A word may be old, for settle speaks at intervals, but never ahead: it counts every member once, and of each end at most what
# there is now. Ends only grow, but that proof of delivery turns a refusal into delivered, and delivered into read. Once nothing
# has happened to a part for a while the word is exact; so is one that says ``unknown``, for it is the last.

OPEN: Final = 0
DELIVERED: Final = 5
READ: Final = 6
"""Beside the numbers of reasons: what a message came to, open in whichever state included."""

_GRACE_MS: Final = 10_000
"""Of a quiet system: several times what settle waits between two words."""
_CODE_OF: Final = {
    **{state.name.lower(): OPEN for state in State},
    "sent": OPEN,
    "held": OPEN,
    "delivered": DELIVERED,
    "read": READ,
    **{reason.word: reason.value for reason in MESSAGE_REASONS},
}


@lru_cache(maxsize=4_096)
def _shared(counts: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Returns a shared copy of counts that many requests have alike, to save memory: most are small and end the same way."""
    return counts


def settled(book: Book, record: Logged, told: Status, request: Request | None, name: bytes) -> None:
    """The next word about a part; of repeated and late ones the highest ``seq`` stands. ``ValueError`` for unknown states."""
    part = None if request is None else book.parts[request.lane, told.shard].get(name)
    if part is None:
        if not any(book.excused(lane, record.timestamp_ms) for lane in Lane):
            detail = f"request {told.request}, shard {told.shard}: nothing was asked"
            book.findings.report(Breach.COUNT_DIFFERS, record.where, detail)
        return
    if told.recipients and Counter(one.reason or one.state for one in told.recipients) != told.counts:
        book.findings.report(Breach.COUNT_DIFFERS, record.where, f"{part}: its recipients come to something else")
    if told.seq > part.told_seq:
        part.told_seq, part.told_at, part.told = told.seq, record.offset, _shared(_coded(told.counts))


def _coded(told: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
    counts: Counter[int] = Counter()
    for word, count in told.items():
        if word not in _CODE_OF:
            raise ValueError("a status with a state that nobody knows")
        counts[_CODE_OF[word]] += count
    return tuple(sorted(counts.items()))


def close(book: Book, ends: bytes) -> None:
    """Compare all parts that something was said about. ``ends`` holds the code of each place."""
    for part in book.all_parts():
        if part.told is not None and not _forgotten(book, part):
            _compare(book, part, ends)


def _forgotten(book: Book, part: Part) -> bool:
    """Returns whether retention may have taken something of what the word was made of."""
    lane, since_ms = part.request.lane, part.request.verdict_ms
    return any(book.trimmed((topic(lane), part.shard), since_ms) for topic in (outcomes, receipts))


def _compare(book: Book, part: Part, ends: bytes) -> None:
    assert part.told is not None
    if part.count == 1 and part.told == ((ends[part.base], 1),):
        return
    told = dict(part.told)
    found = Counter(ends[part.base : part.base + part.count]) if part.frozen else Counter[int]()
    if Reason.UNKNOWN in told:
        found[Reason.UNKNOWN] = found.pop(OPEN, 0)
    if told == +found:
        return
    exact = Reason.UNKNOWN in told or _calm(book, part) or sum(told.values()) != part.count
    if exact or _ahead(book, part, told, found):
        where = f"{status_topic(part.request.business)}/0@{part.told_at}"
        detail = f"{part}, {part.count} members: told {_text(told)}, found {_text(found)}"
        book.findings.report(Breach.COUNT_DIFFERS, where, detail)


def _calm(book: Book, part: Part) -> bool:
    """Returns whether settle has had the time to say what it knows."""
    last_ms, rules = max(part.heard_ms, part.evidence_ms), book.rules
    return rules.now_ms - last_ms > (_GRACE_MS if rules.quiet else rules.lag_ms)


def _ahead(book: Book, part: Part, told: Mapping[int, int], found: Counter[int]) -> bool:
    """Returns whether more is told of an end than there is, or was before proof of delivery came."""
    since = _arrived(found) - _arrived(told)
    if since < 0 or told.get(READ, 0) > found.get(READ, 0) or told.get(Reason.FAILED, 0) > found[Reason.FAILED] + since:
        return True
    said = book.ranks.status[part.base : part.base + part.count]
    refused = told.keys() - {OPEN, DELIVERED, READ, Reason.FAILED}
    return any(told[code] > said.count(code) for code in refused)


def _arrived(counts: Mapping[int, int]) -> int:
    return counts.get(DELIVERED, 0) + counts.get(READ, 0)


def _text(counts: Mapping[int, int]) -> str:
    words = {OPEN: "open", DELIVERED: "delivered", READ: "read"}
    return ", ".join(f"{count} {words.get(code) or Reason(code).word}" for code, count in sorted(counts.items()))


class _Event(msgspec.Struct):
    data: Status


_events = msgspec.json.Decoder(_Event)


def status(book: Book, record: Logged) -> None:
    """The next event of ``status.<business>``."""
    told = _events.decode(record.value or b"").data
    book.counts["statuses"] += 1
    topic_of = record.topic.removeprefix(STATUS_PREFIX)
    try:
        owner = business_of(told.source)
    except ValueError:
        owner = topic_of
    request = book.requests.get(name_of(told.request))
    if owner != topic_of or (request is not None and request.business not in {"", topic_of}):
        book.findings.report(Breach.STATUS_OF_ANOTHER, record.where, f"request {told.request} of {owner}")
    if told.shard < 0:
        _verdict(book, record, told, request)
    else:
        settled(book, record, told, request, name_of(told.request))


def _verdict(book: Book, record: Logged, told: Status, request: Request | None) -> None:
    """Plan's word about the input at offset ``seq``."""
    name = name_of(told.request)
    if request is not None and request.origin[1] == told.seq:
        request.told = True
        if request.accepted != (told.state == "accepted"):
            book.findings.report(Breach.TOLD_OTHERWISE, record.where, f"request {request}: {told.state}")
        return
    book.answered.add((name, told.seq))
    known = book.opt_ins.get(name) or book.commands.get(name) or (request is not None and request.accepted)
    if told.state == "accepted" and not known:
        _without_verdict(book, record, told, name)


def _without_verdict(book: Book, record: Logged, told: Status, name: bytes) -> None:
    if not any(book.excused(lane, record.timestamp_ms) for lane in Lane):
        breach = Breach.VOID_ACTED_ON if name in book.void_names else Breach.TOLD_OTHERWISE
        book.findings.report(breach, record.where, f"request {told.request}: {told.state}, without a verdict")


Account = tuple[str, str]
"""Business and currency."""


class _BillingEvent(msgspec.Struct):
    data: BilledCharge


_billing_events: Final = msgspec.json.Decoder(_BillingEvent)


class _Postings:
    """The postings of one business as columns, in the order of their serials; and which of them have an event."""

    def __init__(self) -> None:
        self.places = array("q")
        """Partition and offset of the charge, by turns."""
        self.messages = array("q")
        self.amounts_micro = array("q")
        self.at_ms = array("q")
        self.requests = bytearray()
        self.currencies: list[str] = []
        self.told = BitMap()
        """Serials of events."""

    def add(self, posting: LedgerPosting) -> None:
        """Adds the next posting."""
        self.places.extend((posting.partition, posting.offset))
        self.messages.append(posting.messages)
        self.amounts_micro.append(posting.amount_micro)
        self.at_ms.append(posting.at_ms)
        self.requests += posting.request
        self.currencies.append(posting.currency)

    def terms(self, serial: int) -> tuple[object, ...] | None:
        """Returns what was posted under a serial; None if nothing was."""
        at = serial - 1
        if not 0 <= at < len(self.messages):
            return None
        request = bytes(self.requests[at * NAME_BYTES : (at + 1) * NAME_BYTES])
        money = (self.messages[at], self.amounts_micro[at], self.currencies[at])
        return (self.places[2 * at], self.places[2 * at + 1], request, *money)


class Bills:
    """The topics ``billing.<business>``."""

    def __init__(self, book: Book, ledger: Ledger, charged: Mapping[int, int]) -> None:
        """Takes the book, and where each partition of ``charges`` ends, as far as that has been read."""
        self._book = book
        self._upto = dict(ledger.upto)
        self._charged = charged
        self._postings: dict[str, _Postings] = defaultdict(_Postings)
        self._taken_micro: Counter[Account] = Counter()
        self._billed_micro: Counter[Account] = Counter()
        for posting in ledger.postings:
            self._postings[posting.business].add(posting)
        for entry in ledger.entries:
            self._taken_micro[entry.business, entry.currency] += max(entry.amount_micro, 0)

    def take(self, record: Logged) -> None:
        """Takes the next event of a topic."""
        told, report = _billing_events.decode(record.value or b"").data, self._book.findings.report
        business = record.topic.removeprefix(BILLING_PREFIX)
        self._book.counts["billing_events"] += 1
        if told.business != business:
            report(
                Breach.CHARGE_OF_ANOTHER,
                record.where,
                f"billed to {business}: posting {told.serial} of {told.business}",
            )
            return
        postings = self._postings[business]
        if told.serial in postings.told:
            report(Breach.BILLED_TWICE, record.where, f"posting {told.serial}", messages=told.count)
            return
        if postings.told and told.serial < postings.told.max():
            report(Breach.BILLED_OUT_OF_ORDER, record.where, f"posting {told.serial} after {postings.told.max()}")
        postings.told.add(told.serial)
        if self._upto.get(told.partition, 0) <= told.offset < self._charged.get(told.partition, 0):
            # The book is being built anew, or gone: nothing can be said until it has read that charge.
            self._book.counts["billed_before_the_book"] += 1
            return
        self._billed_micro[business, told.currency] += told.amount_micro
        said = (told.partition, told.offset, name_of(told.request), told.count, told.amount_micro, told.currency)
        posted = postings.terms(told.serial)
        if said != posted or told.amount_micro != told.count * told.unit_micro:
            detail = f"posting {told.serial}: {_said(said)}, the book has {_said(posted)}"
            report(Breach.BILLED_OTHERWISE, record.where, detail, messages=told.count)

    def close(self) -> None:
        """Looks for postings without an event, and compares what events and book come to."""
        for business, postings in self._postings.items():
            self._missing(business, postings)
        for account in self._taken_micro.keys() | self._billed_micro.keys():
            if self._billed_micro[account] != self._taken_micro[account]:
                billed, taken = self._billed_micro[account], self._taken_micro[account]
                detail = f"{account[0]}: {billed} micro {account[1]}, the book took {taken}"
                self._book.findings.report(Breach.BILL_DIFFERS, billing(account[0]), detail)

    def _missing(self, business: str, postings: _Postings) -> None:
        """Reports postings that should have had their event by now; others, and those that were trimmed, count as billed."""
        trimmed = self._book.begins((billing(business), 0)) > 0
        first = postings.told.min() if trimmed and postings.told else 1
        for serial in range(1, len(postings.messages) + 1):
            if serial in postings.told:
                continue
            at = serial - 1
            if serial >= first and self._book.rules.late(postings.at_ms[at]):
                detail = f"posting {serial} of {business}"
                self._book.findings.report(Breach.UNBILLED, billing(business), detail, messages=postings.messages[at])
            else:
                self._billed_micro[business, postings.currencies[at]] += postings.amounts_micro[at]


def _said(terms: tuple[object, ...] | None) -> str:
    match terms:
        case (partition, offset, bytes() as request, messages, amount_micro, currency):
            charged = f"{messages} messages for {amount_micro} micro {currency}"
            return f"{charged} of {text_of(request)} by charges/{partition}@{offset}"
        case _:
            return "none"
