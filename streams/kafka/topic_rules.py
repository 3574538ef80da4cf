"""Compares an existing topic, or a broker, with what Fanfare needs: a comparison of values, a sentence for each objection.

Each sentence ends with the command that mends it; those are Kafka's own tools, as nothing here changes what a person set.

The rules (PROTOCOL.md section 1.3, row 22): nothing acknowledged may be lost (copies, in-sync copies, unclean
elections), nothing may be trimmed before its window has gone (retention, cleanup), the shard of a record must be the
partition it lies in (partition count), and the broker's clock stamps every record (timestamp type). Of a broker: workers must
be able to join (session time-outs), and where they stood must be known after an outage (offsets).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

SAFE_COPIES: Final = 3
SAFE_IN_SYNC: Final = 2
OFFSETS_KEPT_MIN: Final = 7 * 24 * 60
"""Inputs live seven days, and an outage may last as long."""

_UNLIMITED: Final = -1


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it must be: `copies` and `in_sync` are the least that will do, as are retention and record size."""

    name: str
    partitions: int
    copies: int
    in_sync: int
    config: Mapping[str, str]
    bootstrap: str = "HOST:PORT"
    """Where the commands that mend it go."""

    def full_config(self) -> dict[str, str]:
        """Returns the configuration that a new topic is created with."""
        return {
            **self.config,
            "min.insync.replicas": str(self.in_sync),
            "unclean.leader.election.enable": "false",
            "retention.bytes": str(_UNLIMITED),
        }


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as Kafka describes it: `copies` of its worst-off partition, and its effective configuration."""

    partitions: int
    copies: int
    config: Mapping[str, str]


def misfit(plan: TopicPlan, found: TopicFacts) -> str | None:
    """Why the topic cannot be used at all, in development either."""
    if found.partitions == plan.partitions:
        return None
    return (
        f"{plan.name} has {found.partitions} partitions, not {plan.partitions}: shards would not match. The number is fixed when "
        f"a deployment is born: set FANFARE_SHARDS to the one that it was born with, or copy it into new topics."
    )


def objections(plan: TopicPlan, found: TopicFacts) -> Iterator[str]:
    """Why the topic may lose what was acknowledged; each sentence names the setting, its value and the one needed."""
    yield from _copies(plan, found)
    yield from _retention(plan, found)
    for setting, why in (
        ("cleanup.policy", "inputs must be dense, and facts must not be trimmed"),
        ("message.timestamp.type", "retention and folds count in the broker's time"),
    ):
        if found.config[setting] != plan.config[setting]:
            yield _sentence(plan, found, _Wanted(setting, "be", plan.config[setting]), why)
    if int(found.config["max.message.bytes"]) < int(plan.config["max.message.bytes"]):
        wanted = _Wanted("max.message.bytes", "be at least", plan.config["max.message.bytes"])
        yield _sentence(plan, found, wanted, "larger records would be refused on the way")


def _copies(plan: TopicPlan, found: TopicFacts) -> Iterator[str]:
    if found.copies < plan.copies:
        yield (
            f"{plan.name} has {_count(found.copies)}, needs {plan.copies}: the loss of a broker could lose records. Mend it: "
            f"`kafka-reassign-partitions.sh --bootstrap-server {plan.bootstrap} --execute --reassignment-json-file FILE`, with "
            f"{plan.copies} replicas for each partition in FILE."
        )
    in_sync = int(found.config["min.insync.replicas"])
    if in_sync < plan.in_sync:
        wanted = _Wanted("min.insync.replicas", "be at least", str(plan.in_sync))
        yield _sentence(plan, found, wanted, "records would be acknowledged on one broker alone")
    if in_sync > found.copies:
        wanted = _Wanted("min.insync.replicas", "be at most", str(found.copies))
        yield _sentence(plan, found, wanted, "nothing could be written")
    if found.copies > 1 and found.config["unclean.leader.election.enable"] != "false":
        wanted = _Wanted("unclean.leader.election.enable", "be", "false")
        yield _sentence(plan, found, wanted, "a late copy could replace what was acknowledged")


def _retention(plan: TopicPlan, found: TopicFacts) -> Iterator[str]:
    if "delete" not in found.config["cleanup.policy"]:
        return
    least = plan.config["retention.ms"]
    if _span(found.config["retention.ms"]) < _span(least):
        must = "be" if int(least) == _UNLIMITED else "be at least"
        yield _sentence(
            plan, found, _Wanted("retention.ms", must, least), "records would be gone before their window is"
        )
    if int(found.config["retention.bytes"]) != _UNLIMITED:
        wanted = _Wanted("retention.bytes", "be", str(_UNLIMITED))
        yield _sentence(plan, found, wanted, "a busy day would trim records before their window")


class _Wanted(NamedTuple):
    setting: str
    must: str
    value: str


def _sentence(plan: TopicPlan, found: TopicFacts, wanted: _Wanted, why: str) -> str:
    setting, value = wanted.setting, wanted.value
    meant = " (for ever)" if setting == "retention.ms" and int(value) == _UNLIMITED else ""
    command = f"kafka-configs.sh --bootstrap-server {plan.bootstrap} --alter --topic {plan.name} --add-config {setting}={value}"
    return (
        f"{plan.name} has {setting} = {found.config[setting]}, must {wanted.must} {value}{meant}: {why}. "
        f"Mend it: `{command}`."
    )


def _span(milliseconds: str) -> float:
    return float("inf") if int(milliseconds) == _UNLIMITED else int(milliseconds)


def _count(copies: int) -> str:
    return "1 copy" if copies == 1 else f"{copies} copies"


# -- brokers


def barriers(broker: str, config: Mapping[str, str], *, session_ms: int) -> Iterator[str]:
    """Why workers with this session time-out cannot work with a broker at all; ``config`` is its effective one."""
    least, most = int(config["group.min.session.timeout.ms"]), int(config["group.max.session.timeout.ms"])
    if not least <= session_ms <= most:
        yield (
            f"broker {broker} takes session time-outs from {least} to {most} ms, not {session_ms}: no worker could join. Mend "
            f"it: set FANFARE_SESSION_TIMEOUT_MS between them, or group.min.session.timeout.ms={session_ms} in its "
            "server.properties and restart it."
        )


def weaknesses(broker: str, config: Mapping[str, str], *, record_bytes: int, bootstrap: str) -> Iterator[str]:
    """Why a broker may refuse or forget what Fanfare needs, although every topic is as it should be."""
    most = int(config["message.max.bytes"])
    if most < record_bytes:
        yield (
            f"broker {broker} has message.max.bytes = {most}, must be at least {record_bytes}: larger records would be refused "
            f"on the way. Mend it: `kafka-configs.sh --bootstrap-server {bootstrap} --alter --entity-type brokers "
            f"--entity-default --add-config message.max.bytes={record_bytes}`."
        )
    kept_min = int(config["offsets.retention.minutes"])
    if kept_min < OFFSETS_KEPT_MIN:
        yield (
            f"broker {broker} has offsets.retention.minutes = {kept_min}, must be at least {OFFSETS_KEPT_MIN}: after an outage "
            f"nothing would say where to go on. Mend it: set offsets.retention.minutes={OFFSETS_KEPT_MIN} in its "
            "server.properties and restart it."
        )
