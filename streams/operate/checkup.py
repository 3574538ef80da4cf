"""Checks what a machine needs to run Fanfare: each finding is ok, a warning, or something missing with what to do.

The judgements are functions of values; what they judge is looked up by ``streams/operate/doctor.py``.
"""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from broker.registry.fold import Registry
from schemas.lanes import CLOCK_SLACK_MS
from streams.kafka.grants import Grant
from streams.kafka.topic_rules import SAFE_COPIES
from streams.runtime.kafka_access import Address
from streams.runtime.settings import variable_of

GIB: Final = 1 << 30
LEAST_BYTES: Final = GIB
"""Below it a development Kafka stops within minutes."""
AMPLE_BYTES: Final = 10 * GIB
CLOCK_WARNING_MS: Final = 1_000
"""Ages and latencies are wrong by as much; requests are refused only beyond the slack for producers' clocks."""


class Grade(StrEnum):
    """Grades a finding."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


class Finding(msgspec.Struct, frozen=True):
    """Holds a line: what was looked at, and a sentence; of a warning or something missing it says what to do."""

    grade: Grade
    what: str
    sentence: str


class Listener(msgspec.Struct, frozen=True):
    """A port that a setting names. ``owner`` is the process of ours that listens there when it runs."""

    port: int
    setting: str
    owner: str


def disk(folder: str, free_bytes: int, *, writable: bool) -> Finding:
    """Returns whether the data folder has room."""
    room = f"{free_bytes / GIB:,.1f} GiB free in {folder}"
    if not writable:
        return Finding(Grade.MISSING, "disk", f"{folder} may not be written; set {variable_of('data_dir')} to another")
    if free_bytes < LEAST_BYTES:
        return Finding(Grade.MISSING, "disk", f"{room}: make room, or set {variable_of('data_dir')} to another folder")
    if free_bytes < AMPLE_BYTES:
        return Finding(Grade.WARNING, "disk", f"{room}: a day of traffic needs more than {AMPLE_BYTES // GIB} GiB")
    return Finding(Grade.OK, "disk", room)


def kept(folder: str, refusal: str | None) -> Finding:
    """Returns whether this release can open what the data folder holds."""
    if refusal is not None:
        return Finding(Grade.MISSING, "data", refusal)
    return Finding(Grade.OK, "data", f"{folder} can be opened by this release")


def secrets(weak: Sequence[str]) -> Finding:
    """Returns whether there are secrets that anybody can compute; ``weak``: fields of the settings."""
    if not weak:
        return Finding(Grade.OK, "secrets", "none that is needed has its development value")
    names = ", ".join(map(variable_of, weak))
    return Finding(
        Grade.WARNING, "secrets", f"anybody can compute these; set them before real people are written to: {names}"
    )


def ports(listeners: Sequence[Listener], *, taken: frozenset[int], running: frozenset[str]) -> Iterator[Finding]:
    """Returns whether each port is free, or held by the process of ours that belongs there."""
    foreign = [one for one in listeners if one.port in taken and one.owner not in running]
    for one in foreign:
        yield Finding(
            Grade.MISSING,
            "ports",
            f"{one.port} of the {one.owner} is taken by another program: end it, or set {one.setting}",
        )
    owners = {one.port: one for one in listeners}
    for one in listeners:
        other = owners[one.port]
        if other.owner != one.owner:
            sentence = f"{one.port} is both the {one.owner}'s and the {other.owner}'s: set {other.setting}"
            yield Finding(Grade.MISSING, "ports", sentence)
    if not foreign:
        ours = len(taken & owners.keys())
        yield Finding(Grade.OK, "ports", f"{len(owners) - ours} free, {ours} in use by our own processes")


def kafka(bootstrap: Address, brokers: int, topics: int) -> Finding:
    """Returns whether a Kafka that answers, and whose partitions are all led, can lose a broker without losing records."""
    sentence = f"{bootstrap}: {topics} topics on {brokers} broker{'' if brokers == 1 else 's'}"
    if brokers < SAFE_COPIES:
        return Finding(Grade.WARNING, "kafka", f"{sentence}: for development; {SAFE_COPIES} survive the loss of one")
    return Finding(Grade.OK, "kafka", sentence)


def granted(user: str, role: str, lacking: Sequence[Grant]) -> Finding:
    """Returns whether a user may do to topics, groups and the cluster all that its role needs."""
    if not lacking:
        return Finding(Grade.OK, "grants", f"{user or 'this client'} may do all that {role} needs")
    names: dict[str, list[str]] = {}
    for one in lacking:
        names.setdefault(one.operation.word, []).append(one.thing)
    told = "; ".join(f"{operation} {', '.join(things)}" for operation, things in names.items())
    advice = "`fanfare provision --print-acls` prints the commands that grant it"
    return Finding(Grade.MISSING, "grants", f"{user or 'this client'} may not, as {role} must: {told}. {advice}")


def clocks(ahead_ms: int, within_ms: int) -> Finding:
    """Returns whether this machine's clock agrees with Kafka's: ``ahead_ms``, known to ``within_ms``."""
    apart_ms = max(abs(ahead_ms) - within_ms, 0)
    way = "ahead of" if ahead_ms > 0 else "behind"
    sentence = f"this machine is {abs(ahead_ms) / 1000:.3f} s {way} Kafka, measured to {within_ms / 1000:.3f} s"
    if apart_ms >= CLOCK_SLACK_MS:
        return Finding(Grade.MISSING, "clock", f"{sentence}: events will be refused; set both by NTP")
    if apart_ms >= CLOCK_WARNING_MS:
        return Finding(Grade.WARNING, "clock", f"{sentence}: ages will be wrong; set both by NTP")
    return Finding(Grade.OK, "clock", sentence)


def not_asked(what: str, why: str) -> Finding:
    """Returns that something was left out, because the role of this user neither needs nor may see it."""
    return Finding(Grade.OK, what, f"not asked: {why}")


def own_topics(role: str, wanted: int, missing: Sequence[str]) -> Finding:
    """Returns whether the topics are there that a role reads or writes; names are Kafka's."""
    if not missing:
        return Finding(Grade.OK, "topics", f"{wanted} that {role} reads or writes are there")
    return Finding(
        Grade.MISSING, "topics", f"missing, or not granted: {', '.join(missing)}; `fanfare provision` makes topics"
    )


def without_topics(topics: Collection[str]) -> Finding:
    """Returns the warning that these topics of registered businesses, by Kafka's names, are missing."""
    named = ", ".join(sorted(topics))
    return Finding(
        Grade.WARNING, "topics", f"missing: {named}; `fanfare registry apply FILE...` with the business makes them"
    )


def registered(registry: Registry, shards: int) -> Finding:
    """Returns whether the registry knows the deployment, with as many shards as the settings say."""
    apply = "`fanfare registry apply FILE...` registers"
    if registry.deployment is None:
        return Finding(Grade.MISSING, "registry", f"no deployment is registered; {apply} one")
    if registry.deployment.shards != shards:
        return Finding(
            Grade.MISSING,
            "registry",
            f"the deployment has {registry.deployment.shards} shards, {variable_of('shards')} is {shards}: set it to the former",
        )
    if not registry.businesses:
        return Finding(Grade.WARNING, "registry", f"no business is registered; {apply} some")
    return Finding(Grade.OK, "registry", f"{shards} shards, {len(registry.businesses)} businesses")
