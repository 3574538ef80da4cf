"""A worker that is started with its clock an hour ahead, on journals in which another one an hour ahead had written already."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from broker.kafka_clock import AHEAD_MS
from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.lanes import HOUR_MS, MINUTE_MS, Lane
from schemas.plan_journal import PlannedBatch
from schemas.request import Notification, Recipient, To
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from streams.client.client import Client
from streams.client.events import Event, Head, notification
from streams.kafka.grants import worker_user
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Publisher
from streams.kafka.scan import scan
from streams.runtime import clock
from streams.runtime.child import FANFARE
from streams.runtime.kafka_access import Address
from tests.kafka.registered import SHARDS, registered_kafka
from tests.support.listeners import listening
from tests.support.programs import running
from tests.support.secured import as_admin, as_business, as_user

LANE = Lane.UPDATE
BUSINESS = "shop-parcelo"
DEADLINE_S = 60
"""Far below the hour; both journals are opened first."""
SHIFTED = (sys.executable, "-m", "tests.kafka.programs.shifted", str(HOUR_MS))


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka of this module's own."""
    with registered_kafka((BUSINESS,)) as address:
        yield address


def parcel(number: int) -> Event:
    """An event that is over in half an hour: sooner than the clock is wrong."""
    to = To(recipients=(Recipient("tel:+12025550101", locale="en"),))
    body = Notification("parcel_delivered", to, params={"parcel": str(number), "event_time": "noon"})
    return notification(Head(source=f"//{BUSINESS}/clocks", id=f"{number}", lifetime_ms=30 * MINUTE_MS), body)


async def write_ahead(bootstrap: Address) -> None:
    """What an older release left that was started an hour ahead: a record in each journal."""
    publisher = Publisher(as_admin(bootstrap))
    await publisher.start()
    for topic, kind, body in (
        (topics.plans(LANE), Kind.PLANNED, PlannedBatch(())),
        (topics.outcomes(LANE), Kind.OUTCOME, Outcome()),
    ):
        for shard in range(SHARDS):
            header = Header(kind, LANE, shard, 1, clock.now_ms() + HOUR_MS)
            await publisher.publish(Outgoing(topic, pack(header, body), partition=shard))
    await publisher.stop()


async def journaled(bootstrap: Address) -> AsyncIterator[tuple[Header, bytes, int]]:
    """Every record of decisions that an owner of now wrote in deliver's journals, and Kafka's time of it."""
    async for bite in scan(bootstrap, topics.outcomes(LANE)):
        for record in bite:
            header = head_of(record.value or b"")
            if header.kind is Kind.OUTCOME and header.epoch > 1:
                yield header, record.value or b"", record.timestamp_ms


async def answered(bootstrap: Address, requests: int) -> None:
    """Wait until the gateway has answered so many messages that are no heartbeats."""
    count = 0
    async with asyncio.timeout(DEADLINE_S):
        while count < requests:
            await asyncio.sleep(0.05)
            bodies = [body_of(value, Outcome) async for _, value, _ in journaled(bootstrap)]
            ours = {
                each.item.request for body in bodies for each in body.opened if each.item.terms.business == BUSINESS
            }
            count = len({each.request for body in bodies for each in body.answered} & ours)


async def test_a_clock_that_is_an_hour_ahead_holds_up_nobody(bootstrap: Address, tmp_path: Path) -> None:
    """Neither under that owner nor under the next one, whose clock is right: both serve at once, and by Kafka's time."""
    await write_ahead(bootstrap)
    async with listening(tmp_path, "http://127.0.0.1:1") as gateway, Client(as_business(bootstrap, BUSINESS)) as client:
        way = as_user(bootstrap, worker_user(LANE))
        settings = {"bootstrap": way, "gateway_update": gateway.url, "data_dir": tmp_path, "shards": SHARDS}
        for number, program in enumerate((SHIFTED, FANFARE), start=1):
            log = tmp_path / f"worker-{number}.log"
            async with running((*program, "worker", "--lane", LANE.word), log, worker_metrics_port=0, **settings):
                await client.publish(LANE, parcel(number))
                await answered(bootstrap, number)
            assert ('"event":"kafka_clock_off"' in log.read_text()) == (program is SHIFTED)
    written = [header.at_ms - appended_ms async for header, _, appended_ms in journaled(bootstrap)]
    assert written
    assert max(written) <= AHEAD_MS
