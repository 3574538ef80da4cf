"""Topics on a real Kafka: made as the catalogue says, found again, and refused when they are not safe."""

import uuid

import pytest

from schemas.topics import FOR_EVER, Topic, catalogue
from streams.kafka.admin import admin, leaderless, own_topics
from streams.kafka.provision import ProvisionError, provision, topic_facts, verify
from streams.runtime.kafka_access import kafka_at
from tests.conftest import RealKafka
from tests.kafka.records import new_topic

HOUR_MS = 3_600_000


def silent(sentence: str) -> None:
    """Take what a test does not read."""


def fresh(partitions: int | None = None, *, retention_ms: int = HOUR_MS, compacted: bool = False) -> Topic:
    """A topic of the catalogue's kind under a name of its own."""
    return Topic(f"test-{uuid.uuid4().hex[:12]}", "none", partitions, retention_ms, "a test", compacted=compacted)


async def test_the_whole_catalogue_can_be_made_and_found_again(kafka: RealKafka) -> None:
    """Every topic gets its partitions, leaders and configuration; a second time nothing is made."""
    topics = catalogue(("united", "parcelshop"))
    await provision(kafka.bootstrap, topics, shards=8, dev=True, say=silent)
    async with admin(kafka.bootstrap) as client:
        names = [kafka_at(kafka.bootstrap).name(topic.name) for topic in topics]
        assert await leaderless(client, names) == []
        facts = await topic_facts(client, names)
    for topic, name in zip(topics, names, strict=True):
        found = facts[name]
        assert found.partitions == (topic.partitions or 8), topic.name
        assert topic.config().items() <= found.config.items(), topic.name
    assert await provision(kafka.bootstrap, topics, shards=8, dev=True, say=silent) == ()
    await verify(kafka.bootstrap, topics, shards=8, dev=True, session_ms=6_000, say=silent)


async def test_what_is_missing_is_named_when_nothing_may_be_made(kafka: RealKafka) -> None:
    """A process that only checks refuses to start, and says which command helps."""
    topic = fresh()
    name = kafka_at(kafka.bootstrap).name(topic.name)
    with pytest.raises(ProvisionError, match=f"Topics are missing: {name}.*`fanfare provision` makes them"):
        await verify(kafka.bootstrap, [topic], shards=2, dev=True, session_ms=6_000, say=silent)


async def test_only_the_missing_are_made(kafka: RealKafka) -> None:
    """The answer names the topics that were made by this call."""
    first, second = fresh(), fresh(1, retention_ms=FOR_EVER, compacted=True)
    name = kafka_at(kafka.bootstrap).name
    assert await provision(kafka.bootstrap, [first], shards=2, dev=True, say=silent) == (name(first.name),)
    assert await provision(kafka.bootstrap, [first, second], shards=2, dev=True, say=silent) == (name(second.name),)


async def test_a_wrong_partition_count_is_refused_in_development_too(kafka: RealKafka) -> None:
    """The shard of a record is its partition, so another count cannot be lived with."""
    topic = fresh()
    await provision(kafka.bootstrap, [topic], shards=2, dev=True, say=silent)
    with pytest.raises(ProvisionError, match=f"{topic.name} has 2 partitions, not 3"):
        await provision(kafka.bootstrap, [topic], shards=3, dev=True, say=silent)


async def test_an_unsafe_topic_is_told_of_in_development(kafka: RealKafka) -> None:
    """With dev, what would lose records is said, one sentence for each reason, and the work goes on."""
    name = await new_topic(kafka.bootstrap, config={"retention.ms": "60000", "message.timestamp.type": "CreateTime"})
    said: list[str] = []
    topic = Topic(name, "none", 1, HOUR_MS, "a test")
    assert await provision(kafka.bootstrap, [topic], shards=1, dev=True, say=said.append) == ()
    assert [sentence.split(name)[1].split(",")[0] for sentence in said] == [
        " has retention.ms = 60000",
        " has message.timestamp.type = CreateTime",
    ]


async def test_one_broker_is_refused_in_production(kafka: RealKafka) -> None:
    """Without dev, a Kafka that cannot lose a broker is refused before a topic is made."""
    topic = fresh()
    with pytest.raises(ProvisionError, match="Kafka has 1 broker; 3 are needed"):
        await provision(kafka.bootstrap, [topic], shards=2, dev=False, say=silent)
    async with admin(kafka.bootstrap) as client:
        assert topic.name not in await own_topics(client, kafka.bootstrap)
