"""Reads which requests of a lane were accepted, from plan's journal, and how far each has come, from the statuses."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing
from typing import Final, NamedTuple

from schemas import topics
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.plan_journal import PlannedBatch
from schemas.status import Status
from schemas.wire.cloudevents import decode_status
from schemas.wire.header import Kind, body_of, head_of
from streams.client.following import Reading, heard
from streams.client.progress import Progress
from streams.kafka.scan import scan
from streams.runtime import clock
from streams.runtime.kafka_access import Address

_EARLIER_MS: Final = 5_000
"""Statuses are looked for from so long before the verdict on: brokers' clocks differ."""
_POLL_S: Final = 1.0
STABLE_S: Final = 1.5
"""Settle speaks about a large request once a second: what has not changed for longer is what it knows."""


class Accepted(NamedTuple):
    """Names a request that plan has accepted."""

    request: str
    lane: Lane
    business: str
    source: str
    id: str
    subject: str
    list: str
    decided_ms: int
    """When plan accepted it, milliseconds since the epoch."""
    expires_ms: int
    """When it expires, milliseconds since the epoch."""
    people: int = 0
    """Recipients that it names; 0 for a list."""


async def accepted(bootstrap: Address, lane: Lane, *, since_ms: int = 0) -> dict[str, Accepted]:
    """Returns the requests of ``lane`` by name, oldest first, as far as plan's journal goes. Raises ``ScanError``."""
    found: dict[str, Accepted] = {}
    async for bite in scan(bootstrap, topics.plans(lane), since_ms=since_ms or None):
        for record in bite:
            found |= {each.request: each for each in _accepted_in(record.value or b"", lane)}
    return found


def _accepted_in(record: bytes, lane: Lane) -> Iterator[Accepted]:
    if head_of(record).kind not in {Kind.PLANNED, Kind.PLAN_RESTATED}:
        return
    for entry in body_of(record, PlannedBatch).entries:
        terms = entry.terms
        if terms is not None and not entry.verdict and (entry.rows is not None or entry.list):
            event = (terms.business, terms.source, terms.id, terms.entity)
            yield Accepted(
                text_of(entry.name), lane, *event, entry.list, entry.decided_ms, terms.expires_ms, len(entry.rows or ())
            )


async def statuses_of(bootstrap: Address, business: str, *, since_ms: int = 0) -> dict[str, Status]:
    """Returns the merged status of each request of a business, as they stand now. Raises ``ScanError``."""
    progress, newest = Progress(), dict[str, Status]()
    async for bite in scan(bootstrap, topics.status(business), since_ms=since_ms or None):
        for record in bite:
            status = decode_status(record.value or b"")
            merged = None if status is None else progress.apply(status)
            if merged is not None:
                newest[merged.request] = merged
    return newest


async def watched(
    bootstrap: Address,
    targets: Iterable[Accepted],
    done: Callable[[Mapping[str, Status]], bool],
    *,
    stable_s: float,
    timeout_s: float,
) -> Mapping[str, Status]:
    """Returns the statuses of some requests of one business once ``done`` has held for ``stable_s``, or after ``timeout_s``."""
    wanted = {each.request: each for each in targets}
    newest: dict[str, Status] = {}
    if not wanted:
        return newest
    first = min(wanted.values(), key=lambda each: each.decided_ms)
    words = heard(Reading(), bootstrap, first.business, since_ms=first.decided_ms - _EARLIER_MS)
    moved = asyncio.Event()
    listening = asyncio.ensure_future(_listen(words, wanted.keys(), newest, moved))
    ends_ms = clock.monotonic_ms() + int(timeout_s * 1000)
    try:
        while clock.monotonic_ms() < ends_ms and not listening.done():
            moved.clear()
            stands = len(newest) == len(wanted) and done(newest)
            left_s = (ends_ms - clock.monotonic_ms()) / 1000
            try:
                async with asyncio.timeout(min(stable_s if stands else _POLL_S, left_s)):
                    await moved.wait()
            except TimeoutError:
                if stands:
                    break
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    return newest


async def _listen(
    words: AsyncGenerator[Status | None, None], wanted: Iterable[str], newest: dict[str, Status], moved: asyncio.Event
) -> None:
    async with aclosing(words) as statuses:
        async for merged in statuses:
            if merged is not None and merged.request in wanted:
                newest[merged.request] = merged
                moved.set()
