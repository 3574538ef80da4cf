"""Three nodes: one of them may be killed or stand still, and what was acknowledged is served by the others."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from schemas.topics import Topic, catalogue
from streams.dev.kafka.cluster import Cluster, start_cluster
from streams.kafka.admin import admin, describe
from streams.kafka.provision import ProvisionError, provision, topic_facts
from tests.kafka.records import new_topic, read, write
from tests.support.secured import as_asked, as_operator

BROKER_SESSION_MS = 2_000


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """A cluster of three that takes a broker for lost after two seconds."""
    started = await start_cluster(nodes=3, say=lambda _: None, broker_session_ms=BROKER_SESSION_MS, secured=as_asked())
    yield started
    await started.stop()


async def test_a_killed_node_is_done_without_and_comes_back(cluster: Cluster) -> None:
    """Records acknowledged before, during and after the loss of the leader are all read, in order."""
    topic = await new_topic(cluster.kafka, copies=3)
    await write(cluster.kafka, topic, b"before")
    await cluster.kill_node(await leader(cluster, topic))
    assert len(cluster.java_pids) == 2
    await write(cluster.kafka, topic, b"during")
    assert await read(cluster.kafka, topic, 2) == [b"before", b"during"]
    for node_id in (1, 2, 3):
        await cluster.start_node(node_id)
    assert (await describe(cluster.kafka, deadline_s=10)).brokers == 3
    await write(cluster.kafka, topic, b"after")
    assert await read(cluster.kafka, topic, 3) == [b"before", b"during", b"after"]


async def test_a_leader_that_stands_still_is_replaced(cluster: Cluster) -> None:
    """While the leader is paused another one takes its place; resumed, it joins again."""
    topic = await new_topic(cluster.kafka, copies=3)
    await write(cluster.kafka, topic, b"before")
    paused = await leader(cluster, topic)
    cluster.pause_node(paused)
    others = ",".join(address for i, address in enumerate(cluster.bootstrap.split(","), 1) if i != paused)
    await write(msgspec.structs.replace(cluster.kafka, bootstrap=others), topic, b"during")
    cluster.resume_node(paused)
    await cluster.wait_ready()
    assert await read(cluster.kafka, topic, 2) == [b"before", b"during"]


async def test_production_topics_are_safe_and_unsafe_ones_refused(cluster: Cluster) -> None:
    """On three brokers topics get three copies and two in sync; one with fewer is refused, each reason a line."""
    topics = catalogue(("united",))
    made = await provision(as_operator(cluster.kafka), topics, shards=4, dev=False, say=lambda _: None)
    assert set(made) == {cluster.kafka.name(topic.name) for topic in topics}
    async with admin(cluster.kafka) as client:
        facts = await topic_facts(client, made)
    assert {(found.copies, found.config["min.insync.replicas"]) for found in facts.values()} == {(3, "2")}

    short = Topic(await new_topic(cluster.kafka, copies=1), "none", 1, 1_000, "a test")
    with pytest.raises(ProvisionError) as refused:
        await provision(cluster.kafka, [short], shards=4, dev=False, say=lambda _: None)
    assert [line.split(" has ")[1].split(",")[0] for line in str(refused.value).splitlines()] == [
        "1 copy",
        "min.insync.replicas = 2",
        "message.timestamp.type = CreateTime",
    ]


async def leader(cluster: Cluster, topic: str) -> int:
    """The node that leads partition 0."""
    async with admin(cluster.kafka) as client:
        (described,) = await client.describe_topics([cluster.kafka.name(topic)])
    return int(described["partitions"][0]["leader"])
