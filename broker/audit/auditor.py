"""Runs one audit: the order in which the logs are read, and the invariants that are checked once all have been.

Order: what others are held against comes first (registry, dead letters, suppressions, audience, controls), then the way of a
notification (requests, plans, work, outcomes), the gateway's logs, receipts, charges and the book, statuses and the rest.
One pass over each; a million messages take about 30 bytes each and the names of their requests.

A running system is audited by fixing the ends of all logs first, the last of the way before the first, so that whatever is
read has its parents among what is read.
"""

import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

import msgspec

from broker.audit import business_topics, first_logs
from broker.audit.accounts import Accounts, close_parts, close_statuses
from broker.audit.business_topics import Bills, status
from broker.audit.charges import Charges, ReceiptLog, close_ledger
from broker.audit.delivery import Delivery
from broker.audit.early import Early
from broker.audit.fact_versions import Versions
from broker.audit.first_logs import SCHEME, Secrets
from broker.audit.invariants import Breach
from broker.audit.knowledge import Book, LogOrder
from broker.audit.limit_checks import Busiest
from broker.audit.outcomes import Outcomes
from broker.audit.report import Audit
from broker.audit.requests import Inputs
from broker.audit.sources import Dump, Ledger, Logged, Rules
from broker.audit.verdicts import Verdicts, WorkLog
from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane
from schemas.topics import (
    AUDIENCE,
    BILLING_PREFIX,
    CHARGES,
    CONTROLS,
    DEAD_LETTERS,
    REGISTRY,
    STATUS_PREFIX,
    SUPPRESSIONS,
)
from schemas.wire.header import UnreadableRecordError

_COMPACTED: Final = frozenset({REGISTRY, CONTROLS})
_FIRST: Final = (REGISTRY, DEAD_LETTERS, SUPPRESSIONS, AUDIENCE, CONTROLS)
STAGES: Final = ("requests", "plans", "work", "outcomes")

_DAMAGED: Final = (
    UnreadableRecordError,
    msgspec.MsgspecError,
    ValueError,
    IndexError,
    OverflowError,
    struct.error,
)
"""Lists the exceptions that damaged bytes raise, in whichever column they are found out."""

_Take = Callable[[Logged], None]


class _TakeLane(Protocol):
    def __call__(self, record: Logged, lane: Lane) -> None: ...


def order_of(topics: Iterable[str]) -> tuple[list[str], list[str]]:
    """In which order to read topics: those before the gateway's logs, and those after."""
    known = set(topics)
    before = [*_FIRST, *(f"{stage}.{lane.word}" for stage in STAGES for lane in Lane)]
    after = [*(f"receipts.{lane.word}" for lane in Lane), CHARGES]
    return [topic for topic in before if topic in known], [
        *(topic for topic in after if topic in known),
        *sorted(known - {*before, *after}),
    ]


class Auditor:
    """Takes one log after the other, in the order of :func:`order_of`; :meth:`close` gives the verdict."""

    def __init__(self, rules: Rules, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger()
        self._book = book = Book(rules)
        self._versions = Versions(book)
        self._early = early = Early(book)
        self._inputs = Inputs(book)
        self._verdicts = Verdicts(book, self._inputs)
        self._work = WorkLog(book)
        self._outcomes = Outcomes(book, self._versions, early)
        self._delivery = Delivery(book, self._versions, early)
        self._receipts = ReceiptLog(book)
        self._charges = Charges(book, dict(self._ledger.upto))
        self._secrets = Secrets(book)
        self._order = LogOrder(book.begun)
        self._bills = Bills(book, self._ledger, self._order.ends(CHARGES))

    def take(self, topic: str, records: Iterable[Logged]) -> None:
        """Records of one topic, each partition in the order of its offsets; may be called again with the next ones."""
        take, secrets, ends = self._reader_of(topic), self._secrets, self._order.ends(topic)
        sealed, canary = not secrets.may_be_clear(topic), secrets.seeks_canary
        for record in records:
            if record.offset != ends.get(record.partition):
                self._not_next(record)
            ends[record.partition] = record.offset + 1
            if sealed and record.value and SCHEME in record.value:
                secrets.address(record)
            if canary:
                secrets.canary(record)
            if take is None:
                continue
            try:
                take(record)
            except _DAMAGED as error:
                self._book.findings.report(Breach.UNREADABLE, record.where, str(error))

    def _not_next(self, record: Logged) -> None:
        """A record that is the first of its log, or does not follow the one before."""
        missing = self._order.missing_before(record)
        if missing and record.topic not in _COMPACTED:
            self._book.findings.report(Breach.OFFSET_MISSING, record.where, f"{missing} missing before it")

    def _reader_of(self, topic: str) -> _Take | None:
        stage, _, word = topic.partition(".")
        plain: dict[str, Callable[[Book, Logged], None]] = {
            REGISTRY: first_logs.registry,
            DEAD_LETTERS: first_logs.dead_letter,
            SUPPRESSIONS: first_logs.suppressions,
            AUDIENCE: first_logs.audience,
            CONTROLS: first_logs.control,
        }
        if topic in plain:
            return partial(plain[topic], self._book)
        if topic.startswith(STATUS_PREFIX):
            return partial(status, self._book)
        if topic.startswith(BILLING_PREFIX):
            return self._bills.take
        if topic == CHARGES:
            return self._charges.take
        lanes: dict[str, _TakeLane] = {
            "requests": self._inputs.take,
            "plans": self._verdicts.take,
            "work": self._work.take,
            "outcomes": self._outcomes.take,
            "receipts": self._receipts.take,
        }
        if stage not in lanes:
            return None
        take, lane = lanes[stage], Lane.of(word)
        return partial(take, lane=lane)

    def gateway(self, events: Iterable[GatewayEvent], log: int) -> None:
        """The log of one listener, oldest event first; after ``outcomes`` and before ``receipts``."""
        for line, event in enumerate(events, start=1):
            where = f"gateway/{log}:{line}"
            self._secrets.event(event, where)
            try:
                self._delivery.take(event, log, where)
            except (*_DAMAGED, KeyError) as error:
                self._book.findings.report(Breach.UNREADABLE, where, str(error))

    def text(self, where: str, lines: Iterable[bytes]) -> None:
        """Any other text, in which the canary must not be either."""
        for number, line in enumerate(lines, start=1):
            self._secrets.line(line, f"{where}:{number}")

    def close(self) -> Audit:
        """Close the accounts."""
        book = self._book
        self._inputs.close()
        close_parts(book)
        close_statuses(book)
        self._dead_letters()
        self._secrets.close()
        close_ledger(book, self._ledger, self._charges.due_micro)
        self._bills.close()
        self._early.close()
        busiest = self._delivery.limits.close(book.findings, book.registered.senders)
        accounts = Accounts(book)
        accounts.close()
        business_topics.close(book, accounts.ends())
        return self._audit(accounts, busiest)

    def _dead_letters(self) -> None:
        for topic, partition, offset in self._book.dead:
            if not self._order.covers((topic, partition), offset, self._book.begins((topic, partition))):
                self._book.findings.report(Breach.DEAD_UNSOURCED, f"{topic}/{partition}@{offset}", "no such record")

    def _audit(self, accounts: Accounts, busiest: tuple[Busiest, ...]) -> Audit:
        book = self._book
        book.counts["claims"] = self._verdicts.claims + self._outcomes.claims
        book.counts["heartbeats"] = accounts.heartbeats
        book.counts["delivered_and_failed"] = accounts.contradicted
        book.counts["gateway_clock_off_ms"] = max(clock.worst_ms for clock in book.clocks.values())
        return Audit(
            requests=sum(request.accepted for request in book.requests.values()),
            states={lane.word: dict(states) for lane, states in accounts.tally().items() if states},
            charged=accounts.charged,
            charged_micro={" ".join(account): sum_micro for account, sum_micro in self._charges.charged_micro.items()},
            counts=dict(book.counts),
            violations=tuple(book.findings.kept),
            found={breach.word: count for breach, count in book.findings.found.items()},
            messages={breach.word: count for breach, count in book.findings.messages.items()},
            busiest=busiest,
        )


def audit(dump: Dump, rules: Rules) -> Audit:
    """Audit a whole dump."""
    auditor = Auditor(rules, dump.ledger)
    before, after = order_of(dump.topics)
    for topic in before:
        auditor.take(topic, dump.topics[topic])
    for log, events in enumerate(dump.gateway):
        auditor.gateway(events, log)
    for topic in after:
        auditor.take(topic, dump.topics[topic])
    return auditor.close()
