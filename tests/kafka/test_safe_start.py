"""A Kafka of three that would lose records is refused by every process that writes: each weakness planted, told, and mended.

What mends it is the command that the sentence ends with.
"""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from schemas.topics import CHARGES, REGISTRY, SUPPRESSIONS, Topic, catalogue
from streams.kafka.admin import admin
from streams.kafka.provision import ProvisionError, provision, verify
from streams.kafka.topic_rules import SAFE_COPIES, SAFE_IN_SYNC, TopicPlan
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import Address, kafka_at
from tests.kafka.records import make
from tests.kafka.registered import own_kafka, silent
from tests.support.secured import as_operator, as_user, environment, user_of

SHARDS = 2
SESSION_MS = 6_000
HEX = "ab" * 32
PRODUCTION = {
    **dict.fromkeys(("pepper", "ref_secret"), HEX),
    "webhook_secret": f"whsec_{HEX}",
    **dict.fromkeys(("webhook_port", "worker_metrics_port", "webhook_metrics_port", "ledger_metrics_port"), 0),
    **dict.fromkeys(("intake_port", "intake_metrics_port"), 0),
    "dev": False,
    "address_keys": f'{{"7": "{HEX}"}}',
    "seal_keys": "{}",
    "shards": SHARDS,
}
TOPICS: Mapping[str, Topic] = {topic.name: topic for topic in catalogue()}
PROCESSES = ("worker --lane otp", "webhook", "intake", "ledger")
"""What writes or keeps books."""


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """Three nodes with every topic, as production wants them."""
    with own_kafka(nodes=3) as (address, runner):
        runner.run(provision(as_operator(address), catalogue(), shards=SHARDS, dev=False, say=silent))
        yield address


async def objections(bootstrap: Address, *, dev: bool = False, session_ms: int = SESSION_MS) -> list[str]:
    """Why it is refused, a sentence each."""
    try:
        await verify(as_operator(bootstrap), catalogue(), shards=SHARDS, dev=dev, session_ms=session_ms, say=silent)
    except ProvisionError as error:
        return str(error).splitlines()
    return []


async def told(bootstrap: Address, wanted: str, *, dev: bool = False) -> list[str]:
    """The objections once one of them holds ``wanted``, or once there are none for ``""``: brokers learn in their own time."""
    said = [""]
    async with asyncio.timeout(20):
        while True:
            with suppress(KafkaError):  # of a topic that has just been removed
                said = await objections(bootstrap, dev=dev)
            if any(wanted in line for line in said) if wanted else not said:
                return said
            await asyncio.sleep(0.1)


async def configure(client: AIOKafkaAdminClient, bootstrap: Address, topic: str, **changed: str) -> None:
    """Give a topic its configuration, but for what is changed (dots of Kafka's settings as underscores)."""
    name = kafka_at(bootstrap).name(topic)
    planned = TopicPlan(topic, SHARDS, SAFE_COPIES, SAFE_IN_SYNC, TOPICS[topic].config()).full_config()
    config = planned | {name.replace("_", "."): value for name, value in changed.items()}
    answers = await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=config)])
    assert not any(code for answer in answers for code, *_ in answer.resources)


@asynccontextmanager
async def made(bootstrap: Address, topic: str, *, partitions: int, copies: int) -> AsyncIterator[None]:
    """A topic of a business that somebody made by hand."""
    config = TopicPlan(topic, 1, copies, 1, TOPICS[CHARGES].config()).full_config()
    await make(bootstrap, topic, partitions=partitions, copies=copies, config=config)
    yield
    async with admin(bootstrap) as client:
        await client.delete_topics([kafka_at(bootstrap).name(topic)])


async def test_what_provision_makes_is_safe(bootstrap: Address) -> None:
    """Production starts on it, and so does development."""
    assert await objections(bootstrap) == []
    assert await objections(bootstrap, dev=True) == []


@pytest.mark.parametrize(
    ("topic", "setting", "value", "sentence"),
    [
        ("requests.otp", "min.insync.replicas", "1", "must be at least 2: records would be acknowledged on one broker"),
        (SUPPRESSIONS, "unclean.leader.election.enable", "true", "must be false: a late copy could replace"),
        ("plans.update", "cleanup.policy", "compact", "must be delete: inputs must be dense"),
        (REGISTRY, "cleanup.policy", "delete", "must be compact"),
        ("outcomes.campaign", "retention.ms", "3600000", "must be at least 1209600000: records would be gone"),
        (CHARGES, "retention.ms", "86400000", "must be -1 (for ever)"),
        ("receipts.update", "retention.bytes", "1000000", "must be -1: a busy day would trim"),
        ("work.otp", "message.timestamp.type", "CreateTime", "must be LogAppendTime: retention and folds"),
        ("audience.changes", "max.message.bytes", "1000", "must be at least 1048588: larger records"),
    ],
)
async def test_a_topic_that_would_lose_records_is_refused(
    bootstrap: Address, topic: str, setting: str, value: str, sentence: str
) -> None:
    """By name; development goes on; the command of the sentence mends it."""
    name = kafka_at(bootstrap).name(topic)
    async with admin(bootstrap) as client:
        try:
            await configure(client, bootstrap, topic, **{setting.replace(".", "_"): value})
            said = next(line for line in await told(bootstrap, setting) if setting in line)
            assert await objections(bootstrap, dev=True) == []
            assert said.startswith(f"{name} has {setting} = {value}, {sentence}")
            command = re.search(r"`kafka-configs.sh .* --topic (\S+) --add-config (\S+)=(\S+)`", said)
            assert command is not None
            assert command[1] == name
            await configure(
                client,
                bootstrap,
                topic,
                **{setting.replace(".", "_"): value} | {command[2].replace(".", "_"): command[3]},
            )
            await told(bootstrap, "")
        finally:
            await configure(client, bootstrap, topic)
            await told(bootstrap, "")


async def test_a_topic_of_a_business_is_looked_at_too(bootstrap: Address) -> None:
    """One copy may be lost with its broker; two partitions have two orders, which development cannot live with either."""
    name = kafka_at(bootstrap).name
    async with made(bootstrap, "status.thin", partitions=1, copies=1):
        first, *_ = await told(bootstrap, "status.thin")
        assert first.startswith(
            f"{name('status.thin')} has 1 copy, needs 3: the loss of a broker could lose records. Mend it: `kafka-"
        )
        assert await objections(bootstrap, dev=True) == []
    async with made(bootstrap, "status.wide", partitions=2, copies=3):
        (refused,) = await told(bootstrap, "status.wide", dev=True)
        assert refused.startswith(f"{name('status.wide')} has 2 partitions, not 1: shards would not match.")
    await told(bootstrap, "")


async def test_a_broker_that_takes_too_little_is_refused(bootstrap: Address) -> None:
    """Its own limits count too: the size of a record, and how long a worker may be silent."""
    async with admin(bootstrap) as client:
        small = ConfigResource(ConfigResourceType.BROKER, "2", configs={"message.max.bytes": "1000"})
        await client.alter_configs([small])
        try:
            (said,) = await told(bootstrap, "message.max.bytes")
        finally:
            await client.alter_configs([ConfigResource(ConfigResourceType.BROKER, "2", configs={})])
    assert said.startswith("broker 2 has message.max.bytes = 1000, must be at least 1048588: larger records")
    assert "`kafka-configs.sh --bootstrap-server" in said
    three = await objections(bootstrap, dev=True, session_ms=500)
    assert len(three) == 3
    assert all("takes session time-outs from 1000 to 1800000 ms, not 500" in line for line in three)


def refusing(bootstrap: Address, folder: Path, command: str) -> tuple[int, str]:
    """Exit status and last words of a process of ours that starts outside development."""
    way = as_user(bootstrap, user_of(command.replace(" --lane ", "-")))
    own = environment(bootstrap=way, data_dir=folder, **PRODUCTION)
    started = [sys.executable, "-m", "streams.cli", *command.split()]
    ended = subprocess.run(started, env=own, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr


async def test_every_process_that_writes_refuses(bootstrap: Address, tmp_path: Path) -> None:
    """Before it takes anything: with the sentence, and a status that says so."""
    async with admin(bootstrap) as client:
        await configure(client, bootstrap, CHARGES, retention_ms="3600000")
        await told(bootstrap, "charges has retention.ms")
        try:
            ends = await asyncio.gather(
                *(asyncio.to_thread(refusing, bootstrap, tmp_path, command) for command in PROCESSES)
            )
        finally:
            await configure(client, bootstrap, CHARGES)
    for (status, said), command in zip(ends, PROCESSES, strict=True):
        assert status == Exit.REFUSED_START, f"{command}: {said}"
        assert "charges has retention.ms = 3600000, must be -1 (for ever)" in said, command
        assert "--add-config retention.ms=-1`" in said, command
