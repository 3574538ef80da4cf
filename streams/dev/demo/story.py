"""Publishes the demonstration: the storm of 8 February 2013, a shop's parcels and a bank's sign-ins, side by side."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, time
from typing import Final

from streams.client import Client
from streams.dev.sources.feed import Feed, replay
from streams.dev.sources.flights import Selection, flights
from streams.dev.sources.logins import Traffic, logins
from streams.dev.sources.parcels import parcels
from streams.dev.sources.timed import Run, Timed
from streams.runtime import clock
from streams.runtime.signals import first_error

STORM: Final = date(2013, 2, 8)
FLIGHTS: Final = 930
PARCELS: Final = 400
CODES_PER_HOUR: Final = 60.0
_PROGRESS_S: Final = 5.0


@dataclass
class Story:
    """Publishes the story once. ``sent_ms`` holds when each one-time code was published, by request name."""

    client: Client
    speed: float
    limit: int | None
    """So many flights, and parcels and sign-ins in proportion; None: all."""
    say: Callable[[str], None]
    published: Counter[str] = field(default_factory=Counter)
    sent_ms: dict[bytes, int] = field(default_factory=dict)
    """When each one-time code was published, by request name, milliseconds since the epoch."""

    async def tell(self) -> None:
        """Publish all three sources at ``speed`` and return when the last event is acknowledged."""
        start_ms = clock.now_ms()
        run = Run(f"demo-{start_ms:x}", start_ms)
        share = min(1.0, (self.limit or FLIGHTS) / FLIGHTS)
        sources: list[Iterator[Timed]] = [
            flights(run, Selection(day=STORM, limit=self.limit)),
            parcels(run, count=math.ceil(PARCELS * share)),
            logins(run, Traffic(STORM, time(0), CODES_PER_HOUR * share, None)),
        ]
        telling = asyncio.create_task(self._progress())
        try:
            with first_error():
                async with asyncio.TaskGroup() as together:
                    for source in sources:
                        feed = Feed(self._send, now_ms=clock.now_ms)
                        together.create_task(_finish(feed, source, self.speed))
        finally:
            telling.cancel()
        self._tell()

    async def _send(self, timed: Timed) -> None:
        now_ms = clock.now_ms()
        sent = await self.client.publish(timed.lane, timed.event, codes=timed.codes)
        if timed.lane.rules.carries_codes:
            self.sent_ms[bytes(sent.name)] = now_ms
        self.published[_kind(timed)] += 1

    async def _progress(self) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_S)
            self._tell()

    def _tell(self) -> None:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.published.most_common())
        self.say(f"published {self.published.total():,} events: {kinds}")


async def _finish(feed: Feed, source: Iterator[Timed], speed: float) -> None:
    await feed.run(replay(source, speed=speed, clock=feed.clock))


def _kind(timed: Timed) -> str:
    template = timed.event["data"].get("template")
    return str(template) if template else "opt-in"
