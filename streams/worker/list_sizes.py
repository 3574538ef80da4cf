"""Tells on ``audience.sizes`` how many people of each shard are on a list, so that plan can say when it will be through."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from schemas import topics
from schemas.facts import ListSize
from streams.kafka.producer import Outgoing
from streams.worker.resources import LaneParts
from streams.worker.tails import LaneFacts

_EVERY_S: Final = 1.0
"""Seconds that a size may be old that a business is told."""
_AT_ONCE: Final = 1_000
"""Entries written together: about 100 bytes each."""

_encoder = msgspec.json.Encoder()


class SizeTeller:
    """Writes the sizes that changed. Two lanes follow the same audience: what one has told the other leaves out."""

    def __init__(self, parts: LaneParts, facts: LaneFacts) -> None:
        self._parts = parts
        self._facts = facts

    async def tell(self, serving: Callable[[], Iterable[int]]) -> None:
        """Write what changed in the shards that are served, once a second, for ever."""
        while True:
            await asyncio.sleep(_EVERY_S)
            records = [_record(size) for shard in sorted(serving()) for size in self._changed(shard)]
            for at in range(0, len(records), _AT_ONCE):
                await self._parts.outputs.confirm(records[at : at + _AT_ONCE])

    def _changed(self, shard: int) -> list[ListSize]:
        audience = self._facts.shard(shard).audience
        changed, audience.changed = audience.changed, set()
        sizes = (ListSize(*key, shard, audience.size(*key), audience.upto) for key in sorted(changed))
        return [size for size in sizes if not self._parts.sizes.knows(size)]


def _record(size: ListSize) -> Outgoing:
    key = f"{size.business}/{size.list}/{size.shard}".encode()
    return Outgoing(topics.SIZES, _encoder.encode(size), key=key, partition=0)
