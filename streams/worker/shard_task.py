"""Runs the task of a stage's shard under the current assignment, woken by events, that never ends quietly.

A task that returns or fails while its shard is still assigned is a silent stand-still, for the group sees a healthy member:
the process ends instead. Each wait is bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.wire.header import NewerRecordError
from streams.kafka.journal_terms import NotAssignedError
from streams.runtime import clock
from streams.runtime.exits import Exit, fatal

IDLE_S = 0.25
"""The longest a shard sleeps: what falls due without an event is noticed this late at the most."""
POLL_S = 0.005
"""Seconds until it asks again for what should be there in a moment, a fresh tail mostly."""


SETTLING_BEAT_MS: Final = 50
"""The beat of settle, where nobody waits."""


class Wake:
    """An event that is waited for with a bound.

    With a *beat*, whoever sleeps wakes at the next multiple of it: what comes within one is worked on
    together, and the shards of a process append together, which a producer sends as one request. Who has work does not sleep.
    """

    def __init__(self, beat_ms: int = 0) -> None:
        self._event = asyncio.Event()
        self._beat_ms = beat_ms

    def set(self) -> None:
        """Something happened."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Until something happens, at most ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
            if self._beat_ms:
                await asyncio.sleep((self._beat_ms - clock.monotonic_ms() % self._beat_ms) / 1000)
        except TimeoutError:
            return
        finally:
            self._event.clear()


class ShardTask:
    """The running task of one stage in one shard."""

    def __init__(self, stage: str, shard: int) -> None:
        self._stage = stage
        self._shard = shard
        self._task: asyncio.Task[None] | None = None

    def start(self, run: Callable[[], Awaitable[None]]) -> None:
        """Run under the new assignment."""
        self._task = asyncio.ensure_future(self._guarded(run))

    async def _guarded(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except NotAssignedError:
            return
        except NewerRecordError as error:
            detail = f"a record was written by a newer release ({error}): start that one"
            fatal(Exit.REFUSED_START, step=self._stage, shard=self._shard, detail=detail)
        except Exception:  # noqa: BLE001 - the entry of a stage: crash-only, logged once with its place
            fatal(Exit.CRASHED, step=self._stage, shard=self._shard)
        fatal(Exit.CRASHED, step=f"{self._stage}_ended", shard=self._shard)

    async def stop(self) -> None:
        """Stop at the next await; nothing needs flushing, the journal has it all."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait([task], timeout=1.0)
