"""One shard's evidence: deliver's journal and the gateway's receipts as they come in, and the logs that settle writes."""

import random
import sqlite3
import weakref
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from broker.deliver.state import body_of_outcome
from broker.settle.policy import SettlePolicy
from schemas import topics
from schemas.delivery_journal import Outcome, Restated
from schemas.facts import ReceiptRun, Receipts, ReceiptStatus
from schemas.lanes import Category, Lane
from schemas.registry import PriceCard
from schemas.status import Status
from schemas.wire.cloudevents import decode_status
from schemas.wire.columns import interval
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from streams.ledger.tables import SCHEMA
from tests.pure.schedules.deliver.world import LONG_LIFE_MS
from tests.pure.schedules.log import Log
from tests.pure.schedules.settle.story import MARKETS, Author, Story
from tests.pure.schedules.shells.process import ShellWorld
from tests.support.kafka_clients import Cluster, Place

SETTLE_MS: Final = 3_000
FOLD_MS: Final = LONG_LIFE_MS + SETTLE_MS + SettlePolicy(0, SETTLE_MS).ending_ms
"""A life, the settle window, and what may pass before a request whose window is over is given up."""
PRICES: Final = {MARKETS[0]: 500, MARKETS[1]: 700}
OUTCOMES: Final = "outcomes"
RECEIPTS: Final = "receipts"
PLACES: Final[Mapping[Place, str]] = {
    (topics.outcomes(Lane.UPDATE), 0): OUTCOMES,
    (topics.receipts(Lane.UPDATE), 0): RECEIPTS,
}
LOST: Final = 0.04
"""How often an output is not acknowledged."""
_BY_MARKET: Final = {str(market): price for market, price in PRICES.items()}


@lru_cache(maxsize=1_024)
def receipts_in(record: bytes) -> Receipts:
    """A record of ``receipts``, decoded once for all who look at it."""
    return body_of(record, Receipts)


@lru_cache(maxsize=1_024)
def outcome_in(record: bytes) -> Outcome | Restated | None:
    """The same for a record of deliver's journal; None for what settle does not join."""
    body = body_of_outcome(head_of(record), record)
    return body if isinstance(body, Outcome | Restated) else None


class SettleWorld(ShellWorld):
    """Everything outside of the joiners and the ledger."""

    quiet_step_ms = 250

    def __init__(self, rng: random.Random, story: Story | None = None) -> None:
        super().__init__(rng)
        self.story = story or Author(rng).story()
        self.logs = {OUTCOMES: Log(), RECEIPTS: Log()}
        self.charges = Log()
        self.words = Log()
        """The business's topic of statuses."""
        self.cluster = Cluster(rng, lambda: self.now, self._log)
        self.cluster.lost = LOST
        self.committed = {OUTCOMES: 0, RECEIPTS: 0}
        self.policy = SettlePolicy(0, SETTLE_MS, speak_ms=100, calm_ms=500)
        words = [category.word for category in Category]
        self.cards = {1: PriceCard(1, "USD", dict.fromkeys(words, _BY_MARKET))}
        self.book = sqlite3.connect(":memory:", isolation_level=None)
        weakref.finalize(self, self.book.close)  # from Python 3.13 on a connection that nobody closes is a warning
        self.book.executescript(SCHEMA)
        self._coming = [*self.story.outcomes]
        self._coming.reverse()
        self._end_ms = max(one.at_ms for one in self.story.outcomes) + 1
        self._reports = self._evidence()
        self.received: list[ReceiptRun] = []

    def _log(self, place: Place) -> Log:
        if place in PLACES:
            return self.logs[PLACES[place]]
        return self.charges if place[0] == topics.CHARGES else self.words

    @property
    def statuses(self) -> Iterator[Status]:
        """What the business was told, in the order of its topic."""
        told = (decode_status(one.record) for one in self.words.whole)
        return (status for status in told if status is not None)

    # -- what happens to anybody

    def weather(self) -> None:
        self.now += (1, 2, 5, 20)[int(self.rng.random() * 4)]
        roll = self.rng.random()
        if roll < 0.005:
            # What deliver says is timed already, so an outage comes before or after it.
            self.now += 200 if self._coming else self.rng.choice((1_500, FOLD_MS, FOLD_MS * 2))

    def rebalanced(self) -> None:
        """The shard goes to one of those that live. Who had it before that has memory of it."""
        self.group_owner = self.rng.choice([loop.owner.runner for loop in self.loops if not loop.ended])

    def traffic(self) -> None:
        roll = self.rng.random()
        if roll < 0.25 and self._coming:
            self._write_outcome()
        elif roll < 0.45:
            self._post()

    def calm(self) -> None:
        """What is still to come comes."""
        super().calm()
        while self._coming:
            self._write_outcome()
        while self._reports:
            self._post()

    # -- the two logs

    def _write_outcome(self) -> None:
        one = self._coming.pop()
        self.now = max(self.now, one.at_ms)
        self.logs[OUTCOMES].append(self.now, one.record)

    def _post(self) -> None:
        """The webhook appends some receipts; a batch that got no answer in time is posted again."""
        runs = []
        written_ms = self._coming[-1].at_ms if self._coming else self._end_ms
        ready = [report for report in self._reports if report[3] < written_ms][: self.rng.randint(1, 4)]
        if not ready:
            return
        for report in ready:
            self._reports.remove(report)
            request, rank, status, at_ms = report
            self.now = max(self.now, at_ms)
            runs.append(ReceiptRun(request, interval(rank, 1), status, at_ms, self.now))
        self.received += runs
        record = pack(Header(Kind.RECEIPT, Lane.UPDATE, 0, 0, self.now), Receipts(tuple(runs)))
        for _ in range(self.rng.choice((1, 1, 2))):
            self.logs[RECEIPTS].append(self.now, record)

    def _evidence(self) -> list[tuple[bytes, int, ReceiptStatus, int]]:
        """Receipts of what was handed off: skipped, repeated and out of order; and some about what never was."""
        rng = self.rng
        found: list[tuple[bytes, int, ReceiptStatus, int]] = []
        for one in self.story.handed:
            likely = ((ReceiptStatus.SENT, 0.8), (ReceiptStatus.DELIVERED, 0.7), (ReceiptStatus.READ, 0.4))
            said = [status for status, share in likely if rng.random() < share]
            said += [ReceiptStatus.FAILED] * (rng.random() < 0.15)
            found += [
                (one.request, one.rank, status, one.at_ms) for status in said for _ in range(rng.choice((1, 1, 2)))
            ]
        end_ms = self._end_ms - 1
        handed = {(one.request, one.rank) for one in self.story.handed}
        for item in self.story.items:
            stray = [(item.request, rank) for rank in range(12) if (item.request, rank) not in handed]
            found += [(*rng.choice(stray), ReceiptStatus.DELIVERED, end_ms)] * (rng.random() < 0.5)
        found.append((b"never decided ..", 0, ReceiptStatus.DELIVERED, end_ms))
        rng.shuffle(found)
        return found
