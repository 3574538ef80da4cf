"""`fanfare doctor` on a real Kafka: empty, made ready, and asked with settings that do not fit."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from broker.registry.fold import Registry
from schemas.lanes import Lane
from schemas.topics import SHARDS, business_topics, catalogue
from streams.kafka.admin import admin, own_topics
from streams.kafka.provision import provision
from streams.registry.apply import changes, read_files, write
from streams.registry.read import read_registry
from streams.runtime.kafka_access import Address
from tests.kafka.registered import REGISTRY_FILES, own_kafka, silent
from tests.support.secured import as_operator, environment

NO_PORTS = (
    dict.fromkeys(("webhook_port", "worker_metrics_port", "webhook_metrics_port", "intake_port"), 0)
    | dict.fromkeys(("ledger_metrics_port", "gateway_metrics_port", "intake_metrics_port"), 0)
    | {f"gateway_{lane.word}": "http://gateway.example:80" for lane in Lane}
)
"""What else runs on this machine is not the matter of these tests."""


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka of this module's own, without topics."""
    with own_kafka() as (address, _):
        yield as_operator(address)


def doctor(bootstrap: Address, **settings: int) -> tuple[int, dict[str, list[str]]]:
    """Its exit status, and what it said: subject -> grades."""
    own = environment(bootstrap=bootstrap, **(NO_PORTS | settings))
    command = [sys.executable, "-m", "streams.cli", "doctor"]
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=60, check=False)
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines()[:-1]:
        grade, what, _ = line.split(maxsplit=2)
        found.setdefault(what, []).append(grade)
    return done.returncode, found


async def topics_of(bootstrap: Address) -> list[str]:
    """Every topic that is there."""
    async with admin(bootstrap) as client:
        return list(await own_topics(client, bootstrap))


async def test_it_says_what_is_missing_until_nothing_is(bootstrap: Address) -> None:
    """An empty Kafka lacks topics and registry, then those of businesses; other shards fit neither. No topic is left behind."""
    status, found = await asyncio.to_thread(doctor, bootstrap)
    assert status == 1
    assert (found["topics"], found["registry"]) == (["missing"], ["missing"])
    assert (found["kafka"], found["clock"]) == (["warning"], ["ok"])

    await provision(bootstrap, catalogue(), shards=SHARDS, dev=True, say=silent)
    await write(bootstrap, changes(read_files(REGISTRY_FILES), Registry()))
    status, found = await asyncio.to_thread(doctor, bootstrap)
    assert status == 0
    assert (found["topics"], found["registry"]) == (["ok", "warning"], ["ok"])

    registry = await read_registry(bootstrap)
    of_businesses = [topic for business in registry.businesses for topic in business_topics(business)]
    await provision(bootstrap, of_businesses, shards=SHARDS, dev=True, say=silent)
    status, found = await asyncio.to_thread(doctor, bootstrap)
    assert (status, found["topics"]) == (0, ["ok"])

    status, found = await asyncio.to_thread(doctor, bootstrap, shards=SHARDS // 2)
    assert status == 1
    assert set(found["topics"]) == {"missing"}
    assert found["registry"] == ["missing"]
    assert not [topic for topic in await topics_of(bootstrap) if topic.startswith("fanfare-doctor")]
