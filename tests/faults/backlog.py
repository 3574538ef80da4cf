"""More open requests in one shard than deliver holds, because the gateway takes nothing of that shard: its input stands still."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from broker.deliver.policy import DeliverPolicy
from schemas.ids import recipient_id, shard_of
from schemas.lanes import Lane
from schemas.request import Notification, Recipient, To
from streams.client.client import Client
from streams.client.events import Head, notification
from streams.dev.sources.seeded_people import Person, person
from streams.dev.stack.stack import Stack
from streams.runtime import clock
from streams.runtime.settings import Settings, raw
from streams.simulator.faults import Fault, FaultKind
from tests.faults.gateways import gateway_fault
from tests.load.senders import sender

_OPEN: Final = DeliverPolicy.of(Lane.UPDATE, 0, b"").max_open
_MORE: Final = 500
"""Beyond what a shard holds open."""
_IN_FLIGHT: Final = 500
_LIFETIME_MS: Final = 600_000
_RETRY_AFTER_MS: Final = 2_000
SENDER: Final = sender("shop-parcelo", 6_000, update=100)
"""The number that has to be registered: when the gateway is well again, its limit does not keep the shard full."""
_SEED: Final = 9
_PEOPLE: Final = 700
"""So many share the requests, each far within the pair limit."""


@contextlib.asynccontextmanager
async def backlog(stack: Stack) -> AsyncIterator[None]:
    """The gateway throttles one shard of updates, and a producer goes on writing to people in it."""
    shard = 0
    throttled = Fault(FaultKind.THROTTLE, lane=Lane.UPDATE.word, shard=shard, ms=_RETRY_AFTER_MS)
    async with gateway_fault(Lane.UPDATE, throttled)(stack):
        people = list(itertools.islice(_people_of(stack.settings, shard), _PEOPLE))
        await _publish(stack.bootstrap, people, _OPEN + _MORE)
        yield


def _people_of(settings: Settings, shard: int) -> Iterator[Person]:
    """People who belong to ``shard``."""
    for number in itertools.count():
        one = person(_SEED, number)
        if shard_of(recipient_id(raw(settings.pepper), one.address), settings.shards) == shard:
            yield one


async def _publish(bootstrap: str, people: Sequence[Person], requests: int) -> None:
    """So many updates to one person each, in bites of :data:`_IN_FLIGHT`."""
    source = f"//shop-parcelo/backlog-{clock.now_ms()}"
    contents = [
        Notification(
            "parcel_delivered",
            To(recipients=(Recipient(one.address, locale=one.locale),)),
            params={"parcel": "PX-1001", "event_time": "6:38 pm"},
        )
        for one in people
    ]
    async with Client(bootstrap) as client:
        for first in range(0, requests, _IN_FLIGHT):
            events = [
                notification(
                    Head(source=source, id=f"delivered-{number}", lifetime_ms=_LIFETIME_MS),
                    contents[number % len(contents)],
                )
                for number in range(first, min(requests, first + _IN_FLIGHT))
            ]
            await asyncio.gather(*(client.publish(Lane.UPDATE, event) for event in events))
