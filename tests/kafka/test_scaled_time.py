"""A lane whose time goes 15,000 times as fast, on a real Kafka: rounds, floors and trimmed logs, whoever is killed when."""

import asyncio
import base64
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.claims import Claims
from broker.journal import Fold
from broker.registry.fold import Registry
from schemas import topics
from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane
from schemas.request import Notification, Recipient, To
from schemas.wire.header import Kind
from streams.client.client import Client
from streams.client.events import Event, Head, notification
from streams.kafka.grants import worker_user
from streams.kafka.provision import provision
from streams.kafka.scan import scan
from streams.registry.apply import changes, read_files, write
from streams.runtime import clock
from streams.runtime.child import FANFARE, Child
from streams.runtime.kafka_access import Address
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.program import log_folder
from tests.kafka.registered import REGISTRY_FILES, SHARDS, own_kafka, silent
from tests.support.programs import Program, running, until
from tests.support.secured import as_business, as_operator, as_user

LANE = Lane.UPDATE
BUSINESS = "shop-parcelo"
SCALE = 15_000
"""A message lives 11.5 s, which is longer than a gateway's answer may take; journals are kept for 81 s, inputs for 40."""
F_S = 11.5
LIVES_S = (4, 20, 3, 3, 18, 6, 25)
"""How long workers live: less than a quarter of F from the opening of their journals on, and more than two."""
START_S = 60
EVERY_S = 0.2


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka of this module's own, with the scaled catalogue and the development registry."""
    with own_kafka() as (made, runner):
        address = as_operator(made)
        wanted = topics.catalogue((BUSINESS,), time_scale=SCALE)
        runner.run(provision(address, wanted, shards=SHARDS, dev=True, say=silent))
        runner.run(write(address, changes(read_files(REGISTRY_FILES), Registry())))
        yield address


@pytest.fixture
async def settings(bootstrap: Address, tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """Settings of a worker in front of a gateway of its lane."""
    gateway = Program("gateway")
    way = as_user(bootstrap, "gateway")
    shared = {"data_dir": tmp_path, "time_scale": SCALE, "shards": SHARDS}
    options = ("--lane", LANE.word, "--profile", "online")
    await gateway.start(
        "gateway", *options, bootstrap=way, webhook_url="http://127.0.0.1:1/", gateway_metrics_port=0, **shared
    )
    worker = {"bootstrap": as_user(bootstrap, worker_user(LANE)), "gateway_update": gateway.url}
    yield shared | worker | {"worker_metrics_port": 0, "heartbeat_ms": 500}
    await gateway.kill()


def parcel(number: int) -> Event:
    """An event that lives as long as it may."""
    to = To(recipients=(Recipient(f"tel:+1202555{number:04d}", locale="en"),))
    body = Notification("parcel_delivered", to, params={"parcel": str(number), "event_time": "noon"})
    return notification(Head(source=f"//{BUSINESS}/scaled", id=f"{number}", lifetime_ms=11_000), body)


async def publishing(bootstrap: Address, said: dict[str, int]) -> None:
    """An event after the other; ``said`` tells when each request was published."""
    async with Client(as_business(bootstrap, BUSINESS)) as client:
        for number in range(9_999):
            sent = await client.publish(LANE, parcel(number))
            said[sent.request] = clock.now_ms()
            await asyncio.sleep(EVERY_S)


def opened(log: Path) -> int:
    """How many journals a worker has opened."""
    return log.read_text().count('"event":"journal_open"')


async def serving(log: Path, worker: Child) -> None:
    """Wait until a worker has opened all of its journals."""
    await until(lambda: worker.status is not None or opened(log) >= 2 * SHARDS, deadline_s=START_S)
    assert worker.status is None, log.read_text()


class Journals:
    """What stands in a topic of journals, by partition."""

    def __init__(self) -> None:
        self.begins: dict[int, int] = {}
        self.claims: defaultdict[int, Claims] = defaultdict(Claims)
        self.rounds: Counter[int] = Counter()
        """Claims that were repeated with a higher floor."""
        self.restated = 0

    @classmethod
    async def read(cls, bootstrap: Address, topic: str) -> "Journals":
        """Read all of it."""
        found, folds = cls(), defaultdict[int, Fold](Fold)
        async for bite in scan(bootstrap, topic):
            for record in bite:
                shard, value = record.partition, record.value or b""
                if shard not in found.begins:
                    found.begins[shard], found.claims[shard] = record.offset, Claims(record.offset)
                header = folds[shard].admit(value)
                if header is not None:
                    before = found.claims[shard].floor
                    found.claims[shard].fold(header, value, record.offset)
                    found.rounds[shard] += found.claims[shard].floor > before
                    found.restated += header.kind in {Kind.PLAN_RESTATED, Kind.OUTCOME_RESTATED}
        return found


async def test_owners_of_any_age_raise_floors_and_start_behind_a_trim(
    bootstrap: Address, settings: dict[str, Any], tmp_path: Path
) -> None:
    """Nothing is refused as trimmed, folds stay short, and nobody is shown anything twice."""
    log, command = tmp_path / "worker.log", (*FANFARE, "worker", "--lane", LANE.word)
    said: dict[str, int] = {}
    writing = asyncio.create_task(publishing(bootstrap, said))
    for life_s in LIVES_S:
        async with running(command, log, **settings) as worker:
            await serving(log, worker)
            await asyncio.sleep(life_s)
            assert worker.status is None, log.read_text()
    async with running(command, log, **settings) as worker:
        await serving(log, worker)
        served_ms = clock.now_ms()
        await asyncio.sleep(F_S)
        writing.cancel()
        await asyncio.sleep(3)
        assert worker.status is None, log.read_text()
    for topic in (topics.plans(LANE), topics.outcomes(LANE)):
        journals = await Journals.read(bootstrap, topic)
        assert min(journals.begins.values()) > 0, "Kafka has trimmed nothing"
        assert min(journals.rounds.values()) >= 3
        assert journals.restated > 0
        for claims in journals.claims.values():
            assert claims.age_ms(claims.last_ms) <= 1_000 * F_S / 2 + 2_000
    events = read(log_folder(settings["data_dir"], LANE) / FILE_NAME, GatewayEvent)
    shown: Counter[tuple[str, bytes]] = Counter()
    for event in events:
        if event.event == "accepted" and event.business == BUSINESS:
            shown.update([(event.request, base64.b64decode(event.recipients))])
    assert set(shown.values()) == {1}
    told = {request for request, _ in shown}
    missed = [
        request for request, at_ms in said.items() if served_ms < at_ms < clock.now_ms() - 4_000 and request not in told
    ]
    assert not missed, f"{len(missed)} of {len(said)}"
