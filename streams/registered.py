"""The registry as it stands now, for clients and commands. Workers follow it instead (``streams/kafka/tail.py``)."""

from broker.registry import Registry, UnreadableEntryError
from schemas import topics
from streams.kafka.scan import scan


async def read_registry(bootstrap: str) -> Registry:
    """Fold the ``registry`` topic up to its end. What this release cannot read is left out; raises ``ScanError``."""
    registry = Registry()
    async for bite in scan(bootstrap, topics.REGISTRY):
        for record in bite:
            try:
                registry.apply((record.key or b"").decode(errors="replace"), record.value, offset=record.offset)
            except UnreadableEntryError:
                continue
    return registry
