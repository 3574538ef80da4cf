"""Plays an airline's offers to everybody on its list, beside the storm: what a business does about a campaign that goes out.

One is paused and resumed. Somebody answers STOPP while it is held, gets no offer any more, and still hears that their flight
is cancelled. A second one is cancelled on its way. What became of them is told from the logs, as `fanfare explain` does.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

import aiohttp
import msgspec

from broker.explain.tally import HELD
from schemas.ids import recipient_id
from schemas.lanes import Lane
from schemas.reasons import Reason, State, word_of
from schemas.request import Control, EventName, Evidence, Member, Notification, Optin, Sealed
from schemas.status import Status
from streams.client import Client, Event, Head, Published, control, notification, optin, to_list
from streams.client.progress import Numbers, numbers_of
from streams.dev.sources.seeded_people import Person, person
from streams.operate.control_requests import STABLE_S, Accepted, watched
from streams.operate.explain import Event as Named
from streams.operate.explain import Explainer
from streams.runtime.settings import Settings, raw

BUSINESS: Final = "airline-b6"
PEOPLE: Final = 2_000
FEWEST: Final = 1_000
"""So many take some seconds at the airline's rate, and can be paused half-way."""
ANSWER: Final = "STOPP!"
_SEED: Final = 8
_FIRST: Final = 100_000
"""Nobody who flies in the storm, or whom the shop or the bank knows."""
_EARLY: Final = 24
"""So many are in the airline's club too, hear of an offer first and may answer it; their flight is the one that is cancelled.

They join last: a list is told in the order of joining, so they are held when it is paused half-way.
"""
_HOUR_MS: Final = 3_600_000
_BEGUN: Final = 100
"""So many are told before a campaign is paused or cancelled."""
_WAIT_S: Final = 90.0
_POLL_S: Final = 0.25
_UNDER_WAY: Final = frozenset(word_of(state) for state in (State.PENDING, State.SENDING, State.WAITING))
_DECIDED: Final = frozenset({"deliver", "gateway"})
"""The stages that end a message, or hold it."""
_LIST: Final = "offers"
_CLUB: Final = "club"
_FLIGHT: Final = "flight/B6-622"
_OFFERS: Final = ("Fly to Boston from $39", "Two for one to San Juan")


class Told(msgspec.Struct, frozen=True):
    """Holds what came of the offers."""

    paused: Numbers
    """Of the first one, while it was held."""
    done: Numbers
    """Of the first one, at its end."""
    cancelled: Numbers
    """Of the second one."""
    flight: str
    """Sentence on the cancelled flight of whoever answered STOPP; empty if nobody was held who could."""
    lines: tuple[str, ...]
    """From the stories of a held, a stopped and a cancelled message."""


class Offers:
    """Publishes the offers once. ``run`` makes its events new; ``people`` is how many are on the list."""

    def __init__(
        self, client: Client, settings: Settings, *, run: str, people: int, say: Callable[[str], None]
    ) -> None:
        self._client = client
        self._settings = settings
        self._source = f"//{BUSINESS}/offers/{run}"
        self._say = say
        self._people = [person(_SEED, _FIRST + number) for number in range(people)]

    async def tell(self) -> Told:
        """Play all of it; raises what the client raises."""
        await self._join()
        first = await self._offer(1)
        paused = await self._control("pause", first)
        self._say(f"offer 1 is paused: {paused.handed_off:,} handed off, {paused.held:,} held")
        stopper, lines = await self._stop(first)
        await self._control("resume", first)
        flight = await self._cancel_flight()
        end = await self._client.wait(first, until=self._through, timeout_s=_WAIT_S)
        second = await self._offer(2)
        cancelled = await self._control("cancel", second)
        self._say(f"offer 2 is cancelled: {cancelled.handed_off:,} handed off, {cancelled.cancelled:,} cancelled")
        state = ""
        if stopper is not None:
            state = await self._state(flight, stopper)
            lines += await self._told(first, stopper, Reason.STOPPED.word)
        left_out = await self._standing(second, Reason.CANCELLED.word)
        lines += await self._told(second, left_out[-1], Reason.CANCELLED.word) if left_out else []
        return Told(paused, numbers_of(end.counts), cancelled, state, tuple(lines))

    # -- what the airline publishes

    async def _join(self) -> None:
        proof = Evidence(method="web_form", wording="Send me offers.", source="jetblue.example/offers")
        members = tuple(Member(each.address, each.locale) for each in self._people)
        club = members[-_EARLY:]
        await self._joined(Optin(_LIST, "join", members, proof))
        flight = Optin(_FLIGHT, "join", club, proof, purpose="service")
        await self._joined(Optin(_CLUB, "join", club, proof), flight)  # later: who joined first is told first
        content = Notification("offer", to_list(_CLUB), params=_params(0))
        sent = await self._client.publish(Lane.CAMPAIGN, notification(self._head("offer-club"), content))
        await self._client.wait(sent, until=_club_told, timeout_s=_WAIT_S)

    async def _joined(self, *joins: Optin) -> None:
        events = [optin(self._head(f"join-{join.list}"), join) for join in joins]
        sent = [await self._client.publish(Lane.CAMPAIGN, event) for event in events]
        await self._client.wait_all(sent, until="answered", timeout_s=_WAIT_S)

    async def _offer(self, number: int) -> Published:
        """Publish an offer to the list; return once it is on its way."""
        content = Notification("offer", to_list(_LIST), params=_params(number))
        sent = await self._client.publish(Lane.CAMPAIGN, notification(self._head(f"offer-{number}"), content))
        await self._client.wait(sent, until=_begun, timeout_s=_WAIT_S)
        return sent

    def _through(self, status: Status) -> bool:
        """Returns whether nothing is held or under way; those who answered the early offer with a STOP may have left the list."""
        numbers = numbers_of(status.counts)
        return numbers.quiet and not numbers.held and numbers.people >= len(self._people) - _EARLY

    async def _control(self, action: str, sent: Published) -> Numbers:
        """Pause, resume or cancel; return the numbers once they stand still."""
        content = Control(action, of=EventName(sent.source, sent.id))
        event: Event = control(self._head(f"{action}-{sent.id}"), content)
        await self._client.wait(await self._client.publish(Lane.CAMPAIGN, event), until="answered", timeout_s=_WAIT_S)
        if action == "resume":
            return Numbers()
        target = Accepted(
            sent.request, Lane.CAMPAIGN, BUSINESS, sent.source, sent.id, "", _LIST, sent.at_ms, sent.at_ms + _HOUR_MS
        )
        statuses = await watched(
            self._settings.kafka,
            [target],
            lambda newest: all(numbers_of(each.counts).quiet for each in newest.values()),
            stable_s=STABLE_S,
            timeout_s=_WAIT_S,
        )
        return numbers_of(statuses[sent.request].counts)

    async def _cancel_flight(self) -> Published:
        """Tell the flight's list that it is cancelled."""
        params: dict[str, str | Sealed] = {
            "flight": "B6622",
            "origin": "JFK",
            "destination": "BOS",
            "scheduled": "6:15 pm",
            "event_time": "2:40 pm",
        }
        content = Notification("flight_cancelled", to_list(_FLIGHT), params=params)
        return await self._client.publish(Lane.UPDATE, notification(self._head("cancelled-B6622"), content))

    def _head(self, name: str) -> Head:
        return Head(source=self._source, id=name, lifetime_ms=_HOUR_MS)

    # -- what people do, and what the logs say

    @property
    def _early(self) -> Sequence[Person]:
        return self._people[-_EARLY:]

    async def _stop(self, sent: Published) -> tuple[bytes | None, list[str]]:
        """Let somebody whose message is held answer STOPP to the first offer; return who, and what is told of the held one."""
        held = set(await self._standing(sent, HELD))
        for each in self._early:
            recipient = recipient_id(raw(self._settings.pepper), each.address)
            if recipient not in held or await self._forbids(recipient):
                continue
            if await self._answer(each.address):
                lines = await self._told(sent, recipient, HELD)
                async with asyncio.timeout(_WAIT_S):
                    while not await self._forbids(recipient):
                        await asyncio.sleep(_POLL_S)
                return recipient, lines
        return None, []

    async def _answer(self, address: str) -> bool:
        said = {"phone": address, "business": BUSINESS, "text": ANSWER}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self._settings.gateway_url(Lane.CAMPAIGN)}/v1/replies", json=said) as answer,
        ):
            return answer.status == 202

    async def _state(self, sent: Published, recipient: bytes) -> str:
        """Return how an update stands with one person, once it is decided."""
        async with asyncio.timeout(_WAIT_S):
            while True:
                found, _ = await self._explainer().encounters([Lane.UPDATE], recipient)
                state = next((one.state for one in found if one.terms.id == sent.id), "")
                if state and state not in _UNDER_WAY:
                    return state
                await asyncio.sleep(_POLL_S)

    async def _forbids(self, recipient: bytes) -> bool:
        """Return whether a STOP of the person, or more, is known."""
        _, said = await self._explainer().encounters([], recipient)
        return any("forbade" in line.text for line in said)

    async def _standing(self, sent: Published, word: str) -> list[bytes]:
        """Return whose message of a request stands so."""
        story = await self._explainer().story(Lane.CAMPAIGN, Named(sent.source, sent.id))
        return [recipient for recipient, found in await self._explainer().missed(story) if found == word]

    async def _told(self, sent: Published, recipient: bytes, word: str) -> list[str]:
        """Return the first line of one person's story that says how their message stands."""
        story = await self._explainer(recipient).story(Lane.CAMPAIGN, Named(sent.source, sent.id))
        found = (line.text for line in story.lines if line.stage in _DECIDED and word in line.text)
        return [f"  {sent.id:<10} {text}" for text in islice(found, 1)]

    def _explainer(self, recipient: bytes | None = None) -> Explainer:
        return Explainer(self._settings.kafka, shards=self._settings.shards, recipient=recipient)


def lines(told: Told) -> Iterator[str]:
    """Yields the lines of the summary about the offers."""
    yield f"  paused     {told.paused.handed_off:,} handed off, {told.paused.held:,} held"
    yield f"  resumed    {told.done.handed_off:,} handed off in all, {told.done.ended:,} ended otherwise"
    yield f"  cancelled  {told.cancelled.handed_off:,} handed off, {told.cancelled.cancelled:,} cancelled"
    if told.flight:
        yield f"  {ANSWER:<10} no more offers; of their cancelled flight they were told: {told.flight}"
    yield from told.lines


def _begun(status: Status) -> bool:
    return numbers_of(status.counts).handed_off >= _BEGUN


def _club_told(status: Status) -> bool:
    """Returns whether nobody of the club waits any more; the gateway may have refused one."""
    numbers = numbers_of(status.counts)
    return numbers.people >= _EARLY and numbers.quiet


def _params(number: int) -> dict[str, str | Sealed]:
    return {"offer": _OFFERS[number % len(_OFFERS)], "until": "Sunday"}
