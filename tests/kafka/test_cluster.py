"""A Kafka of one node on this machine: it serves, and it keeps its records, ports and identity."""

from pathlib import Path

import pytest

from streams.dev.kafka.cluster import start_cluster
from streams.dev.kafka.errors import ClusterError, PortTakenError, WrongFolderError
from streams.kafka.admin import admin, describe, leaderless
from streams.runtime.ports import free_ports
from tests.conftest import RealKafka
from tests.kafka.conftest import MakeTopic
from tests.kafka.records import new_topic, read, write
from tests.support.programs import processes_naming
from tests.support.secured import as_asked


async def test_one_node_takes_and_gives_records(kafka: RealKafka, make_topic: MakeTopic) -> None:
    """The session's Kafka leads every partition and returns what was written, in order."""
    topic = await make_topic(3)
    await write(kafka.bootstrap, topic, b"one", b"two")
    assert await read(kafka.bootstrap, topic, 2) == [b"one", b"two"]
    assert (await describe(kafka.bootstrap, deadline_s=10)).leaderless == ()


async def test_topics_are_not_made_by_accident(kafka: RealKafka) -> None:
    """Asking for a topic that nobody provisioned does not make it, as its partition count would be wrong."""
    async with admin(kafka.bootstrap) as client:
        assert await leaderless(client, ["never-provisioned"]) == ["never-provisioned"]
        assert "never-provisioned" not in await client.list_topics()


async def test_a_data_folder_keeps_everything_over_kills_and_restarts(tmp_path: Path) -> None:
    """A cluster started again in its folder, after a kill and after a clean stop, has its records and its address."""
    said: list[str] = []
    cluster = await start_cluster(data=tmp_path, say=said.append, broker_session_ms=1_500, secured=as_asked())
    try:
        way = cluster.kafka
        topic = await new_topic(way)
        await write(way, topic, b"kept")
        await cluster.kill_node(1)
        assert cluster.java_pids == ()
        await cluster.start_node(1)
        assert await read(way, topic, 1) == [b"kept"]
        with pytest.raises(WrongFolderError, match="is running in"):
            await start_cluster(data=tmp_path, say=said.append)
    finally:
        await cluster.stop()
    assert processes_naming(tmp_path) == []
    again = await start_cluster(data=tmp_path, say=said.append, secured=as_asked())
    try:
        assert again.kafka == way
        assert await read(way, topic, 1) == [b"kept"]
    finally:
        await again.stop()


async def test_a_temporary_cluster_leaves_nothing(tmp_path: Path) -> None:
    """Asked-for ports are used; after a stop, which may come twice, neither processes nor the folder are left."""
    ports = free_ports(1)
    cluster = await start_cluster(ports=ports, say=lambda _: None, secured=as_asked())
    try:
        assert cluster.bootstrap == f"127.0.0.1:{ports[0]}"
        with pytest.raises(PortTakenError, match=f"Port {ports[0]} on 127.0.0.1 is taken"):
            await start_cluster(ports=ports, data=tmp_path, say=lambda _: None)
    finally:
        await cluster.stop()
    await cluster.stop()
    assert processes_naming(cluster.folder) == []
    assert not cluster.folder.exists()


@pytest.mark.parametrize(
    ("identity", "nodes", "ports", "sentence"),
    [
        pytest.param(None, 2, None, "one node or three, not 2", id="two nodes cannot outvote a lost one"),
        pytest.param(None, 3, [19092], "3 nodes need 3 ports, not 1", id="a port for each node"),
        pytest.param(
            '{"cluster_id": "a", "nodes": 3, "ports": []}', 1, None, "holds a cluster of 3 nodes", id="other size"
        ),
        pytest.param("{", 1, None, "is damaged", id="damaged identity"),
    ],
)
async def test_a_cluster_that_cannot_be_is_refused_with_a_sentence(
    tmp_path: Path, identity: str | None, nodes: int, ports: list[int] | None, sentence: str
) -> None:
    """What does not fit together is refused before any process starts."""
    if identity is not None:
        (tmp_path / "cluster.json").write_text(identity, "utf-8")
    with pytest.raises(ClusterError, match=sentence):
        await start_cluster(nodes=nodes, data=tmp_path, ports=ports, say=lambda _: None)
    assert processes_naming(tmp_path) == []
