"""Billing events on real Kafka: one for each posting, in its order, once, whatever dies between the book and the topic."""

import asyncio
import random
import signal
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from itertools import count

import aiohttp
import jsonschema_rs
import msgspec
import pytest

from schemas import topics
from schemas.contract.json_schema import documents
from schemas.ids import partition_of, text_of
from schemas.lanes import Lane
from schemas.topics import SHARDS, business_topics
from schemas.wire.cloudevents import STRUCTURED_HEADERS, decode_charge, encode_charge
from streams.client import BillUnreadableError, Client, SyncClient
from streams.kafka.provision import provision
from streams.kafka.scan import Record, scan
from streams.operate.scrape import samples_of
from streams.runtime.kafka_access import Address
from tests.kafka.ledgers import UNIT_MICRO, Charges, RunningLedger
from tests.kafka.records import write
from tests.support.bills import billed
from tests.support.programs import until
from tests.support.secured import as_newcomer, as_operator


async def register(charges: Charges, ledger: RunningLedger) -> None:
    """Makes the topics of the business, as a registration does."""
    await provision(
        as_operator(ledger.bootstrap), business_topics(charges.business), shards=SHARDS, dev=True, say=print
    )


async def events_of(charges: Charges, ledger: RunningLedger) -> list[Record]:
    """Every record of the billing topic."""
    return [record async for bite in scan(ledger.bootstrap, topics.billing(charges.business)) for record in bite]


async def demand_whole(charges: Charges, ledger: RunningLedger) -> int:
    """Holds the events against the charges: serials without doubles or gaps, one order, one sum. How many there are."""
    billed = [decode_charge(record.value or b"") for record in await events_of(charges, ledger)]
    events = [charge for charge in billed if charge is not None]
    assert [charge.serial for charge in events] == list(range(1, len(billed) + 1))
    assert [charge.offset for charge in events] == sorted({charge.offset for charge in events})
    assert sum(charge.count for charge in events) == len(charges.union)
    assert sum(charge.amount_micro for charge in events) == charges.due_micro == charges.owed_micro(ledger.folder)
    return len(events)


async def oldest_s(ledger: RunningLedger) -> float:
    """Reads from the ledger's metrics how long a posting has waited for its event."""
    async with aiohttp.ClientSession(ledger.program.url) as session:
        samples = samples_of(await (await session.get("/metrics")).text())
    return samples["fanfare_billing_oldest_seconds", frozenset()]


async def written(ledger: RunningLedger) -> None:
    """Returns when the ledger has written all events that it can: stopped, it ends with what it has posted."""
    await ledger.complete()
    assert await ledger.program.stop() == 0


async def test_each_posting_is_an_event_that_anybody_reads(charges: Charges, ledger: RunningLedger) -> None:
    """A CloudEvent by the Kafka binding, keyed by the request, with the request's own words and the price in full."""
    await register(charges, ledger)
    await charges.write(range(100), range(50, 150), range(100))
    await ledger.start()
    await written(ledger)
    first, second = await events_of(charges, ledger)
    assert (first.headers, second.headers) == (STRUCTURED_HEADERS, STRUCTURED_HEADERS)
    assert first.key == text_of(charges.request).encode()
    event = msgspec.json.decode(first.value or b"")
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "type": "fanfare.charge.v1",
        "source": "//fanfare/ledger",
        "id": f"{charges.business}.1",
        "time": "1970-01-01T00:00:00.099Z",
        "subject": text_of(charges.request),
        "datacontenttype": "application/json",
    }
    jsonschema_rs.validator_for(msgspec.json.decode(documents()["charge.v1.json"])).validate(data)
    place = {"partition": partition_of(charges.business.encode(), SHARDS), "offset": data["offset"]}
    assert data == place | {
        "business": charges.business,
        "serial": 1,
        "request": text_of(charges.request),
        "sender": f"{charges.business}/main",
        "lane": Lane.CAMPAIGN.word,
        "shard": 3,
        "category": "marketing",
        "market": 49,
        "count": 100,
        "card": 1,
        "unit_micro": UNIT_MICRO,
        "amount_micro": 100 * UNIT_MICRO,
        "currency": "USD",
        "first_ms": 10,
        "last_ms": 20,
        "at_ms": 99,
        "source": f"//{charges.business}/offers",
        "id": "offer-1",
        "labels": {"team": "spring"},
    }
    assert await demand_whole(charges, ledger) == 2


async def test_a_client_follows_the_bill_from_where_another_stood(charges: Charges, ledger: RunningLedger) -> None:
    """From the first posting or from a position, each posting once, with and without an event loop."""
    await register(charges, ledger)
    await charges.write(range(10), range(20), range(30))
    await ledger.start()
    await written(ledger)
    way = await as_newcomer(ledger.bootstrap, charges.business)
    client = Client(way)
    async with aclosing(client.follow_bill(charges.business, since=0)) as bill:
        assert [(await anext(bill)).serial for _ in range(2)] == [1, 2]
        position = bill.position
    assert await asyncio.to_thread(serials_of, way, charges.business, position) == [3]
    assert await asyncio.to_thread(serials_of, way, charges.business, "0/0") == [1, 2, 3]
    absent = r"there is no topic (billing\.nobody: nobody is not registered|suite\.billing\.nobody, or business-\w+ may not read)"
    with pytest.raises(BillUnreadableError, match=absent):
        await anext(client.follow_bill("nobody", since=0))


def serials_of(bootstrap: Address, business: str, position: str | None) -> list[int]:
    """Reads a bill to its end, blocking."""
    with SyncClient(bootstrap) as client:
        return [charge.serial for charge in client.follow_bill(business, position=position, silence_s=2)]


POINTS = (
    "ledger.committed",
    "ledger.billing",
    "ledger.billed",
    "ledger.committed:2",
    "ledger.billing:2",
    "ledger.billed:2",
)


def groups(seed: int) -> Sequence[Iterable[int]]:
    """Groups of ranks that overlap each other and those of other seeds, and have something new."""
    lots = random.Random(seed)
    return [lots.sample(range(100_000), 300) for _ in range(4)]


async def test_killed_between_book_and_topic_no_event_is_missing_or_doubled(
    charges: Charges, ledger: RunningLedger
) -> None:
    """Before its append, after it, and before it was begun; and a ledger built anew from the charges writes none again."""
    await register(charges, ledger)
    seeds = count()
    for point in POINTS:
        await ledger.start(crash_at=point)
        while ledger.program.running:
            await charges.write(*groups(next(seeds)))
        assert await ledger.program.died() == -signal.SIGKILL
    await ledger.start()
    await written(ledger)
    events = await demand_whole(charges, ledger)
    rebuilt = RunningLedger(ledger.bootstrap, ledger.folder / "rebuilt")
    await rebuilt.start()
    await rebuilt.complete()
    assert await demand_whole(charges, rebuilt) == events
    await charges.write(range(100_000, 100_010))
    await until(lambda: charges.owed_micro(rebuilt.folder) == charges.due_micro)
    await written(rebuilt)
    assert await demand_whole(charges, rebuilt) == events + 1


async def test_a_business_without_a_topic_is_billed_once_it_has_one(charges: Charges, ledger: RunningLedger) -> None:
    """Its postings wait, which a metric says, and nothing else does."""
    await charges.write(range(10))
    await ledger.start()
    await ledger.complete()
    await until(lambda: charges.owed_micro(ledger.folder) == charges.due_micro)
    assert await oldest_s(ledger) > 0
    await register(charges, ledger)
    await charges.write(range(20))
    await until(lambda: charges.owed_micro(ledger.folder) == charges.due_micro)
    await written(ledger)
    assert await demand_whole(charges, ledger) == 2


@pytest.mark.parametrize("foreign", [b"a record of somebody else", b""])
async def test_a_record_that_is_no_event_is_passed_over(
    charges: Charges, ledger: RunningLedger, foreign: bytes
) -> None:
    """The ledger goes on behind it."""
    assert await serials_after(foreign, charges, ledger) == [1, 2]


async def test_an_event_that_is_not_what_was_posted_stops_the_topic(charges: Charges, ledger: RunningLedger) -> None:
    """Nothing is written behind it, for somebody has to look; the book goes on."""
    assert await serials_after(encode_charge(billed(charges.business, 1)), charges, ledger) == [1, 1]


async def serials_after(foreign: bytes, charges: Charges, ledger: RunningLedger) -> list[int]:
    """Writes ``foreign`` behind the first event, has more charged, and returns the serials of the events that stand there."""
    await register(charges, ledger)
    await charges.write(range(10))
    await ledger.start()
    await written(ledger)
    await write(ledger.bootstrap, topics.billing(charges.business), foreign)
    await charges.write(range(20))
    await ledger.start()
    await ledger.complete()
    await until(lambda: charges.owed_micro(ledger.folder) == charges.due_micro)
    await written(ledger)
    told = [decode_charge(record.value or b"") for record in await events_of(charges, ledger)]
    return [charge.serial for charge in told if charge is not None]
