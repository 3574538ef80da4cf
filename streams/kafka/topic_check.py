"""What makes an existing topic unsafe for Fanfare: a comparison of values, one sentence for each objection.

The rules (PROTOCOL.md section 1.3, row 22): nothing acknowledged may be lost (copies, in-sync copies, unclean
elections), nothing may be trimmed before its window has gone (retention, cleanup), the shard of a record must be the
partition it lies in (partition count), and the broker's clock stamps every record (timestamp type).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

SAFE_COPIES: Final = 3
SAFE_IN_SYNC: Final = 2

_UNLIMITED: Final = -1


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it must be: `copies` and `in_sync` are the least that will do, as are retention and record size."""

    name: str
    partitions: int
    copies: int
    in_sync: int
    config: Mapping[str, str]

    def full_config(self) -> dict[str, str]:
        """What a new topic is created with."""
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
    return f"{plan.name} has {found.partitions} partitions, not {plan.partitions}: shards would not match."


def objections(plan: TopicPlan, found: TopicFacts) -> Iterator[str]:
    """Why the topic may lose what was acknowledged; each sentence names the setting, its value and the one needed."""
    yield from _copies(plan, found)
    yield from _retention(plan, found)
    for setting, why in (
        ("cleanup.policy", "inputs must be dense, and facts must not be trimmed"),
        ("message.timestamp.type", "retention and folds count in the broker's time"),
    ):
        if found.config[setting] != plan.config[setting]:
            yield _sentence(plan, found, setting=setting, wanted=f"must be {plan.config[setting]}", why=why)
    if int(found.config["max.message.bytes"]) < int(plan.config["max.message.bytes"]):
        wanted = f"must be at least {plan.config['max.message.bytes']}"
        yield _sentence(
            plan, found, setting="max.message.bytes", wanted=wanted, why="larger records would be refused on the way"
        )


def _copies(plan: TopicPlan, found: TopicFacts) -> Iterator[str]:
    if found.copies < plan.copies:
        yield f"{plan.name} has {_count(found.copies)}, needs {plan.copies}: the loss of a broker could lose records."
    in_sync = int(found.config["min.insync.replicas"])
    if in_sync < plan.in_sync:
        wanted = f"must be at least {plan.in_sync}"
        yield _sentence(
            plan,
            found,
            setting="min.insync.replicas",
            wanted=wanted,
            why="records would be acknowledged on one broker alone",
        )
    if in_sync > found.copies:
        yield _sentence(
            plan,
            found,
            setting="min.insync.replicas",
            wanted=f"must be at most {found.copies}",
            why="nothing could be written",
        )
    if found.copies > 1 and found.config["unclean.leader.election.enable"] != "false":
        wanted = "must be false"
        yield _sentence(
            plan,
            found,
            setting="unclean.leader.election.enable",
            wanted=wanted,
            why="a late copy could replace what was acknowledged",
        )


def _retention(plan: TopicPlan, found: TopicFacts) -> Iterator[str]:
    if "delete" not in found.config["cleanup.policy"]:
        return
    if _span(found.config["retention.ms"]) < _span(plan.config["retention.ms"]):
        least = plan.config["retention.ms"]
        wanted = "must be -1 (for ever)" if int(least) == _UNLIMITED else f"must be at least {least}"
        yield _sentence(
            plan, found, setting="retention.ms", wanted=wanted, why="records would be gone before their window is"
        )
    if int(found.config["retention.bytes"]) != _UNLIMITED:
        yield _sentence(
            plan,
            found,
            setting="retention.bytes",
            wanted="must be -1",
            why="a busy day would trim records before their window",
        )


def _sentence(plan: TopicPlan, found: TopicFacts, *, setting: str, wanted: str, why: str) -> str:
    return f"{plan.name} has {setting} = {found.config[setting]}, {wanted}: {why}."


def _span(milliseconds: str) -> float:
    return float("inf") if int(milliseconds) == _UNLIMITED else int(milliseconds)


def _count(copies: int) -> str:
    return "1 copy" if copies == 1 else f"{copies} copies"
