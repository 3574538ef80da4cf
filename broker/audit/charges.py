"""Checks receipts, charges and the book: what was delivered in time was charged once, at its card's price, and posted.

Charges are a union of ranks, whatever records they came in (PROTOCOL.md section 1.6); money is integer micro-units.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

import numpy as np
from pyroaring import BitMap

from broker.audit.invariants import Breach
from broker.audit.knowledge import Book, Part
from broker.audit.message_columns import ColumnsError, Mark, spans
from broker.audit.sources import Ledger, LedgerRow, Logged
from schemas.facts import Charge, ReceiptRun, Receipts, ReceiptStatus
from schemas.ids import partition_of, text_of
from schemas.lanes import Category, Lane
from schemas.wire.header import body_of, head_of

Account = tuple[str, str]
"""Business and currency."""
_STATUSES: Final = {status.value: status for status in ReceiptStatus}
_SHORT_BYTES: Final = 64
"""A bitmap of few ranks: what single messages are charged by, and always the same."""


@lru_cache(maxsize=4_096)
def _home(business: str, shards: int) -> int:
    """The partition of a business's charges."""
    return partition_of(business.encode(), shards)


class ReceiptLog:
    """The topics ``receipts.<lane>``: a lattice, so order and repetition do not matter."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def take(self, record: Logged, lane: Lane) -> None:
        """The next record."""
        parts, settle_ms = self._book.parts[lane, record.partition], self._book.rules.windows[lane].settle_ms
        runs = body_of(record.value or b"", Receipts).runs
        self._book.counts["receipts"] += len(runs)
        for run in runs:
            part = parts.get(run.request)
            if part is None or not part.frozen:
                self._book.counts["receipts_quarantined"] += 1
            elif run.received_ms > part.request.expires_ms + settle_ms:
                self._book.counts["receipts_late"] += 1
                for first, count in spans(run.ranks):
                    lo, hi = part.base + first, part.base + min(first + count, part.count)
                    self._book.ranks.mark(lo, hi, Mark.LATE)
            else:
                part.evidence_ms = max(part.evidence_ms, record.timestamp_ms)
                self._join(part, run)

    def _join(self, part: Part, run: ReceiptRun) -> None:
        ranks, status = self._book.ranks, _STATUSES.get(run.status)
        if status is None:
            raise ColumnsError(f"no receipt has the status {run.status}")
        for first, count in spans(run.ranks):
            lo = part.base + first
            if count == 1 and first < part.count and ranks.marks[lo] & Mark.SENT:
                ranks.heard(lo, lo + 1, status)
                continue
            hi = part.base + min(first + count, part.count)
            if ranks.marked(lo, hi, Mark.SENT) == count:
                ranks.heard(lo, hi, status)
                continue
            for at in range(lo, hi):
                if ranks.marks[at] & Mark.SENT:
                    ranks.heard(at, at + 1, status)
                else:
                    self._book.counts["receipts_quarantined"] += 1


class Charges:
    """The topic ``charges``."""

    def __init__(self, book: Book, upto: dict[int, int]) -> None:
        self._book = book
        self._upto = upto
        self.charged_micro: Counter[Account] = Counter()
        self.due_micro: Counter[Account] = Counter()
        """Of what the ledger has read."""
        self._prices: dict[tuple[int, int, int], tuple[int | None, str]] = {}
        self._unknown: dict[tuple[bytes, int], BitMap] = defaultdict(BitMap)
        """Ranks of requests whose verdict retention has taken: they are paid for all the same."""

    def take(self, record: Logged) -> None:
        """The next record."""
        header, charge = head_of(record.value or b""), body_of(record.value or b"", Charge)
        report = self._book.findings.report
        if record.partition != _home(charge.business, self._book.rules.shards):
            report(Breach.WRONG_SHARD, record.where, f"business {charge.business}")
        part = self._book.parts[header.lane, header.shard].get(charge.request)
        if part is None and self._book.excused(header.lane, record.timestamp_ms):
            self._post_unknown(record, header.shard, charge)
            return
        if part is None or not part.opened or not part.frozen:
            report(
                Breach.CHARGE_WITHOUT_MESSAGE, record.where, f"request {text_of(charge.request)}, shard {header.shard}"
            )
            return
        self._compare(record, part, charge)
        self._post_all(record, part, charge)

    def _compare(self, record: Logged, part: Part, charge: Charge) -> None:
        report, request = self._book.findings.report, part.request
        if (charge.business, charge.sender) != (request.business, request.sender):
            report(Breach.CHARGE_OF_ANOTHER, record.where, f"{part}: {charge.sender} of {charge.business}")
        if request.test:
            report(Breach.CHARGED_TEST, record.where, str(part))
        self._price(record, part, charge)

    def _post_all(self, record: Logged, part: Part, charge: Charge) -> None:
        for first, count in _intervals(charge.ranks):
            if first + count > part.count:
                detail = f"{part}: {part.count} members, rank {first + count - 1}"
                self._book.findings.report(Breach.RANK_UNKNOWN, record.where, detail)
                return
            self._post(record, part, charge, range(part.base + first, part.base + first + count))

    def _post_unknown(self, record: Logged, shard: int, charge: Charge) -> None:
        self._book.counts["beyond_retention"] += 1
        known = self._unknown[charge.request, shard]
        fresh = BitMap.deserialize(charge.ranks) - known
        known |= fresh
        account = (charge.business, charge.currency)
        self.charged_micro[account] += len(fresh) * charge.unit_micro
        if record.offset < self._upto.get(record.partition, 0):
            self.due_micro[account] += len(fresh) * charge.unit_micro

    def _price(self, record: Logged, part: Part, charge: Charge) -> None:
        request, report = part.request, self._book.findings.report
        if (charge.card, charge.category) != (request.card, request.category):
            report(Breach.PRICE_CLASS_DIFFERS, record.where, f"{part}: card {charge.card}, category {charge.category}")
            return
        unit_micro, currency = self._listed(charge.card, charge.category, charge.market)
        if (unit_micro, currency) != (charge.unit_micro, charge.currency):
            detail = f"{part}: {charge.unit_micro} {charge.currency}, the card says {unit_micro} {currency}"
            report(Breach.PRICE_DIFFERS, record.where, detail)

    def _listed(self, number: int, category: int, market: int) -> tuple[int | None, str]:
        """Unit price and currency by the card; cards never change once they are registered."""
        price = self._prices.get((number, category, market))
        if price is None:
            card = self._book.registered.cards.get(number)
            prices = card.prices_micro.get(Category(category).word, {}) if card is not None else {}
            unit_micro = prices.get(str(market), prices.get("*"))
            price = self._prices[number, category, market] = (unit_micro, card.currency if card is not None else "")
        return price

    def _post(self, record: Logged, part: Part, charge: Charge, places: range) -> None:
        ranks, lo, hi = self._book.ranks, places.start, places.stop
        count = hi - lo
        other = count - (ranks.market[lo:hi].count(charge.market) if count > 1 else ranks.market[lo] == charge.market)
        if other:
            detail = f"{part}, rank {lo - part.base}: market {charge.market}"
            self._book.findings.report(Breach.PRICE_CLASS_DIFFERS, record.where, detail, messages=other)
        account = (charge.business, charge.currency)
        again = ranks.marked(lo, hi, Mark.CHARGED)
        self._book.counts["charges_repeated"] += again
        self.charged_micro[account] += (count - again) * charge.unit_micro
        ranks.mark(lo, hi, Mark.CHARGED)
        if record.offset < self._upto.get(record.partition, 0):
            self.due_micro[account] += (count - ranks.marked(lo, hi, Mark.DUE)) * charge.unit_micro
            ranks.mark(lo, hi, Mark.DUE)


def close_ledger(book: Book, ledger: Ledger, due_micro: Counter[Account]) -> None:
    """Hold the book against the charges that it has read."""
    for row in ledger.rows:
        request = book.requests.get(row.request)
        part = None if request is None else book.parts[request.lane, row.shard].get(row.request)
        if part is None and any(book.excused(lane, 0) for lane in Lane):
            book.counts["beyond_retention"] += 1
            continue
        if part is None or not part.frozen:
            book.findings.report(Breach.LEDGER_RANKS_DIFFER, _row(row), "no such message")
            continue
        for first, count in _intervals(row.ranks):
            if first + count > part.count:
                book.findings.report(Breach.LEDGER_RANKS_DIFFER, _row(row), f"rank {first + count - 1} is nobody's")
                break
            book.ranks.mark(part.base + first, part.base + first + count, Mark.BOOKED)
    _entries(book, ledger, due_micro)


def _row(row: LedgerRow) -> str:
    return f"ledger/{text_of(row.request)}/{row.shard}"


def _entries(book: Book, ledger: Ledger, due_micro: Counter[Account]) -> None:
    sums: dict[tuple[int, str], int] = defaultdict(int)
    taken: Counter[Account] = Counter()
    for entry in ledger.entries:
        sums[entry.posting, entry.currency] += entry.amount_micro
        taken[entry.business, entry.currency] += max(entry.amount_micro, 0)
    for (posting, currency), total in sums.items():
        if total:
            book.findings.report(Breach.LEDGER_UNBALANCED, f"ledger/posting {posting}", f"{total} micro {currency}")
    for account in taken.keys() | due_micro.keys():
        over = taken[account] - due_micro[account]
        if over:
            breach = Breach.CHARGED_TWICE if over > 0 else Breach.BOOKED_SHORT
            detail = f"{account[0]}: {taken[account]} micro {account[1]}, the charges come to {due_micro[account]}"
            book.findings.report(breach, "ledger", detail)


def _intervals(bitmap: bytes) -> Iterable[tuple[int, int]]:
    """The (first, count) runs of a serialised roaring bitmap."""
    return _short_runs(bitmap) if len(bitmap) <= _SHORT_BYTES else _runs(bitmap)


@lru_cache(maxsize=4_096)
def _short_runs(bitmap: bytes) -> tuple[tuple[int, int], ...]:
    return tuple(_runs(bitmap))


def _runs(bitmap: bytes) -> Iterator[tuple[int, int]]:
    ranks = BitMap.deserialize(bitmap)
    if not ranks:
        return
    if ranks[-1] - ranks[0] + 1 == len(ranks):
        yield ranks[0], len(ranks)
        return
    column = np.asarray(ranks.to_array(), dtype=np.int64)
    edges: Iterable[int] = (np.flatnonzero(np.diff(column) != 1) + 1).tolist()
    begin = 0
    for end in (*edges, len(column)):
        yield int(column[begin]), end - begin
        begin = end
