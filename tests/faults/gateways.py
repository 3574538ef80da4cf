"""The simulated gateway of a running stack is told to go wrong, and to be well again.

Lent faults stand while their context is open; those of the deck end by themselves, whatever happens to the run.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import aiohttp
import msgspec

from schemas.gateway_api import Code
from schemas.lanes import Lane
from streams.dev.stack.stack import Stack
from streams.simulator.faults import Fault, FaultKind
from tests.faults.scene import Scene, lane_of

ILL_S: Final = 8.0
"""How long a gateway of the deck is ill, throttles, or has a wrong clock."""
SKEWS_MS: Final = (1_500, -1_500)
_RETRY_AFTER_MS: Final = 400

Lent = Callable[[Stack], AbstractAsyncContextManager[None]]
"""A fault that stands while its context is open."""


def gateway_fault(lane: Lane, fault: Fault) -> Lent:
    """The simulated gateway of ``lane`` goes wrong until it is told to be well."""

    @contextlib.asynccontextmanager
    async def lent(stack: Stack) -> AsyncIterator[None]:
        url = f"{stack.settings.gateway_url(lane)}/v1/faults"
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.post(url, data=msgspec.json.encode([fault]))
            try:
                yield
            finally:
                await session.delete(url)

    return lent


async def ill(scene: Scene) -> None:
    """Every message is refused as *service unavailable* for :data:`ILL_S`."""
    await _for_a_while(scene, Fault(FaultKind.MESSAGE, code=Code.SERVICE_UNAVAILABLE))


async def throttling(scene: Scene) -> None:
    """Two frames of three are refused with 429 and Retry-After for :data:`ILL_S`."""
    await _for_a_while(scene, Fault(FaultKind.THROTTLE, rate=2 / 3, ms=_RETRY_AFTER_MS))


async def skewed(scene: Scene) -> None:
    """The clock is ahead, or behind, for :data:`ILL_S`."""
    await _for_a_while(scene, Fault(FaultKind.SKEW, ms=scene.rng.choice(SKEWS_MS)))


async def _for_a_while(scene: Scene, fault: Fault) -> None:
    lane = lane_of(scene.target.name)
    assert lane is not None
    fault.for_ms = int(ILL_S * 1000)
    await scene.target.ready()
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        url = f"{scene.stack.settings.gateway_url(lane)}/v1/faults"
        scene.harm()
        await session.post(url, data=msgspec.json.encode([fault]))
    await asyncio.sleep(ILL_S)
