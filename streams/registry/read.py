"""The registry and the sizes of lists as they stand now, for clients and commands; and following it, for programs that run on."""

from collections.abc import Callable, Sequence

from broker.audience.sizes import ListSizes
from broker.registry.fold import Registry, UnreadableEntryError
from schemas import topics
from streams.kafka.reader import LogRecord
from streams.kafka.scan import scan
from streams.kafka.set_aside import SetAside
from streams.kafka.tail import REGISTRY_WAIT_MS, ApplyBatch, Tail
from streams.runtime.kafka_access import Address
from streams.runtime.log import Event, log


async def read_registry(bootstrap: Address) -> Registry:
    """Fold the ``registry`` topic up to its end. What this release cannot read is left out; raises ``ScanError``."""
    registry = Registry()
    async for bite in scan(bootstrap, topics.REGISTRY):
        for record in bite:
            try:
                registry.apply((record.key or b"").decode(errors="replace"), record.value, offset=record.offset)
            except UnreadableEntryError:
                continue
    return registry


async def read_sizes(bootstrap: Address) -> ListSizes:
    """Fold the ``audience.sizes`` topic up to its end; raises ``ScanError``."""
    sizes = ListSizes()
    async for bite in scan(bootstrap, topics.SIZES):
        for record in bite:
            if record.value is not None:
                sizes.read(record.value)
    return sizes


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
