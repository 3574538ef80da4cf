"""Looks at a deployment again and again: metrics from the processes' ports, phones from the gateway, words from status topics.

It never fails because something is away: the picture says so.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import msgspec

from schemas.lanes import Lane
from streams.kafka.scan import ScanError, follow_statuses
from streams.operate.scrape import processes, scrape_all
from streams.operate.top.fitting import Heard, phones_of
from streams.operate.top.model import WITHOUT_HEARTBEATS, Aside, Phone, Picture, handed_off_rate, picture
from streams.operate.top.readings import Growth, Reading, growth, since_start, together
from streams.runtime import clock
from streams.runtime.settings import Settings

WINDOW_S: Final = 15
"""Rates and ages are over so long, or over one look if that is longer."""
_HISTORY: Final = 60
_PHONES: Final = 100
_AGAIN_S: Final = 5.0
_ANSWER_S: Final = 2.0


class Watcher:
    """Watches the deployment of ``settings``. ``followed()`` keeps reading the status topics."""

    def __init__(self, settings: Settings, *, heartbeats: bool = False) -> None:
        """With ``heartbeats`` they are counted and shown among messages."""
        self._settings = settings
        self._heartbeats = heartbeats
        self._asked = processes(settings)
        self._last: Reading | None = None
        self._steps: deque[Growth] = deque()
        self._history: dict[str, deque[float]] = {lane.word: deque(maxlen=_HISTORY) for lane in Lane}
        self._heard = Heard()
        self._words_note = ""

    async def look(self, *, since_began: bool = False) -> Picture:
        """Ask everybody once; ages are those since the processes began if ``since_began``, or at the first look."""
        scrapes, (phones, note) = await asyncio.gather(scrape_all(self._settings, self._asked), self._phones())
        now = Reading(clock.now_ms(), tuple(scrapes))
        if self._last is not None:
            self._step(growth(self._last, now))
        self._last = now
        recent = together(list(self._steps))
        ages = recent if self._steps and not since_began else since_start(now)
        aside = Aside(phones, note, self._heard.newest(), self._words_note)
        history = {lane: tuple(values) for lane, values in self._history.items()}
        return picture(now, recent, ages, history, aside, heartbeats=self._heartbeats)

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Meanwhile, listen to what businesses are told."""
        listening = asyncio.create_task(self._listen())
        try:
            yield
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    def _step(self, step: Growth) -> None:
        self._steps.append(step)
        while len(self._steps) > 1 and sum(each.span_ms for each in self._steps) > WINDOW_S * 1_000:
            self._steps.popleft()
        for lane, values in self._history.items():
            values.append(handed_off_rate(step, lane, {} if self._heartbeats else WITHOUT_HEARTBEATS))

    async def _listen(self) -> None:
        while True:
            try:
                async for bite in follow_statuses(self._settings.kafka):
                    self._words_note = ""
                    for topic, value in bite:
                        self._heard.take(topic, value)
            except ScanError as error:
                self._words_note = str(error)
            await asyncio.sleep(_AGAIN_S)

    async def _phones(self) -> tuple[tuple[tuple[Phone, ...], ...], str]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session:
            answers = await asyncio.gather(*(self._phones_of(session, lane) for lane in Lane))
        return tuple(tuple(answer or ()) for answer in answers), "" if any(
            answer is not None for answer in answers
        ) else "no phones: no simulated gateway answers"

    async def _phones_of(self, session: aiohttp.ClientSession, lane: Lane) -> list[Phone] | None:
        url = f"{self._settings.gateway_url(lane)}/v1/phones"
        asked = {"limit": str(_PHONES), **({"heartbeats": "1"} if self._heartbeats else {})}
        try:
            async with session.get(url, params=asked, raise_for_status=True) as answer:
                return phones_of(await answer.read(), lane)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError):
            return None
