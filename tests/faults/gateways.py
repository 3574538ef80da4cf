"""The simulated gateway of a running stack is told to go wrong, and to be well again."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import aiohttp
import msgspec

from schemas.names import Lane
from streams.local.stack import Stack
from streams.simulator.faults import Fault

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
