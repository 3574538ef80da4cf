"""Charges as settle writes them and the ledger that posts them, for tests on real Kafka."""

import asyncio
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import aiohttp
from pyroaring import BitMap

from schemas import topics
from schemas.facts import Charge
from schemas.ids import partition_of
from schemas.lanes import Category, Lane
from schemas.topics import SHARDS
from schemas.wire.header import Header, Kind, pack
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.ledger.database import FILE, balances
from streams.runtime.kafka_access import Address
from tests.support.programs import PATIENCE_S, Program
from tests.support.secured import as_user, environment

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
            event = (f"//{self.business}/offers", "offer-1", {"team": "spring"})
            charge = Charge(self.business, f"{self.business}/main", self.request, ranks.serialize(), *terms, *event)
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

    def __init__(self, bootstrap: Address, folder: Path) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.program = Program("health")

    async def start(self, **settings: object) -> None:
        """Start it, or start it again."""
        await self.program.start(
            "ledger", bootstrap=as_user(self.bootstrap, "ledger"), data_dir=self.folder, **settings
        )

    async def complete(self) -> None:
        """Wait until it says that all charges are posted."""
        async with aiohttp.ClientSession(self.program.url) as session, asyncio.timeout(PATIENCE_S):
            while (await session.get("/readyz")).status != 200:
                await asyncio.sleep(0.02)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command once to its end."""
        own = environment(bootstrap=as_user(self.bootstrap, "ledger"), data_dir=self.folder, ledger_metrics_port=0)
        command = [sys.executable, "-m", "streams.cli", "ledger", *arguments]
        return subprocess.run(command, env=own, capture_output=True, text=True, timeout=30, check=False)

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table but that of the producer, which each book has for itself."""
        with closing(sqlite3.connect(self.folder / FILE)) as db:
            names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'producer'")
            tables = [name for (name,) in names]
            return {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall()) for name in tables}
