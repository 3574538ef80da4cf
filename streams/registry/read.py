"""The registry and the sizes of lists as they stand now, for clients and commands."""

from broker.audience.sizes import ListSizes
from broker.registry.fold import Registry, UnreadableEntryError
from schemas import topics
from streams.kafka.scan import scan
from streams.runtime.kafka_access import Address


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
