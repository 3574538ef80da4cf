"""Billing events: what the book has posted, on ``billing.<business>``, one event for each posting, in its order, once.

The book comes first, in its own transaction; the events follow it, and nothing in the book says how far. That says the topic:
at its start the ledger reads the newest event there, holds it against the posting with the same serial, and goes on with the
next one. An append that a killed process had on its way cannot stand beside its repetition, for all processes of one book are
one producer to Kafka (:mod:`streams.kafka.producer`) and an event's serial is its sequence number (PROTOCOL.md section
1.6).
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from schemas import topics
from schemas.status import BilledCharge
from schemas.wire.cloudevents import STRUCTURED_HEADERS, decode_charge, encode_charge
from streams.kafka.kafka_time import KafkaTime
from streams.kafka.producer import REPEATABLE_DEADLINE_MS, Outgoing, ResumedProducer
from streams.kafka.reader import existing, newest
from streams.ledger.database import Books
from streams.ledger.posting import Posted
from streams.runtime import clock, metrics
from streams.runtime.crash_points import point
from streams.runtime.events import Event
from streams.runtime.kafka_access import Address
from streams.runtime.log import log

EVENTS: Final = 1_000
"""An append takes at most so many; about a megabyte."""
LOOK_S: Final = 15.0
"""Between two looks for topics that were missing: a registration or an upgrade makes them."""


class Billing:
    """Follows ``books`` with billing events; told of postings by :meth:`posted`."""

    def __init__(self, bootstrap: Address, books: Books) -> None:
        self._bootstrap = bootstrap
        self._books = books
        self._producer = ResumedProducer(
            bootstrap, "billing", books.producer(), deadline_ms=REPEATABLE_DEADLINE_MS, time=KafkaTime("ledger")
        )
        self._posted = books.newest_serials()
        self._written: dict[str, int] = {}
        """By business whose topic was found: the serial of the newest event in it."""
        self._found: dict[str, BilledCharge] = {}
        """The newest event that stood there when the topic was found, until the book has come so far and agrees."""
        self._absent: set[str] = set()
        self._differing: set[str] = set()
        self._changed = set(self._posted)
        self._since_ms = dict.fromkeys(self._posted, clock.monotonic_ms())
        """By business, since when a posting may have waited for its event."""
        self._finishing = False
        self._woken = asyncio.Event()

    async def start(self) -> None:
        """Connects, as the producer that earlier processes of this book were."""
        await self._producer.start()
        self._books.keep_producer(self._producer.identity)

    async def stop(self) -> None:
        """Waits for the append under way and disconnects."""
        await self._producer.stop()

    def posted(self, posted: Posted) -> None:
        """Takes note of what a batch has added to the book."""
        for business in posted.serials:
            if not self._waits(business):
                self._since_ms[business] = clock.monotonic_ms()
        self._posted |= posted.serials
        self._changed |= posted.serials.keys()
        self._woken.set()

    def oldest_s(self) -> float:
        """Returns how long a posting has waited for its event, in seconds; 0 if none waits."""
        since_ms = [since_ms for business, since_ms in self._since_ms.items() if self._waits(business)]
        return (clock.monotonic_ms() - min(since_ms)) / 1000 if since_ms else 0.0

    def _waits(self, business: str) -> bool:
        return self._posted.get(business, 0) > self._written.get(business, 0)

    def finish(self) -> None:
        """Lets :meth:`run` end once what was posted so far is written, as far as there are topics for it."""
        self._finishing = True
        self._woken.set()

    async def run(self) -> None:
        """Writes what is due, until :meth:`finish`."""
        while self._changed or not self._finishing:
            self._woken.clear()
            changed, self._changed = self._changed, set()
            await self._find(business for business in changed if business not in self._written)
            for business in sorted(changed & self._written.keys()):
                await self._write(business)
            if not self._changed:
                await self._wait()

    async def _wait(self) -> None:
        """Returns when something was posted, or when missing topics are to be looked for again."""
        try:
            async with asyncio.timeout(LOOK_S if self._absent else None):
                await self._woken.wait()
        except TimeoutError:
            self._changed |= self._absent

    async def _find(self, businesses: Iterable[str]) -> None:
        """Looks for topics, and how far the events in them go."""
        wanted = {topics.billing(business): business for business in businesses}
        there = await existing(self._bootstrap, wanted) if wanted else set()
        missing = {wanted[topic] for topic in wanted.keys() - there}
        if missing - self._absent:
            log(Event.BILLING_WITHOUT_TOPIC, component="ledger", topics=sorted(map(topics.billing, missing)))
        self._absent = (self._absent - set(wanted.values())) | missing
        if not there:
            return
        for topic, charge in (await newest(self._bootstrap, there, decode_charge)).items():
            serial = 0 if charge is None else charge.serial
            self._producer.resume(topic, 0, serial)
            self._written[wanted[topic]] = serial
            if charge is not None:
                self._found[wanted[topic]] = charge

    async def _write(self, business: str) -> None:
        """Writes the events of one business that the book has and the topic has not."""
        if business in self._differing or not self._agrees(business):
            return
        while charges := self._books.charges_after(business, self._written[business], EVENTS):
            read_ms = clock.monotonic_ms()
            point("ledger.billing")
            await self._producer.confirm([_record(charge) for charge in charges])
            point("ledger.billed")
            self._written[business], self._since_ms[business] = charges[-1].serial, read_ms
            metrics.BILLED.of().inc(len(charges))

    def _agrees(self, business: str) -> bool:
        """Returns true if the book has come as far as the topic and says the same of the newest event there."""
        found = self._found.get(business)
        if found is None:
            return True
        posted = self._books.charges_after(business, found.serial - 1, 1)
        if not posted:
            return False
        del self._found[business]
        if _terms(posted[0]) == _terms(found):
            return True
        self._differing.add(business)
        log(Event.BILLING_DIFFERS, component="ledger", topic=topics.billing(business), serial=found.serial)
        return False


def _terms(charge: BilledCharge) -> tuple[object, ...]:
    """Returns what must be the same in the book and in its event, whichever release wrote them."""
    return charge.partition, charge.offset, charge.request, charge.count, charge.amount_micro, charge.currency


def _record(charge: BilledCharge) -> Outgoing:
    return Outgoing(
        topics.billing(charge.business),
        encode_charge(charge),
        key=charge.request.encode(),
        partition=0,
        headers=STRUCTURED_HEADERS,
    )
