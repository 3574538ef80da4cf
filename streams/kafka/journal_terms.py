"""Holds what opening a journal depends on: an assignment of the group that still stands, and a greeting of the gateway."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from streams.kafka.faust_app.commits import Place

_AGAIN_S: Final = 0.1
"""Seconds until a group that did not say whether it knows a member is asked again."""


class NotAssignedError(Exception):
    """The shard was taken away while its journal was being opened."""


class JournalTerms(msgspec.Struct, frozen=True):
    """Holds what an opening depends on."""

    generation: int
    still_assigned: Callable[[], bool]
    known: Callable[[], Awaitable[bool]]
    """Asks the group, anew, whether it still knows this member in this generation; False also if it does not answer."""
    hello: Callable[[int], Awaitable[int]] | None = None
    """Greets the gateway with the epoch that will be claimed next; it refuses lower ones from then on.

    Returns the highest epoch that the gateway knows: a higher one if it has refused this one, else the same.
    """

    async def demand_membership(self, place: Place) -> None:
        """Waits, after a claim, until the group has said that this member is still one; else :class:`NotAssignedError`."""
        # Who was dropped unawares may claim above its successor, holding inputs that this one has finished and committed, and
        # would decide on them again: behind the committed offset, where nobody carries a decision out. Who is known now has
        # read its inputs from the offset that counts, for nobody of an older generation can commit any more.
        while not await self.known() and self.still_assigned():
            await asyncio.sleep(_AGAIN_S)
        if not self.still_assigned():
            raise NotAssignedError(place)
