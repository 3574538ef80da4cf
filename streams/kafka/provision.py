"""Topics as the catalogue wants them: missing ones made and led, existing ones checked, unsafe ones refused.

Nothing here changes an existing topic: what a person configured, a person changes. Run by `fanfare provision`, by the
development set-up, and, without making anything, by `fanfare doctor` and by every process that writes, at its start.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from schemas.topics import Topic, status_topic, topic_of_business
from streams.kafka import clients
from streams.kafka.admin import admin, own_topics, wait_leaders
from streams.kafka.grants import THE_CLUSTER, Operation
from streams.kafka.topic_rules import (
    SAFE_COPIES,
    SAFE_IN_SYNC,
    TopicFacts,
    TopicPlan,
    barriers,
    misfit,
    objections,
    weaknesses,
)
from streams.kafka.way_in import NOT_GRANTED, may_not, under
from streams.runtime.kafka_access import Address, kafka_at

_LEADERS_DEADLINE_S: Final = 30
_CREATE_TIMEOUT_MS: Final = 30_000


class ProvisionError(Exception):
    """Topics cannot be used as they are; the message has one sentence, on a line of its own, for each reason."""


async def provision(
    bootstrap: Address, topics: Sequence[Topic], *, shards: int, dev: bool, say: Callable[[str], None]
) -> tuple[str, ...]:
    """Make what is missing, wait for every leader, check the rest; return the names of the topics made.

    `shards` fills in for topics without a partition count of their own. With `dev`, few brokers suffice, and what could
    lose records is said instead of refused; a wrong partition count is refused in any case. Raises ProvisionError, and
    a KafkaError when Kafka does not answer.
    """
    async with granted(bootstrap), admin(bootstrap) as client:
        plans = await _plans(client, bootstrap, topics, shards=shards, dev=dev)
        made = await _create(client, bootstrap, await _missing(client, plans))
        await wait_leaders(client, [plan.name for plan in plans], deadline_s=_LEADERS_DEADLINE_S)
        await _check(client, plans, _Found([], []), dev=dev, say=say)
    return made


async def verify(
    bootstrap: Address, topics: Sequence[Topic], *, shards: int, dev: bool, session_ms: int, say: Callable[[str], None]
) -> str:
    """Check without making anything: as `provision`, but a missing topic is refused too, and brokers are looked at.

    Gives the cluster's id: which Kafka this is, whatever its addresses.

    The topics of businesses that are there are checked as well. Brokers that are down meanwhile are no reason to refuse.
    """
    async with granted(bootstrap), admin(bootstrap) as client:
        known = await own_topics(client, bootstrap)
        wanted = (*topics, *_of_businesses(known, topics))
        cluster = await client.describe_cluster()
        brokers = [str(broker["node_id"]) for broker in cluster["brokers"]]
        few = dev and len(brokers) < SAFE_COPIES
        copies, in_sync = (1, 1) if few else (SAFE_COPIES, SAFE_IN_SYNC)
        plans = _planned(bootstrap, wanted, shards, copies, in_sync)
        if missing := [kafka_at(bootstrap).name(topic.name) for topic in wanted if topic.name not in known]:
            raise ProvisionError(_missing_topics(bootstrap, missing))
        refused, unsafe = await _brokers(client, bootstrap, brokers, session_ms=session_ms)
        await _check(client, plans, _Found(refused, unsafe), dev=dev, say=say)
        return str(cluster["cluster_id"])


@contextlib.asynccontextmanager
async def granted(bootstrap: Address) -> AsyncIterator[None]:
    """Raises ProvisionError for a grant that turns out to be missing."""
    try:
        yield
    except NOT_GRANTED as error:
        raise ProvisionError(may_not(bootstrap, f"{error.args[0]}")) from error


def _of_businesses(known: Collection[str], topics: Sequence[Topic]) -> list[Topic]:
    named = {topic.name for topic in topics}
    found = (topic_of_business(name) for name in sorted(known) if name not in named)
    return [topic for topic in found if topic is not None]


async def _brokers(
    client: AIOKafkaAdminClient, bootstrap: Address, names: Sequence[str], *, session_ms: int
) -> tuple[list[str], list[str]]:
    """Returns the objections to the brokers that are up: what stands in the way at all, and what may lose something."""
    configs = await effective_configs(client, ConfigResourceType.BROKER, names)
    record_bytes = int(status_topic("").config()["max.message.bytes"])
    refused = [said for name in names for said in barriers(name, configs[name], session_ms=session_ms)]
    unsafe = [
        said
        for name in names
        for said in weaknesses(name, configs[name], record_bytes=record_bytes, bootstrap=str(bootstrap))
    ]
    return refused, unsafe


async def _plans(
    client: AIOKafkaAdminClient, bootstrap: Address, topics: Sequence[Topic], *, shards: int, dev: bool
) -> tuple[TopicPlan, ...]:
    brokers = len((await client.describe_cluster())["brokers"])
    if brokers < SAFE_COPIES and not dev:
        raise ProvisionError(
            f"Kafka has {brokers} broker{'s' if brokers > 1 else ''}; {SAFE_COPIES} are needed to keep what was "
            "acknowledged when one is lost. For development, say so (FANFARE_DEV)."
        )
    safe = brokers >= SAFE_COPIES
    copies, in_sync = (SAFE_COPIES, SAFE_IN_SYNC) if safe else (1, 1)
    return _planned(bootstrap, topics, shards, copies, in_sync)


def _missing_topics(bootstrap: Address, missing: Sequence[str]) -> str:
    said = f"Topics are missing: {', '.join(missing)}{under(bootstrap)}. `fanfare provision` makes them."
    if kafka_at(bootstrap).security_protocol == "PLAINTEXT":
        return said
    return f"{said} If they are there, {may_not(bootstrap, 'describe them')}."


def _planned(
    bootstrap: Address, topics: Sequence[Topic], shards: int, copies: int, in_sync: int
) -> tuple[TopicPlan, ...]:
    kafka = kafka_at(bootstrap)
    return tuple(
        TopicPlan(kafka.name(topic.name), topic.partitions or shards, copies, in_sync, topic.config(), str(kafka))
        for topic in topics
    )


async def _missing(client: AIOKafkaAdminClient, plans: Sequence[TopicPlan]) -> list[TopicPlan]:
    known = set(await client.list_topics())
    return [plan for plan in plans if plan.name not in known]


async def _create(client: AIOKafkaAdminClient, bootstrap: Address, plans: Sequence[TopicPlan]) -> tuple[str, ...]:
    if not plans:
        return ()
    wanted = [clients.new_topic(plan.name, plan.partitions, plan.copies, plan.full_config()) for plan in plans]
    response = await client.create_topics(wanted, timeout_ms=_CREATE_TIMEOUT_MS)
    errors = [(name, for_code(code), message) for name, code, message in response.topic_errors if code]
    if refused := list(_not_made(bootstrap, errors)):
        raise ProvisionError("\n".join(refused))
    failed = {name for name, _, _ in errors}
    return tuple(plan.name for plan in plans if plan.name not in failed)


def _not_made(bootstrap: Address, errors: Sequence[tuple[str, type[Exception], str | None]]) -> Iterator[str]:
    """Yields a sentence for each topic that cannot be made, one for all that may not be.

    Another process may provision at the same time; its topics are checked like any others.
    """
    forbidden = []
    for name, error, message in errors:
        if issubclass(error, NOT_GRANTED):
            forbidden.append(name)
        elif error is not TopicAlreadyExistsError:
            yield f"{name} cannot be made: {message or error.__name__}"
    if forbidden:
        more = f" and {len(forbidden) - 1} more" if forbidden[1:] else ""
        yield may_not(bootstrap, f"make {forbidden[0]}{more}")


class _Found(NamedTuple):
    """Objections that were found already: those that hold in development too, and the others."""

    refused: list[str]
    unsafe: list[str]


async def _check(
    client: AIOKafkaAdminClient, plans: Sequence[TopicPlan], found: _Found, *, dev: bool, say: Callable[[str], None]
) -> None:
    facts = await topic_facts(client, [plan.name for plan in plans])
    misfits = [reason for plan in plans if (reason := misfit(plan, facts[plan.name])) is not None]
    unsafe = [*found.unsafe, *(reason for plan in plans for reason in objections(plan, facts[plan.name]))]
    refused = [*found.refused, *misfits, *([] if dev else unsafe)]
    if refused:
        raise ProvisionError("\n".join(refused))
    for reason in unsafe:
        say(f"development only, refused in production: {reason}")


async def topic_facts(client: AIOKafkaAdminClient, names: Sequence[str]) -> Mapping[str, TopicFacts]:
    """Describe existing topics: partitions, copies and effective configuration, by name."""
    described = {topic["topic"]: topic["partitions"] for topic in await client.describe_topics(list(names))}
    configs = await effective_configs(client, ConfigResourceType.TOPIC, names)
    return {
        name: TopicFacts(len(parts), min((len(part["replicas"]) for part in parts), default=0), configs[name])
        for name, parts in described.items()
    }


async def effective_configs(
    client: AIOKafkaAdminClient, kind: ConfigResourceType, names: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Effective configuration of topics or brokers, by name. The error of a grant that is missing says what may not be done."""
    configs: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs([ConfigResource(kind, name) for name in names]):
        for code, message, _, name, entries in response.resources:
            if code and issubclass(for_code(code), NOT_GRANTED):
                thing = THE_CLUSTER if kind is ConfigResourceType.BROKER else name
                raise for_code(code)(f"{Operation.DESCRIBE_CONFIGS.word} {thing}")
            if code:
                raise for_code(code)(f"{name}: {message}")
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs
