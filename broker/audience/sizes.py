"""Knows how many people are on each list: a join over the compacted topic ``audience.sizes``, an entry a shard.

Whoever follows a shard's audience may write its entries, for they are a function of the log up to an offset; the one with the
higher offset stands. Sizes are told to businesses and decide nothing: who is on a list is settled when members are frozen.
"""

from typing import Final

import msgspec

from schemas.facts import ListSize

_decoder: Final = msgspec.json.Decoder(ListSize)


class ListSizes:
    """The newest size of each list in each shard."""

    __slots__ = ("_sizes",)

    def __init__(self) -> None:
        self._sizes: dict[tuple[str, str], dict[int, ListSize]] = {}

    def apply(self, size: ListSize) -> None:
        """Fold one entry."""
        shards = self._sizes.setdefault((size.business, size.list), {})
        held = shards.get(size.shard)
        if held is None or size.upto >= held.upto:
            shards[size.shard] = size

    def read(self, value: bytes) -> None:
        """Fold one record of the topic; raises ``msgspec.MsgspecError`` if it is none."""
        self.apply(_decoder.decode(value))

    def people(self, business: str, list_id: str) -> int:
        """Return how many people are on a list, over all shards; 0 for a list that nobody is known to be on."""
        return sum(size.count for size in self._sizes.get((business, list_id), {}).values())

    def knows(self, size: ListSize) -> bool:
        """Return whether an entry says nothing new."""
        held = self._sizes.get((size.business, size.list), {}).get(size.shard)
        return held is not None and (held.count == size.count or held.upto >= size.upto)


NO_SIZES: Final = ListSizes()
"""Of who follows no sizes: nothing is known of any list."""
