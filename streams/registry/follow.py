"""Follows the registry, for programs that run on.

Apart from reading it once (``read.py``), because clients do that where no server is installed.
"""

from collections.abc import Callable, Sequence

from broker.registry.fold import Registry
from schemas import topics
from streams.kafka.reader import LogRecord
from streams.kafka.set_aside import SetAside
from streams.kafka.tail import REGISTRY_WAIT_MS, ApplyBatch, Tail
from streams.runtime.events import Event
from streams.runtime.kafka_access import Address
from streams.runtime.log import log


def _nothing() -> None:
    """Does nothing: nobody waits for a change."""


def registry_tail(
    bootstrap: Address, registry: Registry, aside: SetAside, changed: Callable[[], None] = _nothing
) -> Tail:
    """Returns a tail that keeps ``registry`` as the topic has it, and calls ``changed`` after each change."""
    return Tail(bootstrap, topics.REGISTRY, applied_to(registry, aside, changed), wait_ms=REGISTRY_WAIT_MS)


def applied_to(registry: Registry, aside: SetAside, changed: Callable[[], None] = _nothing) -> ApplyBatch:
    """Returns what folds records into ``registry``. An entry that this release cannot read changes nothing."""

    def take(record: LogRecord) -> None:
        registry.apply((record.key or b"").decode(errors="replace"), record.value, offset=record.offset)

    def apply(partition: int, records: Sequence[LogRecord]) -> None:
        aside.each(topics.REGISTRY, partition, records, take)
        changed()
        log(Event.REGISTRY_APPLIED, component=aside.stage, entries=len(records), upto=records[-1].offset + 1)

    return apply
