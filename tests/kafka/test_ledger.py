"""The ledger as a process on real Kafka: killed anywhere, started twice, rebuilt, it comes to the same books."""

import random
import signal
from collections.abc import Iterable, Sequence

import aiohttp

from streams.kafka.admin import describe
from streams.ledger.database import FILE, Books
from streams.operate.scrape import samples_of
from streams.runtime.exits import Exit
from tests.kafka.ledgers import Charges, RunningLedger
from tests.support.programs import until


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
    assert refused.returncode == Exit.REFUSED_START
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
