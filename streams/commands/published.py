"""What becomes of published events, as lines for a person: each step of each request, until all are at their end."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any, Final

from broker.consequences import consequence_of
from schemas.reasons import Reason
from schemas.status import Status
from streams import clock
from streams.client import Published
from streams.client.following import Reading, heard
from streams.client.progress import REFUSED
from streams.client.waiting import Waiting
from streams.commands.console import say

ACCEPTED: Final = 0
REFUSED_STATUS: Final = 1
UNANSWERED: Final = 3
_EARLIER_MS: Final = 5_000
"""Statuses are looked for from so long before the publish on: brokers' clocks differ."""


class Follower:
    """Prints the statuses of published events until each is finished."""

    def __init__(self, bootstrap: str, sent: Sequence[Published]) -> None:
        self._bootstrap = bootstrap
        self._waiting = Waiting(sent, "closed")
        self._since_ms = min(each.at_ms for each in sent) - _EARLIER_MS
        self._businesses = {each.business for each in sent}
        self._begun_ms = clock.monotonic_ms()
        self._refused = False
        self._said: dict[str, object] = {}
        self._finished = asyncio.Event()

    async def run(self, wait_s: float | None) -> int:
        """The exit status, once all are finished or ``wait_s`` is over."""
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._follow(each)) for each in self._businesses]
        tasks.append(asyncio.ensure_future(self._finished.wait()))
        try:
            done, _ = await asyncio.wait(tasks, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
        if self._waiting.open:
            say(f"fanfare publish: {self._waiting.sentence(wait_s or 0)}")
        unanswered = self._waiting.open.keys() - self._waiting.newest.keys()
        return UNANSWERED if unanswered else REFUSED_STATUS if self._refused else ACCEPTED

    async def _follow(self, business: str) -> None:
        reading = Reading()
        async with aclosing(heard(reading, self._bootstrap, business, since_ms=self._since_ms)) as statuses:
            async for merged in statuses:
                if reading.word is not None and self._waiting.hear(reading.word, merged) and merged is not None:
                    self._show(merged)
                if not self._waiting.open:
                    self._finished.set()

    def _show(self, status: Status) -> None:
        said = (status.state, status.reason, status.counts, [(one.state, one.reason) for one in status.recipients])
        if self._said.get(status.request) != said:
            self._said[status.request] = said
            print("\n".join(lines_of(status, (clock.monotonic_ms() - self._begun_ms) / 1000)), flush=True)
        self._refused |= status.state == REFUSED
        if status.request not in self._waiting.open:
            del self._said[status.request]


def lines_of(status: Status, after_s: float) -> Iterator[str]:
    """One status: what is so, after how long, and for a refusal what to do."""
    counts = ", ".join(f"{count:,} {state}" for state, count in status.counts.items())
    told = counts or status.reason or ("nobody is on the list" if status.state == "closed" else "")
    yield f"{status.state:<10} +{after_s:.3f} s  {status.id}  {told}".rstrip()
    if status.reason:
        yield f"           {status.detail}".rstrip()
        yield f"           {consequence_of(Reason[status.reason.upper()]).next_step}"
    for person in status.recipients:
        code = f" code {person.code}" if person.code else ""
        yield f"           {person.recipient}  {person.state} {person.reason}{code}".rstrip()
