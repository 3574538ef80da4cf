"""Grants: who may do what, under which names, and as which commands."""

import shlex
from itertools import pairwise

from schemas import topics
from schemas.lanes import Lane
from schemas.topics import catalogue
from streams.kafka.grants import Operation, Pattern, Resource, commands, grants, users, worker_user
from streams.runtime.kafka_access import Kafka
from streams.worker.pipeline import stages
from streams.worker.resources import group_of

KAFKA = Kafka(bootstrap="kafka:9092", prefix="team-a.")
FOUND = grants(KAFKA, ["shop-parcelo", "bank-meridian"])


def may(user: str, operation: Operation, resource: Resource = Resource.TOPIC) -> set[str]:
    """Returns the names that a user may do this to."""
    return {one.name for one in FOUND if (one.user, one.operation, one.resource) == (user, operation, resource)}


def test_a_business_writes_requests_and_reads_what_is_its_own() -> None:
    """Its statuses, its bill, and what a client checks and seals by; nothing of another business."""
    assert may("business-shop-parcelo", Operation.WRITE) == {f"team-a.requests.{lane.word}" for lane in Lane}
    assert may("business-shop-parcelo", Operation.READ) == {
        "team-a.status.shop-parcelo",
        "team-a.billing.shop-parcelo",
        "team-a.registry",
        "team-a.audience.sizes",
    }


def test_a_worker_reads_its_lane_in_its_group() -> None:
    """All inputs of its agents, and nothing of other lanes."""
    for lane in Lane:
        user = worker_user(lane)
        inputs = {KAFKA.name(topic) for stage in stages(lane).values() for topic in stage}
        assert inputs <= may(user, Operation.READ)
        assert may(user, Operation.READ, Resource.GROUP) == {KAFKA.name(group_of(lane))}
        others = {KAFKA.name(topics.requests(other)) for other in Lane if other is not lane}
        assert not others & (may(user, Operation.READ) | may(user, Operation.WRITE))


def test_only_the_operator_makes_topics_and_nobody_changes_them() -> None:
    """Whoever looks at its start describes all of them; a gateway and a business do not."""
    assert {one.user for one in FOUND if one.operation is Operation.CREATE} == {"operator"}
    assert may("operator", Operation.DELETE) == {"team-a.fanfare-doctor-"}
    all_topics = {KAFKA.name(topic.name) for topic in catalogue()}
    look = {one.user for one in FOUND if one.operation is Operation.DESCRIBE_CONFIGS and one.resource is Resource.TOPIC}
    assert look == set(users([])) - {"gateway"}
    assert may("webhook", Operation.DESCRIBE_CONFIGS) == all_topics
    assert may("ledger", Operation.DESCRIBE_CONFIGS) == all_topics | {"team-a.billing."}


def test_nobody_may_change_the_cluster() -> None:
    """All that is granted on it is a look at the brokers' configuration, and that is what doctor asks for."""
    assert {one.operation for one in FOUND if one.resource is Resource.CLUSTER} == {Operation.DESCRIBE_CONFIGS}


def test_every_name_has_the_prefix() -> None:
    """But for the cluster, which has none."""
    assert all(one.name.startswith("team-a.") for one in FOUND if one.resource is not Resource.CLUSTER)
    assert {one.name for one in FOUND if one.resource is Resource.CLUSTER} == {"kafka-cluster"}


def test_the_commands_say_the_same_as_the_grants() -> None:
    """Read back word by word, they are the grants and no others."""
    read = set()
    for line in commands(FOUND, "kafka:9092"):
        words = shlex.split(line)
        pairs = list(pairwise(words))
        user = next(value for option, value in pairs if option == "--allow-principal").removeprefix("User:")
        pattern = Pattern.PREFIXED if "prefixed" in words else Pattern.LITERAL
        operations = [value for option, value in pairs if option == "--operation"]
        for resource in (Resource.TOPIC, Resource.GROUP):
            names = [value for option, value in pairs if option == f"--{resource.name.lower()}"]
            read |= {(user, each, resource, name, pattern) for each in operations for name in names}
        if "--cluster" in words:
            read |= {(user, each, Resource.CLUSTER, "kafka-cluster", pattern) for each in operations}
    assert read == {(one.user, one.operation.word, one.resource, one.name, one.pattern) for one in FOUND}
