"""Reads the logs for one request and has its story told. What is told is ``broker/explain``'s.

The order of reading follows the data: the business's statuses and plan's journal say whether and when the request was
accepted; everything later is read from that time on, of the shards that were asked alone. Deliver's journal is read from a
quarter of its fold earlier, where the owner repeats its claim, so that the epoch rule holds for a reader who begins in the
middle. What nobody could be told of stands among the dead letters, and is found by what it says of itself.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, NamedTuple

import msgspec
from pyroaring import BitMap

from broker.audit.sources import Logged
from broker.explain.line import Focus, Line
from broker.explain.other_lines import audience_lines, suppression_lines
from broker.explain.person import Encounter, Trail
from broker.explain.timeline import Story, Telling, letter_of
from schemas import topics
from schemas.facts import AudienceChange, Suppressions
from schemas.ids import NAME_BYTES, business_of, partition_of, request_name, shard_of, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Planned, PlannedBatch
from schemas.status import DeadLetter
from schemas.wire import cloudevents
from schemas.wire.columns import cells
from schemas.wire.header import Kind, body_of, head_of
from streams.kafka.scan import ScanError, read_at, scan
from streams.registry.read import read_registry
from streams.runtime.kafka_access import Address

DELIVERED: Final = frozenset({"delivered", "read"})
"""States of a message that its person has."""
_SLACK_MS: Final = 60_000
"""Topics are stamped by Kafka's clock, decisions by ours."""


class Event(NamedTuple):
    """Names an event as its producer did."""

    source: str
    id: str


class Explainer:
    """Tells the stories of requests. ``shards`` is that of the deployment; ``recipient`` narrows it to one person.

    ``since_ms`` bounds how far back plan's journal and the statuses are read. Everything raises ``ScanError``.
    """

    def __init__(self, bootstrap: Address, *, shards: int, recipient: bytes | None = None, since_ms: int = 0) -> None:
        self.bootstrap = bootstrap
        self._shards = shards
        self._recipient = recipient
        self._since_ms = since_ms

    async def named(self, name: bytes, lanes: Sequence[Lane]) -> Event | None:
        """The event that bears a request's name in one of the lanes; None if no log tells."""
        found = await asyncio.gather(*(self._planned(name, lane) for lane in lanes))
        businesses = (await read_registry(self.bootstrap)).businesses if not any(found) else ()
        found += await asyncio.gather(*(self._answered(name, business) for business in businesses))
        return next((event for event in found if event is not None), None)

    async def stories(self, lanes: Sequence[Lane], event: Event) -> list[Story]:
        """The stories of the event in these lanes, those without a line left out."""
        told = await asyncio.gather(*(self.story(lane, event) for lane in lanes))
        return [story for story in told if story.lines]

    async def story(self, lane: Lane, event: Event) -> Story:
        """The story of the event in ``lane``; without lines if there is none."""
        telling = Telling(lane, request_name(lane, event.source, event.id), business_of(event.source))
        home = partition_of(telling.business.encode(), self._shards)
        await asyncio.gather(self._statuses(telling), self._plans(telling, home))
        if telling.planned is not None:
            await self._published(telling, telling.planned)
            await self._later(telling, telling.planned, home)
        story = telling.end()
        if not story.lines:
            await self._strays(telling, event)
        return story

    async def _plans(self, telling: Telling, home: int) -> None:
        async for record in self._records(topics.plans(telling.story.lane), home, since_ms=self._since_ms):
            telling.plan(record)

    async def _published(self, telling: Telling, planned: Planned) -> None:
        """Reads the input record, unless retention has taken it: when Kafka took it tells a late producer from a late plan."""
        origin = planned.first or planned.origin
        place = origin.partition, origin.offset
        found = (await read_at(self.bootstrap, topics.requests(telling.story.lane), [place])).get(place)
        if found is not None:
            telling.published(Logged(*found))

    async def _statuses(self, telling: Telling) -> None:
        topic, word = topics.status(telling.business), text_of(telling.request).encode()
        try:
            async for record in self._records(topic, None, since_ms=self._since_ms, word=word):
                telling.status(record)
        except ScanError:
            return  # a business that is not registered has no such topic, and was told nothing

    async def _strays(self, telling: Telling, event: Event) -> None:
        """Dead letters that say themselves, or whose record says, that they are about the event."""
        lane = telling.story.lane
        records = [record async for record in self._records(topics.DEAD_LETTERS, None, since_ms=self._since_ms)]
        letters = [(letter, record.where) for record in records if (letter := letter_of(record)) is not None]
        letters = [one for one in letters if one[0].topic == topics.requests(lane)]
        silent = [(letter.partition, letter.offset) for letter, _ in letters if letter.payload is None]
        origins = await read_at(self.bootstrap, topics.requests(lane), silent) if silent else {}
        for letter, where in letters:
            origin = origins.get((letter.partition, letter.offset))
            said = _said_by(letter) if origin is None else _event_of(origin.value, origin.headers)
            if said == event:
                telling.stray(letter, where)

    # -- by name

    async def _planned(self, name: bytes, lane: Lane) -> Event | None:
        async for record in self._records(topics.plans(lane), None, since_ms=self._since_ms, word=name):
            value = record.value or b""
            if head_of(value).kind not in {Kind.PLANNED, Kind.PLAN_RESTATED}:
                continue
            for entry in body_of(value, PlannedBatch).entries:
                if entry.name == name and entry.terms is not None:
                    return Event(entry.terms.source, entry.terms.id)
        return None

    async def _answered(self, name: bytes, business: str) -> Event | None:
        word = text_of(name)
        try:
            async for record in self._records(
                topics.status(business), None, since_ms=self._since_ms, word=word.encode()
            ):
                told = cloudevents.decode_status(record.value or b"")
                if told is not None and told.request == word:
                    return Event(told.source, told.id)
        except ScanError:
            return None
        return None

    # -- after acceptance

    async def _later(self, telling: Telling, planned: Planned, home: int) -> None:
        lane, request = telling.story.lane, telling.request
        since_ms = planned.decided_ms - _SLACK_MS
        telling.focus = focus = self._focus(telling.focus)
        shards = await self._work(telling, since_ms)
        ordinal = -1
        if planned.list and focus.recipient is not None:
            ordinal = await self._ordinal(focus.recipient, telling.audience)
        journal_ms = since_ms - lane.rules.windows.fold_ms // 2
        for shard in shards:
            async for record in self._records(topics.outcomes(lane), shard, since_ms=journal_ms):
                telling.outcome(record, ordinal)
        for shard in shards:  # after the journal, which says at which rank a person stands
            async for record in self._records(topics.receipts(lane), shard, since_ms=since_ms, word=request):
                telling.receipts(record)
        async for record in self._records(topics.CHARGES, home, since_ms=since_ms, word=request):
            telling.charge(record)
        async for record in self._records(topics.DEAD_LETTERS, None, since_ms=since_ms):
            telling.letter(record)
        await self._controls(telling)
        if focus.recipient is not None:
            await self._said(telling, focus.recipient)

    async def _said(self, telling: Telling, recipient: bytes) -> None:
        """Reads what the person forbade, and allowed again."""
        shard = shard_of(recipient, self._shards)
        async for record in self._records(topics.SUPPRESSIONS, shard, since_ms=0, word=recipient):
            telling.suppressions(record)

    async def _controls(self, telling: Telling) -> None:
        async for record in self._records(topics.CONTROLS, None, since_ms=0):
            telling.control(record)

    async def _work(self, telling: Telling, since_ms: int) -> list[int]:
        """The shards that were asked and are part of the story."""
        person = None if telling.focus.recipient is None else telling.focus.shard
        asked: set[int] = set()
        topic = topics.work(telling.story.lane)
        async for record in self._records(topic, person, since_ms=since_ms, word=telling.request):
            telling.work(record)
            asked.add(record.partition)
        return sorted(asked)

    def _focus(self, about: Focus) -> Focus:
        if self._recipient is None:
            return about
        shard = shard_of(self._recipient, self._shards)
        return msgspec.structs.replace(about, recipient=self._recipient, shard=shard)

    async def _ordinal(self, recipient: bytes, tell: Callable[[Logged], None]) -> int:
        """The person's ordinal, -1 for a stranger; ``tell`` hears every record of their shard's audience that names them."""
        seen: dict[bytes, int] = {}
        async for record in self._records(topics.AUDIENCE, shard_of(recipient, self._shards), since_ms=0):
            people = cells(body_of(record.value or b"", AudienceChange).recipients, NAME_BYTES)
            for person in people:
                seen.setdefault(person, len(seen))
            if recipient in people:
                tell(record)
        return seen.get(recipient, -1)

    async def missed(self, story: Story) -> list[tuple[bytes, str]]:
        """Who was not delivered to, and in which state they stand; of a list by the order of joining, shard by shard."""
        ordinals: dict[int, list[bytes]] = {}
        found: list[tuple[bytes, str]] = []
        for shard, rank, word in story.tally.ranks():
            if word in DELIVERED:
                continue
            people, members = story.tally.who(shard)
            if people:
                found.append((people[rank * NAME_BYTES : (rank + 1) * NAME_BYTES], word))
                continue
            if shard not in ordinals:
                ordinals[shard] = await self._members(shard, members)
            found.append((ordinals[shard][rank], word))
        return found

    async def _members(self, shard: int, members: bytes) -> list[bytes]:
        """The people of a frozen list in rank order."""
        seen: dict[bytes, None] = {}
        async for record in self._records(topics.AUDIENCE, shard, since_ms=0):
            seen |= dict.fromkeys(cells(body_of(record.value or b"", AudienceChange).recipients, NAME_BYTES))
        known = list(seen)
        return [known[ordinal] for ordinal in BitMap.deserialize(members)]

    async def encounters(self, lanes: Sequence[Lane], recipient: bytes) -> tuple[list[Encounter], list[Line]]:
        """Every request about a person since ``since_ms``, by time; and what they themselves said, ever: joins and stops."""
        shard, said = shard_of(recipient, self._shards), list[Line]()
        focus = Focus(b"", recipient, shard)

        def joined(record: Logged) -> None:
            said.extend(audience_lines(focus, "", "", body_of(record.value or b"", AudienceChange), record.where))

        ordinal = await self._ordinal(recipient, joined)
        async for record in self._records(topics.SUPPRESSIONS, shard, since_ms=0, word=recipient):
            said.extend(suppression_lines(focus, "", body_of(record.value or b"", Suppressions), record.where))
        trails = await asyncio.gather(*(self._trail(lane, shard, recipient, ordinal) for lane in lanes))
        found = [one for trail in trails for one in trail.encounters() if one.at_ms >= self._since_ms]
        return sorted(found, key=lambda one: one.at_ms), sorted(said, key=lambda line: line.at_ms)

    async def _trail(self, lane: Lane, shard: int, recipient: bytes, ordinal: int) -> Trail:
        trail = Trail(lane, shard, recipient, ordinal)
        journal_ms = self._since_ms - lane.rules.windows.fold_ms // 2 if self._since_ms else 0
        async for record in self._records(topics.outcomes(lane), shard, since_ms=journal_ms):
            trail.outcome(record)
        async for record in self._records(topics.receipts(lane), shard, since_ms=self._since_ms):
            trail.receipts(record)
        return trail

    async def _records(
        self, topic: str, partition: int | None, *, since_ms: int, word: bytes = b""
    ) -> AsyncIterator[Logged]:
        """Records of ``topic`` whose bytes hold ``word``; ``since_ms`` of 0 or less: from the beginning of the log."""
        since = since_ms if since_ms > 0 else None
        async for bite in scan(self.bootstrap, topic, partition=partition, since_ms=since):
            for record in bite:
                if record.value is not None and word in record.value:
                    yield Logged(*record)


def _said_by(letter: DeadLetter) -> Event | None:
    headers = [(name, held.encode()) for name, held in letter.headers.items()]
    return _event_of(base64.b64decode(letter.payload or ""), headers)


def _event_of(value: bytes | None, headers: cloudevents.Headers) -> Event | None:
    """Returns the source and id in a record, also of one that is refused; None if they cannot be read."""
    event = cloudevents.decode(value, headers)
    return Event(event.source, event.id) if event.source and event.id else None
