"""What a node is told: the text of its properties, for one node and for three."""

from pathlib import Path

import pytest

from streams.dev.kafka.properties import NodePlan, new_cluster_id, node_properties

CLUSTER_ID_CHARACTERS = 22


def plans(count: int) -> tuple[NodePlan, ...]:
    """A cluster whose ports tell which node they belong to."""
    return tuple(NodePlan(i, Path(f"/data/n{i}"), 19_000 + i, 20_000 + i) for i in range(1, count + 1))


def settings(text: str) -> dict[str, str]:
    """The properties as Kafka reads them; a setting given twice is a fault."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = [(name, value) for name, _, value in (line.partition("=") for line in lines)]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


@pytest.mark.parametrize(("count", "copies", "in_sync"), [(1, "1", "1"), (3, "3", "2")])
def test_copies_follow_the_number_of_nodes(count: int, copies: str, in_sync: str) -> None:
    """Internal topics and new topics alike have as many copies as there are nodes, and survive one of three."""
    given = settings(node_properties(plans(count)[0], plans(count), broker_session_ms=6_000))
    assert {value for name, value in given.items() if name.endswith("replication.factor")} == {copies}
    assert {value for name, value in given.items() if name.endswith(("min.isr", "insync.replicas"))} == {in_sync}
    assert given["unclean.leader.election.enable"] == "false"
    assert given["auto.create.topics.enable"] == "false"


def test_nodes_differ_only_in_what_is_their_own() -> None:
    """All nodes name the same voters; each has its id, listeners and folder."""
    cluster = plans(3)
    texts = [settings(node_properties(plan, cluster, broker_session_ms=6_000)) for plan in cluster]
    different = {name for name in texts[0] if len({text[name] for text in texts}) > 1}
    assert different == {"node.id", "listeners", "advertised.listeners", "log.dirs"}
    assert texts[0]["controller.quorum.voters"] == "1@127.0.0.1:20001,2@127.0.0.1:20002,3@127.0.0.1:20003"
    assert all("0.0.0.0" not in value for text in texts for value in text.values())


def test_a_broker_says_it_lives_more_than_once_a_session() -> None:
    """The heartbeat interval follows the session, so that one lost heartbeat does not end it."""
    given = settings(node_properties(plans(1)[0], plans(1), broker_session_ms=1_500))
    assert given["broker.session.timeout.ms"] == "1500"
    assert int(given["broker.heartbeat.interval.ms"]) == 500


def test_cluster_ids_are_as_kafka_wants_them() -> None:
    """22 characters, different each time, never with a dash first, which the storage tool takes for an option."""
    ids = {new_cluster_id() for _ in range(500)}
    assert len(ids) == 500
    assert {len(each) for each in ids} == {CLUSTER_ID_CHARACTERS}
    assert not [each for each in ids if each.startswith("-")]
