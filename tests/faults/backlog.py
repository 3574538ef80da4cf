"""More open requests in one shard than deliver holds, because the gateway takes nothing of that shard: its input stands still."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from broker.deliver.policy import DeliverPolicy
from schemas.names import Lane, recipient_id, shard_of
from schemas.request import Notification, Recipient, To
from streams import clock
from streams.client.client import Client
from streams.client.events import Head, notification
from streams.local.stack import Stack
from streams.settings import raw
from streams.simulator.faults import Fault, FaultKind
from streams.sources.people import person
from tests.faults.gateways import gateway_fault

_OPEN: Final = DeliverPolicy.of(Lane.UPDATE, 0, b"").max_open
_MORE: Final = 500
"""Beyond what a shard holds open."""
_IN_FLIGHT: Final = 500
_LIFETIME_MS: Final = 600_000
_RETRY_AFTER_MS: Final = 2_000
_PERSON: Final = person(9, 0)


@contextlib.asynccontextmanager
async def backlog(stack: Stack) -> AsyncIterator[None]:
    """The gateway throttles one shard of updates, and a producer goes on writing to somebody in it."""
    shard = shard_of(recipient_id(raw(stack.settings.pepper), _PERSON.address), stack.settings.shards)
    throttled = Fault(FaultKind.THROTTLE, lane=Lane.UPDATE.word, shard=shard, ms=_RETRY_AFTER_MS)
    async with gateway_fault(Lane.UPDATE, throttled)(stack):
        await _publish(stack.bootstrap, _OPEN + _MORE)
        yield


async def _publish(bootstrap: str, requests: int) -> None:
    """So many updates to one person, in bites of :data:`_IN_FLIGHT`."""
    to = To(recipients=(Recipient(_PERSON.address, locale=_PERSON.locale),))
    source = f"//shop-parcelo/backlog-{clock.now_ms()}"
    content = Notification(template="parcel_delivered", params={"parcel": "PX-1001", "event_time": "6:38 pm"}, to=to)
    async with Client(bootstrap) as client:
        for first in range(0, requests, _IN_FLIGHT):
            heads = [
                Head(source=source, id=f"delivered-{number}", lifetime_ms=_LIFETIME_MS)
                for number in range(first, min(requests, first + _IN_FLIGHT))
            ]
            await asyncio.gather(*(client.publish(Lane.UPDATE, notification(head, content)) for head in heads))
