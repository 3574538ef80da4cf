"""Billing events against the book: one for each posting, in the order of posting, each once, and together what the book took."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

import msgspec
from pyroaring import BitMap

from broker.audit.invariants import Breach
from broker.audit.sources import Ledger, LedgerPosting, Logged
from broker.audit.state import Book
from schemas.ids import NAME_BYTES, name_of, text_of
from schemas.status import BilledCharge
from schemas.topics import BILLING_PREFIX, billing

Account = tuple[str, str]
"""Business and currency."""


class _Event(msgspec.Struct):
    data: BilledCharge


_events: Final = msgspec.json.Decoder(_Event)


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
        told, report = _events.decode(record.value or b"").data, self._book.findings.report
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
