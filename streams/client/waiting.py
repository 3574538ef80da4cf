"""Waiting for requests: until they are answered, until nothing more becomes of them, or until what the caller says."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Literal, TypeAlias

from schemas.reasons import Reason, State, word_of
from schemas.status import Status
from streams.client.following import Reading, heard
from streams.client.progress import CLOSED, PLAN, REFUSED
from streams.client.results import Published, StillOpenError
from streams.runtime.kafka_access import Address

Until: TypeAlias = Literal["answered", "closed"] | Callable[[Status], bool]
"""``answered``: accepted or refused. ``closed``: nothing more becomes of it. Or what is true of a merged status."""

_EARLIER_MS = 5_000
"""Statuses are looked for from so long before the publish on: brokers' clocks differ."""
_REPEATED_WITHIN_MS = 3_600_000
_DUPLICATE = Reason.DUPLICATE.word
_HANDED_OFF = ("accepted", "sent", "in_doubt")
_OWED = (*(word_of(state) for state in (State.PENDING, State.SENDING, State.WAITING)),)
"""States of messages that are still to be handed off."""


class Waiting:
    """Which requests are waited for. A refusal ends a request, whatever was waited for, and so does accepting an opt-in. Pure.

    A name may have been published before: what was said about that is no answer to this. Plan's word about an event bears the
    event's offset; nothing ends before it is heard.
    """

    def __init__(self, sent: Iterable[Published], until: Until) -> None:
        self._until = until
        self.open = {each.request: each for each in sent}
        self.newest: dict[str, Status] = {}
        self._answered = {request for request, each in self.open.items() if each.offset < 0}
        """Whose answer was heard; where an offset is not known, any word may be the answer."""
        self._ends: dict[str, Status] = {}

    def hear(self, word: Status, merged: Status | None) -> bool:
        """Take what plan or a shard said about any request, and the merged status that it makes, if that is new.

        Whether ``merged`` is news about something that is waited for.
        """
        request = word.request
        sent = self.open.get(request)
        if sent is None:
            return False
        if word.shard == PLAN and not self._is_own(sent, word):
            return False
        if merged is not None:
            self.newest[request] = merged
            if self._is_end(sent, merged):
                self._ends[request] = merged
        if request in self._answered and request in self._ends:
            self.newest[request] = self._ends[request]
            del self.open[request]
        return merged is not None

    def _is_own(self, sent: Published, word: Status) -> bool:
        """Returns whether plan's word is for this one: not a refusal of another with the same name."""
        if word.seq == sent.offset:
            self._answered.add(word.request)
        return word.seq == sent.offset or word.state != REFUSED or sent.offset < 0

    def published_ms(self) -> dict[str, int]:
        """Each business that is waited for, and when the first of its requests was published."""
        first_ms: dict[str, int] = {}
        for each in self.open.values():
            first_ms[each.business] = min(each.at_ms, first_ms.get(each.business, each.at_ms))
        return first_ms

    def open_of(self, business: str) -> bool:
        """Returns whether a request of this business is still waited for."""
        return any(each.business == business for each in self.open.values())

    def sentence(self, after_s: float) -> str:
        """Returns a sentence about what is open after ``after_s`` seconds, and what to do."""
        silent = self.open.keys() - self.newest.keys()
        if silent:
            return (
                f"no answer to {len(silent)} of {len(self.open)} open requests after {after_s:g} s: "
                "is that lane's worker running? `fanfare status` shows it"
            )
        first = next(iter(self.open.values()))
        count = "1 request is" if len(self.open) == 1 else f"{len(self.open)} requests are"
        return (
            f"{count} not finished after {after_s:g} s{self._waits_for()}; "
            f"`fanfare follow {first.business} --since 1h` goes on telling"
        )

    def _waits_for(self) -> str:
        """Says so if nothing is owed any more but what phones report: one that is off may take days."""
        counts: Counter[str] = Counter()
        for request in self.open:
            counts.update(self.newest[request].counts)
        waiting = sum(counts[word] for word in _HANDED_OFF)
        if not waiting or any(counts[word] for word in _OWED):
            return ""
        messages = "1 message" if waiting == 1 else f"{waiting:,} messages"
        return f": the gateway has {messages} whose phone has not answered yet, as if it were off"

    def _is_end(self, sent: Published, status: Status) -> bool:
        if status.state in (REFUSED, CLOSED) or sent.joins:
            return True
        return self._until == "answered" if isinstance(self._until, str) else self._until(status)


async def wait_for(
    bootstrap: Address,
    sent: Iterable[Published],
    *,
    until: Until,
    timeout_s: float | None,
    since: int | None,
    told: Callable[[Status], None] | None = None,
) -> Mapping[str, Status]:
    """Request to the status that ended the waiting for it; :class:`StillOpenError` after ``timeout_s``.

    ``told`` is called with each merged status of a request that is waited for.
    """
    waiting = Waiting(sent, until)
    listeners = [
        _Listener(bootstrap, business, waiting, at_ms - _EARLIER_MS if since is None else since, told)
        for business, at_ms in waiting.published_ms().items()
    ]
    listening = [asyncio.ensure_future(listener.listen()) for listener in listeners]
    try:
        if listening:
            done, _ = await asyncio.wait(listening, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    if waiting.open:
        position = listeners[0].position if len(listeners) == 1 else None
        raise StillOpenError(waiting.sentence(timeout_s or 0), waiting.newest, position)
    return waiting.newest


class _Listener:
    """Hears one business for a waiting. A request that turns out to be a repeat is looked for in the hour before."""

    def __init__(
        self,
        bootstrap: Address,
        business: str,
        waiting: Waiting,
        since_ms: int,
        told: Callable[[Status], None] | None,
    ) -> None:
        self._bootstrap = bootstrap
        self._business = business
        self._waiting = waiting
        self._since_ms = since_ms
        self._told = told
        self._went_back = False
        self._reading = Reading()

    @property
    def position(self) -> str | None:
        """Where it stands."""
        return None if self._reading.position is None else str(self._reading.position)

    async def listen(self) -> None:
        """Return once nothing of the business is waited for."""
        while self._waiting.open_of(self._business):
            self._reading = Reading()
            words = heard(self._reading, self._bootstrap, self._business, since_ms=self._since_ms)
            async with aclosing(words) as statuses:
                await self._hear(statuses)

    async def _hear(self, statuses: AsyncIterator[Status | None]) -> None:
        async for merged in statuses:
            word = self._reading.word
            if word is None:
                continue
            if self._waiting.hear(word, merged) and merged is not None and self._told is not None:
                self._told(merged)
            if not self._waiting.open_of(self._business):
                return
            if not self._went_back and word.reason == _DUPLICATE and word.request in self._waiting.open:
                self._went_back = True
                self._since_ms -= _REPEATED_WITHIN_MS
                return
