"""Load that its numbers cannot carry at once: lists whose limit binds, all through a fault run.

One number of 1,000 a second has a list of 20,000 people to tell, again and again: it is busy without a break. Another, of 400 a
second, is shared by two campaigns and the updates of a third list. The next request follows when nine of ten people of the one
before were told, so that nothing piles up. Nobody is to be lost, and neither number to exceed its rate, whatever is killed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.registry import Sender
from schemas.request import Notification, Params, To
from streams.client.client import Client
from streams.client.events import Head, notification
from streams.client.results import NotPublishedError, UnknownPublishError
from streams.dev.stack.stack import Stack
from streams.runtime import clock
from tests.load.crowd import write_list
from tests.load.senders import sender
from tests.load.through import Through

BUSINESS: Final = "shop-parcelo"
BULK: Final = sender(BUSINESS, 1_000, "bulk", campaign=100)
SHARED: Final = sender(BUSINESS, 400, "shared", update=40, campaign=60)
SENDERS: Final[tuple[Sender, ...]] = (BULK, SHARED)
LIFETIME_MS: Final = 300_000
_LOOK_S: Final = 1.0
_TOLD: Final = 0.9
_ROUNDS: Final = 4
"""Lists of each kind: a person is told every second minute, within the pair limit of campaigns."""
_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Kind:
    """Lists of one size that are told something in turn."""

    name: str
    sender: Sender
    lane: Lane
    people: int


_KINDS: Final = (
    _Kind("bulk", BULK, Lane.CAMPAIGN, 20_000),
    _Kind("left", SHARED, Lane.CAMPAIGN, 2_000),
    _Kind("right", SHARED, Lane.CAMPAIGN, 2_000),
    _Kind("board", SHARED, Lane.UPDATE, 2_400),
)


@dataclass
class Binding:
    """Publishes to a stack until it is told to stop. ``asked`` counts the people of acknowledged requests."""

    stack: Stack
    client: Client
    run: str
    asked: int = 0
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self) -> None:
        """Write the lists; returns when Kafka has them."""
        first = 0
        for kind in _KINDS:
            for turn in range(_ROUNDS):
                name = f"{kind.name}-{turn}"
                await write_list(self.stack.settings, BUSINESS, name, kind.people, first=first)
                first += kind.people

    async def publish(self) -> None:
        """Until :meth:`stop`: one request of each kind after the other."""
        await asyncio.gather(*(self._in_turn(kind) for kind in _KINDS))

    async def _in_turn(self, kind: _Kind) -> None:
        through, turn = Through(self.stack.settings.data_dir, kind.lane), 0
        while not self._ended.is_set():
            request = await self._ask(kind, turn)
            ends_ms = clock.monotonic_ms() + LIFETIME_MS
            while through.taken[request] < _TOLD * kind.people and clock.monotonic_ms() < ends_ms:
                if self._ended.is_set():
                    return
                await asyncio.sleep(_LOOK_S)
                through.look()
            turn += 1

    def stop(self) -> None:
        """Publish no more."""
        self._ended.set()

    async def _ask(self, kind: _Kind, turn: int) -> str:
        to = To(list=f"{kind.name}-{turn % _ROUNDS}")
        if kind.lane is Lane.CAMPAIGN:
            content = Notification("offer", to, sender=kind.sender.id, params={"offer": "Miles", "until": "Sunday"})
        else:
            params: Params = {"parcel": f"PX-{turn}", "event_time": "noon"}
            content = Notification("parcel_delivered", to, sender=kind.sender.id, params=params)
        head = Head(source=f"//{BUSINESS}/{self.run}", id=f"{kind.name}-{turn}", lifetime_ms=LIFETIME_MS)
        event = notification(head, content)
        while True:
            try:
                published = await self.client.publish(kind.lane, event)
            except (NotPublishedError, UnknownPublishError):
                await asyncio.sleep(_PAUSE_S)
            else:
                self.asked += kind.people
                return text_of(published.name)


@contextlib.asynccontextmanager
async def loading(stack: Stack, run: str) -> AsyncIterator[Binding]:
    """The load whose limit binds, of a stack that has :data:`SENDERS` registered."""
    async with Client(stack.bootstrap) as client:
        load = Binding(stack, client, f"{run}-{clock.now_ms()}")
        await load.prepare()
        publishing = asyncio.create_task(load.publish())
        try:
            yield load
        except BaseException:
            publishing.cancel()
            raise
        load.stop()
        await publishing
