"""A record on which plan's own code raises, between two sound ones of its partition, on a real Kafka."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path

import msgspec
import pytest

from schemas import topics
from schemas.ids import partition_of
from schemas.lanes import HOUR_MS, Lane
from schemas.request import Notification, Recipient, To
from schemas.status import DeadLetter
from streams.client.client import Client
from streams.client.events import Event, Head, notification
from streams.kafka.admin import committed_offsets
from streams.kafka.grants import worker_user
from streams.kafka.scan import scan
from streams.runtime.child import Child
from streams.runtime.kafka_access import Address
from streams.worker.resources import group_of
from tests.kafka.registered import SHARDS, registered_kafka
from tests.support.programs import running
from tests.support.secured import as_business, as_user

LANE = Lane.UPDATE
GOOD = "shop-parcelo"
DEADLINE_S = 60
"""It opens its journals first, and says hello to a gateway that is not there."""


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka of this module's own, with the catalogue's topics and the development registry."""
    with registered_kafka((GOOD,)) as address:
        yield address


def neighbour(business: str) -> str:
    """A name that belongs to the same partition."""
    wanted = partition_of(business.encode(), SHARDS)
    return next(name for name in map("trap-{}".format, count()) if partition_of(name.encode(), SHARDS) == wanted)


def parcel(business: str, number: int) -> Event:
    """A sound event."""
    to = To(recipients=(Recipient("tel:+12025550101", locale="en"),))
    body = Notification("parcel_delivered", to, params={"parcel": str(number), "event_time": "noon"})
    return notification(Head(source=f"//{business}/poison", id=f"{number}", lifetime_ms=HOUR_MS), body)


def unlucky(bootstrap: Address, trapped: str, folder: Path) -> AbstractAsyncContextManager[Child]:
    """A worker that cannot judge ``trapped``."""
    way = as_user(bootstrap, worker_user(LANE))
    settings = {"bootstrap": way, "gateway_update": "http://127.0.0.1:1", "data_dir": folder}
    command = (sys.executable, "-m", "tests.kafka.programs.unlucky_worker", LANE.word, trapped)
    return running(command, folder / "worker.log", shards=SHARDS, worker_metrics_port=0, **settings)


async def letters(bootstrap: Address) -> list[DeadLetter]:
    """All dead letters."""
    found = [record async for bite in scan(bootstrap, topics.DEAD_LETTERS) for record in bite]
    return [msgspec.json.decode(record.value or b"", type=DeadLetter) for record in found]


async def test_a_record_that_plan_cannot_judge_does_not_stop_its_partition(bootstrap: Address, tmp_path: Path) -> None:
    """It becomes one dead letter with place and sentence; what came after it is accepted; nothing ends or starts anew."""
    trapped = neighbour(GOOD)
    async with Client(as_business(bootstrap, GOOD)) as client, unlucky(bootstrap, trapped, tmp_path) as process:
        first = await client.publish(LANE, parcel(GOOD, 1))
        bad = await client.publish(LANE, parcel(trapped, 2))
        last = await client.publish(LANE, parcel(GOOD, 3))
        assert first.partition == bad.partition == last.partition
        place, done = (topics.requests(LANE), last.partition), 0
        async with asyncio.timeout(DEADLINE_S):
            while done <= last.offset:
                assert process.status is None, (tmp_path / "worker.log").read_text()
                done = (await committed_offsets(bootstrap, group_of(LANE))).get(place, 0)
    (letter,) = await letters(bootstrap)
    assert (letter.reason, letter.partition, letter.offset) == ("poison", bad.partition, bad.offset)
    assert "LookupError" in letter.detail
    verdicts = [record async for bite in scan(bootstrap, topics.status(GOOD)) for record in bite]
    assert len(verdicts) == 2
    (line,) = [line for line in (tmp_path / "worker.log").read_text().splitlines() if '"event":"poison"' in line]
    assert f'"offset":{bad.offset}' in line
    assert "planted" not in line
