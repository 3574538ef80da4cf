"""The ledger as a process on real Kafka: killed anywhere, started twice, rebuilt, it comes to the same books."""

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import aiohttp
import pytest
from pyroaring import BitMap

from schemas import topics
from schemas.facts import Charge
from schemas.names import Lane, partition_of
from schemas.registry import Category
from schemas.topics import SHARDS, catalogue
from schemas.wire.header import Header, Kind, pack
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.provision import provision
from streams.kafka.readiness import describe
from streams.ledger.books import FILE, Books, balances
from streams.scraping import samples_of
from streams.settings import child_environment
from tests.conftest import RealKafka
from tests.programs import PATIENCE_S, Program, until

UNIT_MICRO = 3_400


class Charges:
    """Writes charges for one business of its own, and knows what they come to."""

    def __init__(self, producer: ConfirmedProducer) -> None:
        self.business = f"shop-{uuid.uuid4().hex[:8]}"
        self.request = uuid.uuid4().bytes
        self.union = BitMap()
        self._producer = producer

    async def write(self, *groups: Iterable[int]) -> None:
        """A record for each group of ranks, all acknowledged."""
        records = []
        for group in groups:
            ranks = BitMap(group)
            self.union |= ranks
            terms = (UNIT_MICRO, "USD", 1, Category.MARKETING, 49, 10, 20)
            charge = Charge(self.business, f"{self.business}/main", self.request, ranks.serialize(), *terms)
            value = pack(Header(Kind.CHARGE, Lane.CAMPAIGN, 3, 0, 99), charge)
            key = self.business.encode()
            records.append(Outgoing(topics.CHARGES, value, key, partition_of(key, SHARDS)))
        await self._producer.send_many(records)

    @property
    def due_micro(self) -> int:
        """What the business owes for all that was written."""
        return len(self.union) * UNIT_MICRO

    def owed_micro(self, folder: Path) -> int:
        """What the books in ``folder`` say that it owes; -1 if there are none yet."""
        path = folder / FILE
        if not path.exists():
            return -1
        try:
            rows = balances(path, self.business)
        except (sqlite3.OperationalError, ValueError):
            return -1
        return sum(row.amount_micro for row in rows if row.account == "receivable")


class RunningLedger:
    """`fanfare ledger` on the session's Kafka, with its books in a folder."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.program = Program("health")

    async def start(self, **settings: object) -> None:
        """Start it, or start it again."""
        await self.program.start("ledger", bootstrap=self.bootstrap, data_dir=self.folder, **settings)

    async def complete(self) -> None:
        """Wait until it says that all charges are posted."""
        async with aiohttp.ClientSession(self.program.url) as session, asyncio.timeout(PATIENCE_S):
            while (await session.get("/readyz")).status != 200:
                await asyncio.sleep(0.02)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command once to its end."""
        environment = child_environment(bootstrap=self.bootstrap, data_dir=self.folder, ledger_metrics_port=0)
        command = [sys.executable, "-m", "streams.cli", "ledger", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table."""
        with sqlite3.connect(self.folder / FILE) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall()) for name in tables}


@pytest.fixture
async def charges(kafka: RealKafka) -> AsyncIterator[Charges]:
    """The charges of a business that no other test speaks of."""
    await provision(kafka.bootstrap, catalogue(), shards=SHARDS, dev=True, say=print)
    producer = ConfirmedProducer(kafka.bootstrap, "test")
    await producer.start()
    yield Charges(producer)
    await producer.stop()


@pytest.fixture
async def ledger(kafka: RealKafka, tmp_path: Path) -> AsyncIterator[RunningLedger]:
    """A ledger that is not running yet."""
    lent = RunningLedger(kafka.bootstrap, tmp_path)
    yield lent
    await lent.program.kill()


async def test_the_union_of_charges_is_posted(charges: Charges, ledger: RunningLedger) -> None:
    """Repeated and overlapping charges are posted once, while it runs and when it comes back."""
    await charges.write(range(100), range(50, 150), range(100))
    await ledger.start()
    await until(lambda: charges.owed_micro(ledger.folder) == charges.due_micro)
    await charges.write(range(140, 160))
    await until(lambda: charges.owed_micro(ledger.folder) == charges.due_micro)
    assert await ledger.program.stop() == 0
    await charges.write(range(200))
    await ledger.start()
    await until(lambda: charges.owed_micro(ledger.folder) == charges.due_micro)


POINTS = (
    "ledger.charge",
    "ledger.posted",
    "ledger.committed",
    "ledger.charge:2",
    "ledger.posted:2",
    "ledger.committed:2",
)


def groups(seed: int) -> Sequence[Iterable[int]]:
    """Groups of ranks that overlap each other and those of other seeds."""
    lots = random.Random(seed)
    return [lots.sample(range(5_000), 300) for _ in range(4)]


async def test_killed_at_each_point_it_comes_to_the_same_books(charges: Charges, ledger: RunningLedger) -> None:
    """Before, within and after its transaction, in the first batch and later: nothing is lost, nothing posted twice.

    And the books are, row by row, those that a rebuild from the beginning makes.
    """
    for seed, point in enumerate(POINTS):
        await ledger.start(crash_at=point)
        while ledger.program.running:
            await charges.write(*groups(seed))
        assert await ledger.program.died() == -signal.SIGKILL
    await ledger.start()
    await ledger.complete()
    assert charges.owed_micro(ledger.folder) == charges.due_micro
    assert await ledger.program.stop() == 0
    rebuilt = RunningLedger(ledger.bootstrap, ledger.folder / "rebuilt")
    await rebuilt.start()
    await rebuilt.complete()
    assert await rebuilt.program.stop() == 0
    assert rebuilt.contents() == ledger.contents()


async def test_it_says_how_far_behind_it_is(charges: Charges, ledger: RunningLedger) -> None:
    """Its lag and the age of what waits are there from the beginning, and nought once all is posted."""
    await charges.write(range(500))
    await ledger.start()
    await ledger.complete()
    async with aiohttp.ClientSession(ledger.program.url) as session:
        samples = samples_of(await (await session.get("/metrics")).text())
    for name, labels in (
        ("fanfare_lag_records", {"topic": "charges", "lane": "all"}),
        ("fanfare_stage_waiting", {"stage": "ledger", "lane": "all"}),
        ("fanfare_stage_oldest_seconds", {"stage": "ledger", "lane": "all"}),
        ("fanfare_ledger_conflicts_total", {}),
    ):
        assert samples[name, frozenset(labels.items())] == 0, name


async def test_a_second_ledger_is_refused(charges: Charges, ledger: RunningLedger) -> None:
    """It says why and ends; the first goes on."""
    await ledger.start()
    refused = ledger.command()
    assert refused.returncode == 1
    assert "another process keeps the books" in refused.stderr
    await charges.write(range(3))
    await until(lambda: charges.owed_micro(ledger.folder) == charges.due_micro)


async def test_the_balances_are_shown(charges: Charges, ledger: RunningLedger) -> None:
    """While it runs, as a table of exact amounts."""
    await charges.write(range(1_000))
    await ledger.start()
    await until(lambda: charges.owed_micro(ledger.folder) == charges.due_micro)
    shown = ledger.command("--show", "--business", charges.business)
    assert shown.returncode == 0, shown.stderr
    rows = [line.split() for line in shown.stdout.splitlines() if line.startswith(charges.business)]
    assert rows == [
        [charges.business, "receivable", "1,000", "3.400000", "USD"],
        [charges.business, "revenue.marketing", "1,000", "-3.400000", "USD"],
    ]


async def test_books_of_another_kafka_are_not_carried_on(ledger: RunningLedger) -> None:
    """It says of which Kafka they are, and ends; its own Kafka's id stands in the books that it begins."""
    Books(ledger.folder / FILE, cluster="another").close()
    refused = ledger.command()
    assert refused.returncode == 1
    assert "keeps the charges of another Kafka (cluster another, and this one is " in refused.stderr
    (ledger.folder / FILE).unlink()
    await ledger.start()
    await ledger.complete()
    kafka = await describe(ledger.bootstrap, deadline_s=10)
    assert ledger.contents()["origin"] == [(1, kafka.cluster_id)]


async def test_without_books_there_is_nothing_to_show(ledger: RunningLedger) -> None:
    """Showing says what is missing, and makes no file."""
    shown = ledger.command("--show")
    assert (shown.returncode, shown.stdout) == (1, "")
    assert "there is no ledger" in shown.stderr
    assert not list(ledger.folder.iterdir())
