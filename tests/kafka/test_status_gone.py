"""A status topic that is deleted while messages run, on a real Kafka: everybody else goes on."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas import topics
from schemas.lanes import Lane
from streams.client.client import Client
from streams.kafka.admin import admin, committed_offsets
from streams.kafka.grants import worker_user
from streams.kafka.scan import scan
from streams.runtime.child import FANFARE
from streams.runtime.kafka_access import Address, kafka_at
from streams.worker.resources import group_of
from tests.kafka.registered import SHARDS, registered_kafka
from tests.kafka.test_poison import GOOD, parcel
from tests.support.programs import running
from tests.support.secured import as_admin, as_business, as_user

LANE = Lane.UPDATE
GONE = "airline-9e"
DEADLINE_S = 90


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka of this module's own, with the catalogue's topics and the development registry."""
    with registered_kafka((GOOD, GONE)) as address:
        yield address


async def test_a_deleted_status_topic_costs_its_business_alone(bootstrap: Address, tmp_path: Path) -> None:
    """Requests of both are judged and committed; the one is answered, the process lives, and the log says what is lost."""
    log, way = tmp_path / "worker.log", as_user(bootstrap, worker_user(LANE))
    settings = {
        "bootstrap": way,
        "gateway_update": "http://127.0.0.1:1",
        "data_dir": tmp_path,
        "worker_metrics_port": 0,
    }
    command = (*FANFARE, "worker", "--lane", LANE.word)
    async with (
        Client(as_business(bootstrap, GOOD)) as good,
        Client(as_business(bootstrap, GONE)) as gone,
        running(command, log, shards=SHARDS, **settings) as process,
    ):

        async def committed(place: tuple[str, int], offset: int) -> None:
            async with asyncio.timeout(DEADLINE_S):
                while (await committed_offsets(bootstrap, group_of(LANE))).get(place, 0) <= offset:
                    assert process.status is None, log.read_text()
                    await asyncio.sleep(0.2)

        first = await gone.publish(LANE, parcel(GONE, 1))
        await committed((topics.requests(LANE), first.partition), first.offset)
        async with admin(as_admin(bootstrap)) as client:
            await client.delete_topics([kafka_at(bootstrap).name(topics.status(GONE))])
        for number in range(2, 12):
            lost = await gone.publish(LANE, parcel(GONE, number))
            kept = await good.publish(LANE, parcel(GOOD, number))
            await committed((topics.requests(LANE), lost.partition), lost.offset)
            await committed((topics.requests(LANE), kept.partition), kept.offset)
        assert process.status is None
    told = [record async for bite in scan(bootstrap, topics.status(GOOD)) for record in bite]
    assert len(told) >= 10
    assert '"event":"status_lost"' in log.read_text()
