"""Telling the broker: signed batches of reports and replies, posted until the webhook answers 200.

What is owed waits in a heap by due time. A batch takes whatever is due, so a slow webhook gets larger batches; up to
``IN_FLIGHT`` are in flight and each is repeated with back-off. Only an acknowledged report stands in the log, so a restarted
gateway owes the rest again: at least once, never lost. When more is owed than ``OWED_MAX`` the gateway takes no more frames:
its queue is bounded by back-pressure.
"""

import asyncio
import base64
import heapq
import random
from collections.abc import Callable, Iterable
from itertools import count
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec.structs import replace

from schemas.gateway_api import GatewayEvent, Reports
from schemas.ids import name_of
from streams.runtime.events import Event
from streams.runtime.log import log
from streams.runtime.metrics import PHONES_REPORTS
from streams.simulator.behaviour import OPT_OUT_BODIES, Due
from streams.simulator.event_log import EventLog
from streams.simulator.latest import Latest
from streams.simulator.signature import signed_headers

IN_FLIGHT: Final = 8
OWED_MAX: Final = 500_000
_BATCH_RUNS: Final = 512
_BATCH_INTERVALS: Final = 50_000
_GATHER_MS: Final = 5
"""Milliseconds that a report waits for company; people's phones are slower than that."""
_TIMEOUT_S: Final = 10
_BACKOFF_FIRST_S: Final = 0.1
_BACKOFF_MAX_S: Final = 5.0
_SAID: Final = frozenset(body for bodies in OPT_OUT_BODIES.values() for body in bodies)
_REPORTS_PATH: Final = "/v1/reports"


class Outbox:
    """Posts what is owed to the webhook. ``run`` posts until it is cancelled."""

    def __init__(
        self,
        *,
        url: str,
        secrets: tuple[str, ...],
        events: EventLog,
        name: str,
        now_ms: Callable[[], int],
    ) -> None:
        self._url = url if urlsplit(url).path not in {"", "/"} else url.rstrip("/") + _REPORTS_PATH
        self._secrets = secrets
        self._events = events
        self._name = name
        self._now_ms = now_ms
        self.latest = Latest()
        """Newest messages of each chat, to tell which one a text answers that names none; filled by whoever takes messages."""
        self._heap: list[tuple[int, int, Due]] = []
        self._order = count()
        self._news = asyncio.Event()
        self._flying = 0
        self._batches = count(1)
        self._answered = True
        self.acknowledged = 0

    @property
    def owed(self) -> int:
        """Reports and replies that were not acknowledged, those in flight included."""
        return len(self._heap) + self._flying

    @property
    def full(self) -> bool:
        """Returns whether so much is owed that no more frames may be taken."""
        return self.owed >= OWED_MAX

    def owe(self, dues: Iterable[Due]) -> None:
        """Add to what is owed."""
        for due in dues:
            heapq.heappush(self._heap, (due.due_ms, next(self._order), due))
        self._news.set()

    async def run(self) -> None:
        """Post what is due, for ever."""
        places = asyncio.Semaphore(IN_FLIGHT)
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session, asyncio.TaskGroup() as posts:
            while True:
                await places.acquire()
                await self._until_due()
                batch = self._take(self._now_ms())
                posts.create_task(self._deliver(session, batch)).add_done_callback(lambda _: places.release())

    async def _until_due(self) -> None:
        while True:
            self._news.clear()
            wait_ms = self._heap[0][0] + _GATHER_MS - self._now_ms() if self._heap else None
            if wait_ms is not None and wait_ms <= 0:
                return
            try:
                async with asyncio.timeout(None if wait_ms is None else wait_ms / 1_000):
                    await self._news.wait()
            except TimeoutError:
                continue

    def _take(self, now_ms: int) -> list[Due]:
        batch: list[Due] = []
        size = 0
        while self._heap and self._heap[0][0] <= now_ms and len(batch) < _BATCH_RUNS and size < _BATCH_INTERVALS:
            due = heapq.heappop(self._heap)[2]
            batch.append(due)
            size += len(due.run.ranks) if due.run else 1
        self._flying += len(batch)
        return batch

    async def _deliver(self, session: aiohttp.ClientSession, batch: list[Due]) -> None:
        batch_id = f"{self._name}-{self._now_ms()}-{next(self._batches)}"
        body = msgspec.json.encode(
            Reports(
                id=batch_id,
                runs=tuple(due.run for due in batch if due.run),
                replies=tuple(self.latest.answered(due.reply) for due in batch if due.reply),
            )
        )
        wait_s = _BACKOFF_FIRST_S
        while not await self._post(session, batch_id, body):
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))
            wait_s = min(wait_s * 2, _BACKOFF_MAX_S)
        self._events.append([self._acknowledged(due) for due in batch])
        self._flying -= len(batch)
        self.acknowledged += len(batch)
        for due in batch:
            if due.run is not None:
                PHONES_REPORTS.of(due.run.status).inc(sum(messages for _, messages in due.run.ranks))

    async def _post(self, session: aiohttp.ClientSession, batch_id: str, body: bytes) -> bool:
        headers = {"Content-Type": "application/json"} | signed_headers(self._secrets, batch_id, self._now_ms(), body)
        try:
            async with session.post(self._url, data=body, headers=headers) as answer:
                await answer.read()
                self._note(answer.status)
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            self._note(0)
            return False

    def _note(self, status: int) -> None:
        """Say it once when the webhook stops answering 200, and once when it does again. ``status`` 0: no answer."""
        if self._answered != (status == 200):
            self._answered = status == 200
            log(Event.WEBHOOK_BACK if self._answered else Event.WEBHOOK_AWAY, component="gateway", status=status)

    def _acknowledged(self, due: Due) -> GatewayEvent:
        event = GatewayEvent("report", self._now_ms(), lane=due.lane, shard=due.shard, request=due.request)
        if due.run is not None:
            run = due.run
            return replace(event, ranks=run.ranks, status=run.status, code=run.code, ref=run.ref)
        assert due.reply is not None
        reply = self.latest.answered(due.reply)
        return replace(
            event,
            event="reply",
            business=reply.business,
            sender=reply.sender,
            ranks=((reply.rank, 1),) if reply.rank >= 0 else (),
            recipients=base64.b64encode(name_of(reply.recipient)).decode(),
            status=reply.kind,
            body=reply.body if reply.body in _SAID else "",
            ref=reply.ref,
        )
