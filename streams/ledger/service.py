"""The ledger's process: it follows all partitions of ``charges``, keeps the books, writes billing events. One, without a group.

The books say where to read on, so nothing is committed to Kafka and a rebalance cannot part a history from its file
(PROTOCOL.md section 1.3, row 18). A batch is as much as came with one fetch: a record when it keeps up, thousands in one
transaction when it is behind.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from schemas import topics
from schemas.lanes import Category, Lane
from streams.kafka.reader import LogRecord
from streams.kafka.set_aside import SetAside
from streams.kafka.tail import Tail
from streams.ledger.billing_events import Billing
from streams.ledger.database import FILE, Books, BooksDiskError
from streams.ledger.posting import Posted
from streams.runtime import clock, metrics, zeroes
from streams.runtime.events import Event
from streams.runtime.exits import Exit, fatal
from streams.runtime.health import Health
from streams.runtime.log import log
from streams.runtime.settings import Settings

WAIT_MS: Final = 250
"""Milliseconds that a fetch waits if it finds nothing: a bill is in no hurry, and an idle ledger should cost nothing."""
FINISH_S: Final = 5.0
"""A ledger that is stopped goes on so long writing events of what it has posted; the next one writes the rest."""
CATCH_UP_S: Final = 60.0
"""A rebuild of the whole book takes what it takes; if it stands still for so long, somebody has to look."""


def path_of(settings: Settings) -> Path:
    """Where the books of a deployment lie."""
    return settings.data_dir / FILE


class Ledger:
    """Posts what stands in ``charges`` into ``books``, for ever."""

    def __init__(self, settings: Settings, books: Books) -> None:
        self._books = books
        self._partitions = settings.shards
        upto = books.upto()
        start = {partition: upto.get(partition, 0) for partition in range(settings.shards)}
        self._tail = Tail(settings.kafka, topics.CHARGES, self._post, start=start, wait_ms=WAIT_MS)
        self._tail.if_trimmed = (
            f"{path_of(settings)} has posted charges that this Kafka does not hold: it is another one, or an older state of it. "
            "Name the right one, or move the file away, and the books are built anew from what this Kafka holds."
        )
        self._billing = Billing(settings.kafka, books)
        self._aside = SetAside(settings.kafka, "ledger")
        self._complete = False
        self._begun_ms = clock.monotonic_ms()
        metrics.LAG.of(topics.CHARGES, metrics.ALL).follow(self._tail.lag)
        metrics.STAGE_WAITING.of("ledger", metrics.ALL).follow(self._tail.lag)
        metrics.STAGE_OLDEST.of("ledger", metrics.ALL).follow(self.oldest_s)
        metrics.BILLING_OLDEST.of().follow(self._billing.oldest_s)

    def behind(self) -> str | None:
        """Why the books are not complete yet; None once they have been."""
        return None if self._complete else "reading charges"

    def oldest_s(self) -> float:
        """Returns how long a charge may have waited that is not posted yet; 0 if none is known of."""
        if not self._tail.lag():
            return 0.0
        stalest_ms = max(self._tail.fresh_ms(partition) for partition in range(self._partitions))
        return min(stalest_ms, clock.monotonic_ms() - self._begun_ms) / 1000

    async def run(self, stop: asyncio.Event) -> None:
        """Follow until ``stop`` is set; a batch under way is finished first."""
        await self._billing.start()
        self._aside.start()
        await self._tail.start()
        billing = asyncio.ensure_future(self._billing.run())
        billing.add_done_callback(_ended)
        try:
            complete = asyncio.ensure_future(self._tail.caught_up(CATCH_UP_S))
            stopped = asyncio.ensure_future(stop.wait())
            await asyncio.wait([complete, stopped], return_when=asyncio.FIRST_COMPLETED)
            self._complete = complete.done()
            complete.cancel()
            await stopped
        finally:
            await self._tail.stop()
            await self._aside.stop()
            self._billing.finish()
            await asyncio.wait([billing], timeout=FINISH_S)
            billing.cancel()
            await self._billing.stop()

    def _post(self, partition: int, records: Sequence[LogRecord]) -> None:
        try:
            posted = self._books.post(partition, records)
        except BooksDiskError:
            fatal(Exit.DISK_REFUSED, component="ledger", partition=partition, upto=records[0].offset)
        self._billing.posted(posted)
        _count(posted)
        for record, error in posted.set_aside:
            self._aside.put(topics.CHARGES, partition, record, error)
        log(Event.POSTED, component="ledger", partition=partition, records=len(records), upto=records[-1].offset + 1)


async def keep_books(settings: Settings, cluster: str, stop: asyncio.Event) -> None:
    """Keep the books of a deployment on the Kafka with that id until ``stop`` is set; raises ``BooksError``."""
    with _opened(path_of(settings), cluster) as books:
        ledger = Ledger(settings, books)
        zeroes.ledger()
        async with Health(settings, "ledger", port=settings.ledger_metrics_port, ready={"complete": ledger.behind}):
            await ledger.run(stop)
    log(Event.STOPPED, component="ledger")


def _ended(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        fatal(Exit.CRASHED, step="billing", error=type(task.exception()).__name__)


def _opened(path: Path, cluster: str) -> Books:
    try:
        return Books(path, cluster=cluster)
    except BooksDiskError:
        fatal(Exit.DISK_REFUSED, component="ledger")


def _count(posted: Posted) -> None:
    for lane, records in posted.records.items():
        metrics.STAGE_IN.of("ledger", Lane(lane).word).inc(records)
        metrics.STAGE_OUT.of("ledger", Lane(lane).word).inc(records)
    for category, messages in posted.messages.items():
        metrics.POSTED.of(Category(category).word).inc(messages)
    for currency, amount_micro in posted.amount_micro.items():
        metrics.POSTED_MICRO.of(metrics.CURRENCY.known(currency)).inc(amount_micro)
    if posted.repeated:
        metrics.POSTED_AGAIN.of().inc(posted.repeated)
    if posted.conflicts:
        metrics.POSTED_CONFLICTS.of().inc(posted.conflicts)
    if posted.set_aside:
        metrics.CHARGES_SET_ASIDE.of().inc(len(posted.set_aside))
