"""Looks up what ``streams/operate/checkup.py`` judges: this machine first, then Kafka if it answers."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from schemas.lanes import Lane
from schemas.topics import REGISTRY, business_topics, catalogue
from streams.dev.kafka.errors import ClusterError, PortTakenError
from streams.dev.kafka.java import find_java, java_version
from streams.kafka.acls import missing
from streams.kafka.admin import describe
from streams.kafka.clock_offset import measure
from streams.kafka.faust_app.selftest import VERSIONS, KernelMismatchError
from streams.kafka.faust_app.selftest import verify as verify_kernel
from streams.kafka.grants import (
    DOCTOR_TOPICS,
    OPERATOR,
    Grant,
    Operation,
    Pattern,
    Resource,
    business_user,
    grants,
    users,
    worker_user,
)
from streams.kafka.provision import ProvisionError
from streams.kafka.publisher import PublishError
from streams.kafka.reader import existing
from streams.kafka.scan import ScanError
from streams.kafka.start_check import safe
from streams.operate import checkup
from streams.operate.checkup import Finding, Grade, Listener
from streams.operate.scrape import processes, scrape_all
from streams.registry.read import read_registry
from streams.runtime.data_format import GATEWAY_LOG, STACK, KeptError, look_at
from streams.runtime.kafka_access import Address, Kafka
from streams.runtime.own_secrets import NEEDED_BY
from streams.runtime.ports import demand_free
from streams.runtime.settings import Settings, java_home, variable_of
from streams.simulator.program import log_folder

_ANSWER_S: Final = 5
_BY_OPERATORS: Final = {"audit", "dead-letters redrive", "explain"}
"""Programs of the operator that use a secret."""
_LOOPBACK: Final = ("127.0.0.1", "localhost")


async def examine(settings: Settings, role: str | None = None) -> AsyncIterator[Finding]:
    """Every finding, as soon as it is there. Nothing is changed but for one topic that is made and removed."""
    yield versions()
    yield checkup.secrets(_weak(settings, role))
    yield _disk(settings.data_dir)
    yield _kept(settings.data_dir)
    for finding in await _ports(settings):
        yield finding
    try:
        state = await describe(settings.kafka, deadline_s=_ANSWER_S)
    except ClusterError as error:
        yield java(needed=True)
        yield Finding(Grade.MISSING, "kafka", str(error))
        return
    yield java(needed=False)
    if state.leaderless:
        sentence = f"no leader for partitions of {', '.join(state.leaderless)}: are all brokers up?"
        yield Finding(Grade.MISSING, "kafka", sentence)
        return
    yield checkup.kafka(settings.kafka, state.brokers, state.topics)
    if settings.kafka.security_protocol != "PLAINTEXT":
        yield await _grants(settings.kafka, role)
    async for finding in _needed(settings, role):
        yield finding


async def _needed(settings: Settings, role: str | None) -> AsyncIterator[Finding]:
    """Yields what is found of what the role needs, and says what was not asked because it needs no more."""
    chosen, businesses = _role_of(settings.kafka, role)
    wanted = [one for one in grants(settings.kafka, businesses) if one.user == chosen]
    if chosen == OPERATOR:
        yield await _clocks(settings.kafka)
    else:
        yield checkup.not_asked("clock", "the operator compares it with Kafka's")
    if any(one.operation is Operation.DESCRIBE_CONFIGS for one in wanted):
        async for finding in _all_topics(settings):
            yield finding
    else:
        yield await _own_topics(settings.kafka, chosen, wanted)
        yield checkup.not_asked("topics", "the operator looks at the others, and at how all are configured")
    if any(one.name == settings.kafka.name(REGISTRY) for one in wanted if one.operation is Operation.READ):
        async for finding in _registry(settings, operator=chosen == OPERATOR):
            yield finding
    else:
        yield checkup.not_asked("registry", f"{chosen} does not read it")


def _weak(settings: Settings, role: str | None) -> tuple[str, ...]:
    """Returns the secrets that anybody can compute: outside development, of those that the role's programs use."""
    if settings.dev:
        return settings.dev_secrets
    chosen, _ = _role_of(settings.kafka, role)
    program = "worker" if chosen in map(worker_user, Lane) else chosen
    programs = _BY_OPERATORS if program == OPERATOR else {program}
    return tuple(name for name in settings.dev_secrets if programs & set(NEEDED_BY[name]))


def versions() -> Finding:
    """Returns whether the packages whose internals are overridden are those that were examined."""
    try:
        verify_kernel()
    except KernelMismatchError as error:
        return Finding(Grade.MISSING, "packages", str(error))
    return Finding(Grade.OK, "packages", ", ".join(f"{name} {version}" for name, version in VERSIONS.items()))


def java(*, needed: bool) -> Finding:
    """Which Java would run a Kafka here; without one it is only missing if no other Kafka answers."""
    try:
        found = find_java(java_home=java_home())
    except ClusterError as error:
        return Finding(Grade.MISSING if needed else Grade.WARNING, "java", str(error))
    return Finding(Grade.OK, "java", f"Java {java_version(found)}, {found}")


def _disk(folder: Path) -> Finding:
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return checkup.disk(str(folder), shutil.disk_usage(there).free, writable=writable)


def _kept(folder: Path) -> Finding:
    try:
        look_at(folder, STACK)
        for lane in Lane:
            look_at(log_folder(folder, lane), GATEWAY_LOG)
    except KeptError as error:
        return checkup.kept(str(folder), str(error))
    return checkup.kept(str(folder), None)


async def _ports(settings: Settings) -> list[Finding]:
    wanted = [process for process in processes(settings) if not process.optional and process.port]
    running = frozenset(each.process.name for each in await scrape_all(settings, wanted) if each.ready != "away")
    listeners = list(listeners_of(settings))
    taken = frozenset(one.port for one in listeners if _taken(one.port))
    return list(checkup.ports(listeners, taken=taken, running=running))


def listeners_of(settings: Settings) -> Iterator[Listener]:
    """Every port that our processes listen on with these settings on this machine; 0 is any free one and left out."""
    for lane in Lane:
        yield from _listener(settings.worker_metrics(lane), "worker_metrics_port", f"worker {lane.word}")
        yield from _listener(settings.gateway_metrics(lane), "gateway_metrics_port", f"gateway {lane.word}")
        url = urlsplit(settings.gateway_url(lane))
        if url.hostname in _LOOPBACK:
            yield from _listener(url.port or 0, f"gateway_{lane.word}", f"gateway {lane.word}")
    yield from _listener(settings.webhook_port, "webhook_port", "webhook")
    yield from _listener(settings.webhook_metrics_port, "webhook_metrics_port", "webhook")
    yield from _listener(settings.ledger_metrics_port, "ledger_metrics_port", "ledger")
    yield from _listener(settings.intake_port, "intake_port", "intake")
    yield from _listener(settings.intake_metrics_port, "intake_metrics_port", "intake")


def _listener(port: int, field: str, owner: str) -> Iterator[Listener]:
    if port:
        yield Listener(port, variable_of(field), owner)


def _taken(port: int) -> bool:
    try:
        demand_free([port])
    except PortTakenError:
        return True
    return False


def _role_of(kafka: Kafka, role: str | None) -> tuple[str, list[str]]:
    """Returns the role of this user, the one that was asked for or is its name, else the operator's; and its business, if any."""
    business = (role or kafka.user).removeprefix(business_user(""))
    businesses = [business] if business_user(business) == (role or kafka.user) else []
    return role or (kafka.user if kafka.user in users(businesses) else OPERATOR), businesses


async def _grants(kafka: Kafka, role: str | None) -> Finding:
    """Compares what this user may do with what its role needs."""
    chosen, businesses = _role_of(kafka, role)
    known = users(businesses)
    if chosen not in known:
        return Finding(
            Grade.MISSING, "grants", f"there is no role {chosen}; there are: {', '.join(known)}, business-ID"
        )
    asked = [one for one in grants(kafka, businesses) if one.user == chosen and not one.name.endswith(DOCTOR_TOPICS)]
    lacking = await missing(kafka, asked, businesses=businesses or await _registered(kafka))
    return checkup.granted(kafka.user, chosen, lacking)


async def _registered(kafka: Kafka) -> list[str]:
    """Returns the businesses whose topics can be asked about; none if this user may not read the registry."""
    try:
        return sorted((await read_registry(kafka)).businesses)
    except ScanError:
        return []


async def _clocks(bootstrap: Address) -> Finding:
    try:
        return checkup.clocks(*await measure(bootstrap))
    except (PublishError, ClusterError) as error:
        return Finding(Grade.WARNING, "clock", f"not compared with Kafka's: {error}")


async def _own_topics(kafka: Kafka, role: str, wanted: Sequence[Grant]) -> Finding:
    """Returns whether the topics are there that a role reads or writes by name."""
    names = {one.name for one in wanted if one.resource is Resource.TOPIC and one.pattern is Pattern.LITERAL}
    there = await existing(kafka, {topic for name in names if (topic := kafka.plain(name)) is not None})
    return checkup.own_topics(role, len(names), sorted(names - set(map(kafka.name, there))))


async def _all_topics(settings: Settings) -> AsyncIterator[Finding]:
    weak: list[str] = []
    wanted = catalogue()
    try:
        await safe(settings, say=weak.append)
    except (ProvisionError, ClusterError) as error:
        for sentence in str(error).splitlines():
            yield Finding(Grade.MISSING, "topics", sentence)
    else:
        yield Finding(Grade.OK, "topics", f"{len(wanted)} are there with {settings.shards} shards")
    for sentence in weak:
        yield Finding(Grade.WARNING, "topics", sentence)


async def _registry(settings: Settings, *, operator: bool) -> AsyncIterator[Finding]:
    """Looks at what is registered; for the operator, also whether the topics of all businesses are there."""
    try:
        registry = await read_registry(settings.kafka)
        yield checkup.registered(registry, settings.shards)
        businesses = registry.businesses if operator else ()
        wanted_by = {topic.name for business in businesses for topic in business_topics(business)}
        if missing := wanted_by - await existing(settings.kafka, wanted_by):
            yield checkup.without_topics(list(map(settings.kafka.name, missing)))
    except ScanError as error:
        yield Finding(Grade.MISSING, "registry", str(error))
