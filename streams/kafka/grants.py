"""The least that each process, each business and an operator may do in Kafka: a table, and as commands of Kafka's own tool.

Reading and writing bring Describe with them. A process that writes looks at its start whether Kafka would lose what it
acknowledges (``start_check``), so it may describe every topic of ours and the brokers. Nobody needs a grant for transactions,
and idempotent writing needs none beside Write (Kafka 3.0, KIP-679).
"""

import shlex
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from schemas import topics
from schemas.lanes import Lane
from schemas.registry import CONFIRMATION_LANE
from schemas.topics import BILLING_PREFIX, STATUS_PREFIX, catalogue
from streams.kafka.admin import PROBE_GROUP
from streams.runtime.kafka_access import Kafka

OPERATOR: Final = "operator"
"""Who provisions, registers, audits, explains, looks with doctor and says controls."""
DOCTOR_TOPICS: Final = "fanfare-doctor-"
_GROUPS: Final = "fanfare-"
_CLUSTER: Final = "kafka-cluster"
"""Kafka's own name for the one cluster there is."""
THE_CLUSTER: Final = "the cluster"


class Resource(IntEnum):
    """Kinds of things with their numbers in Kafka's protocol."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4


class Pattern(IntEnum):
    """Ways in which a name is meant, with their numbers in Kafka's protocol."""

    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """Things that one may do, with their numbers in Kafka's protocol."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10

    @property
    def word(self) -> str:
        """Kafka's word for it."""
        return self.name.title().replace("_", "")


class Grant(NamedTuple):
    """Describes a grant: an operation that a user may do on a resource. ``name`` is Kafka's, prefix included."""

    user: str
    operation: Operation
    resource: Resource
    name: str
    pattern: Pattern = Pattern.LITERAL

    @property
    def thing(self) -> str:
        """Names for people what it is on: there is one cluster, and nobody looks for it by its name."""
        return THE_CLUSTER if self.resource is Resource.CLUSTER else self.name


def worker_user(lane: Lane) -> str:
    """Returns what the user of a lane's workers is called here; a deployment may call it otherwise."""
    return f"worker-{lane.word}"


def business_user(business: str) -> str:
    """Returns what the user of a business is called here."""
    return f"business-{business}"


def users(businesses: Sequence[str]) -> list[str]:
    """Returns every user that grants are for."""
    workers = [worker_user(lane) for lane in Lane]
    return [*workers, "webhook", "ledger", "intake", "gateway", OPERATOR, *map(business_user, businesses)]


def grants(kafka: Kafka, businesses: Sequence[str]) -> list[Grant]:
    """Returns all grants of a deployment with these businesses."""
    found = [grant for lane in Lane for grant in _worker(kafka, lane)]
    for user, reads, writes in _processes():
        found += _may(kafka, user, reads, writes)
    for user in ("webhook", "ledger", "intake"):
        found += _looks_at_its_start(kafka, user)
    ledger = (Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS)
    found += [Grant("ledger", each, *_business_topics(kafka, BILLING_PREFIX)) for each in ledger]
    found += _operator(kafka)
    for business in businesses:
        reads = [topics.status(business), topics.billing(business), topics.REGISTRY, topics.SIZES]
        found += _may(kafka, business_user(business), reads, [topics.requests(lane) for lane in Lane])
    return found


def _worker(kafka: Kafka, lane: Lane) -> Iterator[Grant]:
    user = worker_user(lane)
    own = [of(lane) for of in (topics.requests, topics.plans, topics.work, topics.outcomes)]
    shared = [topics.SUPPRESSIONS, topics.AUDIENCE, topics.CONTROLS, topics.SIZES]
    reads = [*own, topics.receipts(lane), *shared, topics.REGISTRY]
    yield from _may(kafka, user, reads, [*own, *shared, topics.CHARGES, topics.DEAD_LETTERS])
    for each in (Operation.WRITE, Operation.DESCRIBE_CONFIGS):
        yield Grant(user, each, *_business_topics(kafka, STATUS_PREFIX))
    yield Grant(user, Operation.READ, Resource.GROUP, kafka.name(f"{_GROUPS}{lane.word}"))
    yield from _looks_at_its_start(kafka, user)


def _processes() -> Iterator[tuple[str, list[str], list[str]]]:
    """Yields user, topics that it reads, topics that it writes."""
    facts = [topics.SUPPRESSIONS, topics.INBOUND]
    receipts = [topics.receipts(lane) for lane in Lane]
    yield "webhook", [topics.REGISTRY], [*receipts, *facts, topics.requests(CONFIRMATION_LANE), topics.DEAD_LETTERS]
    yield "ledger", [topics.CHARGES], [topics.DEAD_LETTERS]
    yield "intake", [topics.REGISTRY], [*(topics.requests(lane) for lane in Lane), topics.DEAD_LETTERS]
    yield "gateway", [topics.REGISTRY], []


def _may(kafka: Kafka, user: str, reads: Sequence[str], writes: Sequence[str]) -> Iterator[Grant]:
    for operation, names in ((Operation.READ, reads), (Operation.WRITE, writes)):
        yield from (Grant(user, operation, Resource.TOPIC, kafka.name(name)) for name in names)


def _looks_at_its_start(kafka: Kafka, user: str) -> Iterator[Grant]:
    for topic in catalogue():
        for operation in (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS):
            yield Grant(user, operation, Resource.TOPIC, kafka.name(topic.name))
    yield Grant(user, Operation.DESCRIBE_CONFIGS, Resource.CLUSTER, _CLUSTER)


def _operator(kafka: Kafka) -> Iterator[Grant]:
    every = (Operation.CREATE, Operation.READ, Operation.DESCRIBE_CONFIGS)
    for topic in catalogue():
        yield from (Grant(OPERATOR, each, Resource.TOPIC, kafka.name(topic.name)) for each in every)
    for family in (STATUS_PREFIX, BILLING_PREFIX):
        yield from (Grant(OPERATOR, each, *_business_topics(kafka, family)) for each in every)
    written = [topics.REGISTRY, topics.CONTROLS, *(topics.requests(lane) for lane in Lane)]
    yield from _may(kafka, OPERATOR, [], written)
    for each in (Operation.CREATE, Operation.WRITE, Operation.DELETE):
        yield Grant(OPERATOR, each, *_business_topics(kafka, DOCTOR_TOPICS))
    for lane in Lane:
        yield Grant(OPERATOR, Operation.DESCRIBE, Resource.GROUP, kafka.name(f"{_GROUPS}{lane.word}"))
    yield Grant(OPERATOR, Operation.DESCRIBE, Resource.GROUP, kafka.name(PROBE_GROUP))
    yield Grant(OPERATOR, Operation.DESCRIBE_CONFIGS, Resource.CLUSTER, _CLUSTER)


def _business_topics(kafka: Kafka, family: str) -> tuple[Resource, str, Pattern]:
    return Resource.TOPIC, kafka.name(family), Pattern.PREFIXED


def commands(found: Sequence[Grant], bootstrap: str) -> Iterator[str]:
    """Yields calls of ``kafka-acls.sh``, one for all names of which a user may do the same."""
    together: dict[tuple[str, Resource, Pattern, tuple[Operation, ...]], list[str]] = {}
    operations: dict[tuple[str, Resource, Pattern, str], list[Operation]] = {}
    for grant in found:
        operations.setdefault((grant.user, grant.resource, grant.pattern, grant.name), []).append(grant.operation)
    for (user, resource, pattern, name), allowed in operations.items():
        together.setdefault((user, resource, pattern, tuple(sorted(set(allowed)))), []).append(name)
    for (user, resource, pattern, allowed_set), names in together.items():
        words = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--command-config", "ADMIN.properties", "--add"]
        words += ["--allow-principal", f"User:{user}"]
        words += [word for each in allowed_set for word in ("--operation", each.word)]
        words += ["--cluster"] if resource is Resource.CLUSTER else _named(resource, names)
        words += ["--resource-pattern-type", "prefixed"] if pattern is Pattern.PREFIXED else []
        yield shlex.join(words)


def _named(resource: Resource, names: Sequence[str]) -> list[str]:
    return [word for name in names for word in (f"--{resource.name.lower()}", name)]
