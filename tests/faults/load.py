"""The load of a fault run: opt-ins first, then three lanes side by side, at a steady rate, until it is told to stop.

Lists are small and many, so that every shard hands something off several times a second and a silence shows.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from schemas.names import Lane
from schemas.request import Evidence, Member, Notification, Optin, Params, Recipient, To
from streams.client.client import Client
from streams.client.events import Head, notification, optin
from streams.sources.people import person

LISTS: Final = 8
LIST_SIZE: Final = 120
LIFETIME_MS: Final = 60_000
_AIRLINE: Final = "airline-ua"
_EVIDENCE: Final = Evidence(method="form", wording="Tell me about my flights", source="faults")


@dataclass
class Load:
    """Publishes to a stack. ``asked`` counts recipients of acknowledged requests."""

    client: Client
    run: str
    per_second: int
    """Messages a second over all lanes, about."""
    asked: int = 0
    _serial: int = 0
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def opt_in(self) -> None:
        """People join the lists, in both lanes' business."""
        for number in range(LISTS):
            members = tuple(
                Member(one.address, one.locale)
                for one in (person(7, number * LIST_SIZE + index) for index in range(LIST_SIZE))
            )
            content = Optin(list=f"list-{number}", op="join", members=members, evidence=_EVIDENCE)
            await self.client.publish(Lane.UPDATE, optin(self._head("optin"), content))

    async def publish(self) -> None:
        """For ever, until :meth:`stop`: per second so many list requests and single messages of each lane."""
        requests = self.per_second // (LIST_SIZE + LIST_SIZE + 20)
        pause_s = 1 / max(1, requests)
        while not self._ended.is_set():
            await asyncio.gather(self._updates(), self._offers(), self._codes(), asyncio.sleep(pause_s))

    def stop(self) -> None:
        """Publish no more."""
        self._ended.set()

    def _head(self, kind: str, *, lifetime_ms: int | None = LIFETIME_MS, subject: str | None = None) -> Head:
        self._serial += 1
        business = "bank-meridian" if kind == "code" else _AIRLINE
        return Head(
            source=f"//{business}/{self.run}", id=f"{kind}-{self._serial}", lifetime_ms=lifetime_ms, subject=subject
        )

    async def _updates(self) -> None:
        number = self._serial % LISTS
        head = self._head("update", subject=f"flight/UA{number}/{self.run}")
        params: Params = {"flight": f"UA{number}", "origin": "EWR", "destination": "SFO", "event_time": "10:00"}
        content = Notification(
            template="flight_departed",
            params=params,
            to=To(list=f"list-{number}"),
            facet="status",
            version=self._serial,
        )
        await self.client.publish(Lane.UPDATE, notification(head, content))
        self.asked += LIST_SIZE

    async def _offers(self) -> None:
        number = (self._serial // 3) % LISTS
        head = self._head("offer", lifetime_ms=LIFETIME_MS)
        content = Notification(
            template="offer", params={"offer": "miles", "until": "Sunday"}, to=To(list=f"list-{number}")
        )
        await self.client.publish(Lane.CAMPAIGN, notification(head, content))
        self.asked += LIST_SIZE

    async def _codes(self) -> None:
        for _ in range(20):
            one = person(7, self._serial % (LISTS * LIST_SIZE))
            content = Notification(
                template="login_code",
                params={"minutes": "10"},
                to=To(recipients=(Recipient(one.address, locale=one.locale),)),
            )
            await self.client.publish(Lane.OTP, notification(self._head("code"), content), codes={"code": "493027"})
            self.asked += 1
