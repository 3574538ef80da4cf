"""Reads the logs for one request and has its story told. What is told is ``broker/explain``'s.

The order of reading follows the data: the business's statuses and plan's journal say whether and when the request was
accepted; everything later is read from that time on. Deliver's journal is read from a quarter of its fold earlier, where the
owner repeats its claim, so that the epoch rule holds for a reader who begins in the middle.
"""

from collections.abc import AsyncIterator
from typing import Final

from broker.audit.dump import Logged
from broker.explain.line import Focus
from broker.explain.story import Story, Telling
from schemas import topics
from schemas.facts import AudienceChange
from schemas.names import NAME_BYTES, Lane, business_of, partition_of, request_name, shard_of, text_of
from schemas.planned import Planned
from schemas.wire.columns import cells
from schemas.wire.header import body_of
from streams.kafka.scan import ScanError, scan

_SLACK_MS: Final = 60_000
"""Topics are stamped by Kafka's clock, decisions by ours."""


class Explainer:
    """Tells the stories of requests. ``shards`` is that of the deployment; ``recipient`` narrows it to one person.

    ``since_ms`` bounds how far back plan's journal and the statuses are read. Everything raises ``ScanError``.
    """

    def __init__(self, bootstrap: str, *, shards: int, recipient: bytes | None = None, since_ms: int = 0) -> None:
        self._bootstrap = bootstrap
        self._shards = shards
        self._recipient = recipient
        self._since_ms = since_ms

    async def story(self, lane: Lane, source: str, event_id: str) -> Story:
        """The story of the event that ``source`` and ``event_id`` name in ``lane``; without lines if there is none."""
        telling = Telling(lane, request_name(lane, source, event_id), business_of(source))
        home = partition_of(telling.business.encode(), self._shards)
        await self._statuses(telling)
        async for record in self._records(topics.plans(lane), home, since_ms=self._since_ms):
            telling.plan(record)
        if telling.planned is not None:
            await self._later(telling, telling.planned, home)
        telling.story.lines.sort(key=lambda line: line.at_ms)
        return telling.story

    async def _statuses(self, telling: Telling) -> None:
        topic, word = topics.status(telling.business), text_of(telling.request).encode()
        try:
            async for record in self._records(topic, None, since_ms=self._since_ms, word=word):
                telling.status(record)
        except ScanError:
            return  # a business that is not registered has no such topic, and was told nothing

    async def _later(self, telling: Telling, planned: Planned, home: int) -> None:
        lane, request = telling.story.lane, telling.request
        since_ms = planned.decided_ms - _SLACK_MS
        telling.focus = focus = self._focus(planned)
        shard = None if focus.recipient is None else focus.shard
        async for record in self._records(topics.work(lane), shard, since_ms=since_ms, word=request):
            telling.work(record)
        ordinal = await self._ordinal(focus) if planned.list else -1
        journal_ms = since_ms - topics.WINDOWS[lane].fold_ms // 4
        async for record in self._records(topics.outcomes(lane), shard, since_ms=journal_ms):
            telling.outcome(record, ordinal)
        async for record in self._records(topics.receipts(lane), shard, since_ms=since_ms, word=request):
            telling.receipts(record)
        async for record in self._records(topics.CHARGES, home, since_ms=since_ms, word=request):
            telling.charge(record)
        async for record in self._records(topics.DEAD_LETTERS, None, since_ms=since_ms):
            telling.letter(record, planned)
        if focus.recipient is not None:
            async for record in self._records(topics.SUPPRESSIONS, focus.shard, since_ms=0, word=focus.recipient):
                telling.suppressions(record)

    def _focus(self, planned: Planned) -> Focus:
        if self._recipient is None:
            return Focus(planned.name)
        return Focus(planned.name, self._recipient, shard_of(self._recipient, self._shards))

    async def _ordinal(self, focus: Focus) -> int:
        """The person's ordinal: the order of first appearance in the shard's audience log; -1 for a stranger."""
        if focus.recipient is None:
            return -1
        seen: dict[bytes, int] = {}
        async for record in self._records(topics.AUDIENCE, focus.shard, since_ms=0):
            for person in cells(body_of(record.value or b"", AudienceChange).recipients, NAME_BYTES):
                seen.setdefault(person, len(seen))
        return seen.get(focus.recipient, -1)

    async def _records(
        self, topic: str, partition: int | None, *, since_ms: int, word: bytes = b""
    ) -> AsyncIterator[Logged]:
        """Records of ``topic`` whose bytes hold ``word``; ``since_ms`` of 0 or less: from the beginning of the log."""
        since = since_ms if since_ms > 0 else None
        async for bite in scan(self._bootstrap, topic, partition=partition, since_ms=since):
            for record in bite:
                if record.value is not None and word in record.value:
                    yield Logged(*record)
