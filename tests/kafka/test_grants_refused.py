"""A grant that is missing: the process ends as one that must not be started again as it is, and says whose grant on what."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.kafka.grants import Grant, Operation, Resource
from streams.kafka.provision import ProvisionError, effective_configs, granted
from streams.kafka.start_check import not_granted
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import Kafka

ROOT = Path(__file__).parents[2]
ADVICE = " (FANFARE_KAFKA_PREFIX is acme.): `fanfare provision --print-acls` prints what it needs"


@pytest.mark.parametrize(
    ("error", "when", "status", "sentence"),
    [
        ("forbidden", "now", Exit.REFUSED_START, f"acme-worker-update may not write acme.charges{ADVICE}"),
        ("forbidden", "later", Exit.REFUSED_START, f"acme-worker-update may not write acme.charges{ADVICE}"),
        (
            "no id",
            "start",
            Exit.REFUSED_START,
            f"acme-worker-update may not Write to any topic, nor IdempotentWrite the cluster{ADVICE}",
        ),
        ("few copies", "later", Exit.UNKNOWN_APPEND, "NotEnoughReplicasError"),
    ],
)
def test_an_append_that_may_not_be_is_no_unknown_one(error: str, when: str, status: Exit, sentence: str) -> None:
    """The next process would be refused the same way. The topic is the one that the broker names: a batch may hold others."""
    command = [sys.executable, "-m", "tests.kafka.programs.refused_append", error, when]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == status, ended.stderr
    assert sentence in ended.stderr


class Forbidding:
    """Stands for an admin client that may describe nothing."""

    def __init__(self, code: int) -> None:
        self._code = code

    async def describe_configs(self, resources: Sequence[ConfigResource]) -> list[Any]:
        """Refuses each."""
        return [Forbidden([(self._code, "Authorization failed.", 0, each.name, []) for each in resources])]


class Forbidden(NamedTuple):
    """Stands for the answer."""

    resources: list[tuple[Any, ...]]


@pytest.mark.parametrize(
    ("code", "kind", "name", "thing"),
    [
        (31, ConfigResourceType.BROKER, "1", "the cluster"),
        (29, ConfigResourceType.TOPIC, "acme.charges", "acme.charges"),
    ],
)
async def test_a_look_that_is_forbidden_is_told_as_a_grant(
    code: int, kind: ConfigResourceType, name: str, thing: str
) -> None:
    """By the word that Kafka's own tool has for it."""
    kafka = Kafka(bootstrap="kafka:1", user="acme-worker-campaign", prefix="acme.")
    with pytest.raises(ProvisionError) as refused:
        async with granted(kafka):
            await effective_configs(cast("AIOKafkaAdminClient", Forbidding(code)), kind, [name])
    assert str(refused.value) == f"acme-worker-campaign may not DescribeConfigs {thing}{ADVICE}"


def test_what_is_not_granted_is_told_by_operation() -> None:
    """Under Kafka's names; few of them by name, many by their number."""
    kafka = Kafka(bootstrap="kafka:1", user="acme-worker-update", prefix="acme.")

    def lacking(operation: Operation, *topics: str) -> list[Grant]:
        return [Grant("worker-update", operation, Resource.TOPIC, f"acme.{topic}") for topic in topics]

    few = lacking(Operation.WRITE, "charges", "plans.update", "status.nobody")
    many = lacking(Operation.DESCRIBE_CONFIGS, *(f"t{number}" for number in range(20)))
    look = Grant("worker-update", Operation.DESCRIBE_CONFIGS, Resource.CLUSTER, "kafka-cluster")
    assert list(not_granted(kafka, [look])) == [f"acme-worker-update may not DescribeConfigs the cluster{ADVICE}"]
    assert list(not_granted(kafka, [*few, *many])) == [
        f"acme-worker-update may not write acme.charges, acme.plans.update, acme.status.{ADVICE}",
        f"acme-worker-update may not DescribeConfigs acme.t0 and 19 more{ADVICE}",
    ]
