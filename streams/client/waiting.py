"""Waiting for requests: until they are answered, until nothing more becomes of them, or until what the caller says."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias

from schemas.status import Status
from streams.client.errors import StillOpenError
from streams.client.following import Following
from streams.client.progress import CLOSED, REFUSED
from streams.client.receipts import Published

Until: TypeAlias = Literal["answered", "closed"] | Callable[[Status], bool]
"""``answered``: accepted or refused. ``closed``: nothing more becomes of it. Or what is true of a merged status."""

_EARLIER_MS = 5_000
"""Statuses are looked for from so long before the publish on: brokers' clocks differ."""


class Waiting:
    """Which requests are waited for. A refusal ends a request, whatever was waited for, and so does accepting an opt-in. Pure."""

    def __init__(self, sent: Iterable[Published], until: Until) -> None:
        self._until = until
        self.open = {each.request: each for each in sent}
        self.newest: dict[str, Status] = {}

    def hear(self, status: Status) -> None:
        """Take a merged status of any request."""
        sent = self.open.get(status.request)
        if sent is None:
            return
        self.newest[status.request] = status
        if self._is_end(sent, status):
            del self.open[status.request]

    def open_of(self, business: str) -> bool:
        """Whether a request of this business is still waited for."""
        return any(each.business == business for each in self.open.values())

    def sentence(self, after_s: float) -> str:
        """What is open after ``after_s``, and what to do."""
        silent = self.open.keys() - self.newest.keys()
        if silent:
            return (
                f"no answer to {len(silent)} of {len(self.open)} open requests after {after_s:g} s: "
                "is that lane's worker running? `fanfare status` shows it"
            )
        first = next(iter(self.open.values()))
        return (
            f"{len(self.open)} requests are not finished after {after_s:g} s; "
            f"`fanfare explain {first.source} {first.id}` says what happened so far"
        )

    def _is_end(self, sent: Published, status: Status) -> bool:
        if status.state in (REFUSED, CLOSED) or sent.joins:
            return True
        return self._until == "answered" if isinstance(self._until, str) else self._until(status)


async def wait_for(
    bootstrap: str, sent: Iterable[Published], *, until: Until, timeout_s: float, since: int | None
) -> Mapping[str, Status]:
    """Request to the status that ended the waiting for it; :class:`StillOpenError` after ``timeout_s``."""
    waiting = Waiting(sent, until)
    from_ms: dict[str, int] = {}
    for each in waiting.open.values():
        from_ms[each.business] = min(each.at_ms, from_ms.get(each.business, each.at_ms))
    followings = {
        business: Following(bootstrap, business, since_ms=at_ms - _EARLIER_MS if since is None else since)
        for business, at_ms in from_ms.items()
    }
    listening = [
        asyncio.ensure_future(_listen(following, waiting, business)) for business, following in followings.items()
    ]
    if not listening:
        return {}
    try:
        done, _ = await asyncio.wait(listening, timeout=timeout_s, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    if waiting.open:
        position = next(iter(followings.values())).position if len(followings) == 1 else None
        raise StillOpenError(waiting.sentence(timeout_s), waiting.newest, position)
    return waiting.newest


async def _listen(following: Following, waiting: Waiting, business: str) -> None:
    async for status in following:
        waiting.hear(status)
        if not waiting.open_of(business):
            break
    await following.aclose()
