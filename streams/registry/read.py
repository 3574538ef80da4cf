"""The registry and the sizes of lists as they stand now, for clients and commands; and following it, for programs that run on."""

from collections.abc import Sequence

from broker.audience.sizes import ListSizes
from broker.registry.fold import Registry, UnreadableEntryError
from schemas import topics
from streams.kafka.reader import LogRecord
from streams.kafka.scan import scan
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


def registry_tail(bootstrap: Address, registry: Registry, *, component: str) -> Tail:
    """Returns a tail that keeps ``registry`` as the topic has it. An entry that this release cannot read changes nothing."""
    return Tail(bootstrap, topics.REGISTRY, _applied_to(registry, component), wait_ms=REGISTRY_WAIT_MS)


def _applied_to(registry: Registry, component: str) -> ApplyBatch:
    def apply(_partition: int, records: Sequence[LogRecord]) -> None:
        for record in records:
            try:
                registry.apply((record.key or b"").decode(errors="replace"), record.value, offset=record.offset)
            except UnreadableEntryError:
                log(Event.RECORD_UNREADABLE, component=component, topic=topics.REGISTRY, offset=record.offset)

    return apply
