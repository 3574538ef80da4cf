"""The load of a fault run: opt-ins first, then three lanes side by side, at a steady rate, until it is told to stop.

Everything is spread evenly over the shards, so that each of them hands something off several times a second and a silence
shows. A list is told something a few times, within the pair limits, and gives way to a new one: so new people keep coming, who
answer STOP by seed, all through the run. Of each list some people leave while it is in use, and one of them comes back. A
publish that fails is repeated with the same event, as a producer has to. The numbers of :data:`SENDERS` carry it with room to
spare; a limit that binds is :mod:`tests.faults.binding`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from schemas.facts import AudienceChange
from schemas.ids import recipient_id, shard_of
from schemas.lanes import Lane
from schemas.request import Evidence, Member, Notification, Optin, Params, Recipient, To
from schemas.topics import AUDIENCE
from schemas.wire.header import body_of
from streams.client.client import Client
from streams.client.events import Event, Head, notification, optin
from streams.client.results import NotPublishedError, UnknownPublishError
from streams.dev.sources.seeded_people import Person, person
from streams.dev.stack.stack import Stack
from streams.kafka.scan import scan
from streams.runtime import clock
from streams.runtime.settings import raw
from tests.load.senders import sender

LISTS: Final = 8
"""In use at one time."""
OF_A_SHARD: Final = 12
"""Members of a list in each shard."""
LIFETIME_MS: Final = 60_000
BUSINESS_OF: Final = {lane: "bank-meridian" if lane.rules.carries_codes else "airline-ua" for lane in Lane}
"""Who publishes in each lane."""
SENDERS: Final = (sender("bank-meridian", 1_000, otp=100), sender("airline-ua", 6_000, update=50, campaign=50))
"""The numbers that a stack under this load has to have registered."""
_SEED: Final = 7
_TIMES_A_LIST: Final = 4
"""After so many updates and offers the oldest list in use gives way to a new one: a person may be made five offers at once."""
_LEAVERS: Final = 4
"""So many of each list leave it while it is in use; the first of them joins it again."""
_PATIENCE_S: Final = 90
_PAUSE_S: Final = 0.5
_EVIDENCE: Final = Evidence(method="web_form", wording="Tell me about my flights", source="faults")


@dataclass
class Load:
    """Publishes to a stack. ``asked`` counts recipients of acknowledged requests; ``repeated`` publishes that failed first."""

    client: Client
    bootstrap: str
    run: str
    pepper: bytes
    shards: int
    per_second: int
    """Messages a second over all lanes, about."""
    asked: int = 0
    repeated: int = 0
    left: int = 0
    """People who were said to leave a list."""
    _lists: list[Sequence[Person]] = field(default_factory=list)
    """By number; the members of a shard stand together."""
    _drawn: int = 0
    _serial: int = 0
    _updates: int = 0
    _offers: int = 0
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def _size(self) -> int:
        return OF_A_SHARD * self.shards

    async def opt_in(self) -> None:
        """People join the first lists, and the one that comes next; returns when every shard has all of them."""
        for _ in range(LISTS + 1):
            await self._new_list()
        async with asyncio.timeout(_PATIENCE_S):
            while await self._listed() < len(self._lists) * self.shards:
                await asyncio.sleep(_PAUSE_S)

    async def publish(self) -> None:
        """Until :meth:`stop`: so many times a second a list request in two lanes and a code to each shard."""
        pause_s = (2 * self._size + self.shards) / self.per_second
        await asyncio.gather(*(self._repeat(ask, pause_s) for ask in (self._update, self._offer, self._codes)))

    def stop(self) -> None:
        """Publish no more."""
        self._ended.set()

    async def _leave(self, people: Sequence[Person], listed: str) -> None:
        """Some of a list leave it, and one of them changes their mind."""
        leavers = tuple(Member(one.address, one.locale) for one in people[:: len(people) // _LEAVERS][:_LEAVERS])
        leaving = Optin(list=listed, op="leave", members=leavers)
        await self._publish(Lane.UPDATE, optin(self._head(Lane.UPDATE, "leave"), leaving), 0)
        back = Optin(list=listed, op="join", members=leavers[:1], evidence=_EVIDENCE)
        await self._publish(Lane.UPDATE, optin(self._head(Lane.UPDATE, "back"), back), 0)
        self.left += len(leavers)

    async def _listed(self) -> int:
        """How many lists have people in how many shards, all in all."""
        found: set[tuple[int, str]] = set()
        async for bite in scan(self.bootstrap, AUDIENCE):
            found |= {(record.partition, body_of(record.value or b"", AudienceChange).list) for record in bite}
        return len(found)

    async def _repeat(self, ask: Callable[[], Awaitable[None]], pause_s: float) -> None:
        while not self._ended.is_set():
            await asyncio.gather(ask(), asyncio.sleep(pause_s))

    async def _publish(self, lane: Lane, event: Event, recipients: int, *, code: str = "") -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                try:
                    await self.client.publish(lane, event, codes={"code": code} if code else None)
                except (NotPublishedError, UnknownPublishError):
                    self.repeated += 1
                    await asyncio.sleep(_PAUSE_S)
                else:
                    break
        self.asked += recipients

    async def _new_list(self) -> None:
        """As many new people of every shard."""
        of_shard: list[list[Person]] = [[] for _ in range(self.shards)]
        while min(map(len, of_shard)) < OF_A_SHARD:
            one = person(_SEED, self._drawn)
            self._drawn += 1
            of_shard[shard_of(recipient_id(self.pepper, one.address), self.shards)].append(one)
        people = [one for each in of_shard for one in each[:OF_A_SHARD]]
        members = tuple(Member(one.address, one.locale) for one in people)
        content = Optin(list=f"list-{len(self._lists)}", op="join", members=members, evidence=_EVIDENCE)
        await self._publish(Lane.UPDATE, optin(self._head(Lane.UPDATE, "optin"), content), 0)
        self._lists.append(people)

    def _number(self, turn: int) -> int:
        """The list that has its turn, of those in use."""
        return len(self._lists) - 1 - LISTS + turn % LISTS

    def _head(self, lane: Lane, kind: str, *, subject: str | None = None) -> Head:
        self._serial += 1
        return Head(
            source=f"//{BUSINESS_OF[lane]}/{self.run}",
            id=f"{kind}-{self._serial}",
            lifetime_ms=LIFETIME_MS,
            subject=subject,
        )

    async def _update(self) -> None:
        self._updates += 1
        if self._updates % _TIMES_A_LIST == 0:
            await self._new_list()
            number = len(self._lists) - LISTS
            await self._leave(self._lists[number], f"list-{number}")
        number = self._number(self._updates)
        head = self._head(Lane.UPDATE, "update", subject=f"flight/UA{number}/{self.run}")
        params: Params = {"flight": f"UA{number}", "origin": "EWR", "destination": "SFO", "event_time": "10:00"}
        content = Notification(
            template="flight_departed",
            params=params,
            to=To(list=f"list-{number}"),
            facet="status",
            version=self._updates,
        )
        await self._publish(Lane.UPDATE, notification(head, content), self._size)

    async def _offer(self) -> None:
        self._offers += 1
        head = self._head(Lane.CAMPAIGN, "offer")
        to = To(list=f"list-{self._number(self._offers)}")
        content = Notification(template="offer", params={"offer": "miles", "until": "Sunday"}, to=to)
        await self._publish(Lane.CAMPAIGN, notification(head, content), self._size)

    async def _codes(self) -> None:
        """One to each shard."""
        turn = self._serial % OF_A_SHARD
        people = self._lists[self._number(self._serial)][turn::OF_A_SHARD]
        await asyncio.gather(*(self._code(one) for one in people))

    async def _code(self, one: Person) -> None:
        to = To(recipients=(Recipient(one.address, locale=one.locale),))
        content = Notification(template="login_code", params={"minutes": "10"}, to=to)
        event = notification(self._head(Lane.OTP, "code"), content)
        await self._publish(Lane.OTP, event, 1, code="493027")


@contextlib.asynccontextmanager
async def loading(stack: Stack, name: str, *, per_second: int) -> AsyncIterator[Load]:
    """The load of a stack, whose people have joined; what was asked for is acknowledged when this ends well."""
    async with Client(stack.bootstrap) as client:
        load = Load(
            client,
            stack.bootstrap,
            f"{name}-{clock.now_ms()}",
            pepper=raw(stack.settings.pepper),
            shards=stack.settings.shards,
            per_second=per_second,
        )
        await load.opt_in()
        publishing = asyncio.create_task(load.publish())
        try:
            yield load
        except BaseException:
            publishing.cancel()
            raise
        load.stop()
        await publishing
