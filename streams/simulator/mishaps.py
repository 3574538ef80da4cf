"""How a fault looks from outside: what happens to a frame's HTTP exchange before and after it is judged."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from streams.simulator.faults import Fault, FaultKind

_STEPS: Final = 10


async def before(
    fault: Fault | None, request: web.Request, refuse: Callable[[int], Awaitable[None]]
) -> web.Response | None:
    """What a fault does before anything is taken; None if the frame is to be judged. ``refuse`` closes the listener."""
    if fault is None:
        return None
    match fault.kind:
        case FaultKind.LATENCY:
            await asyncio.sleep(fault.ms / 1_000)
        case FaultKind.THROTTLE:
            return web.Response(status=429, headers=_retry_after(fault))
        case FaultKind.UNAVAILABLE:
            return web.Response(status=503, headers=_retry_after(fault))
        case FaultKind.ERROR:
            return web.Response(status=500)
        case FaultKind.RESET:
            return _cut(request)
        case FaultKind.REFUSE:
            await refuse(fault.ms)
            return _cut(request)
        case _:
            pass
    return None


async def after(fault: Fault | None, request: web.Request, answer: web.Response) -> web.StreamResponse:
    """What a fault does to an answer that already stands in the log."""
    if fault is None:
        return answer
    match fault.kind:
        case FaultKind.ACCEPT_THEN_SILENCE:
            await asyncio.sleep(fault.ms / 1_000)
            return _cut(request)
        case FaultKind.ACCEPT_THEN_ERROR:
            return web.Response(status=500)
        case FaultKind.ACCEPT_THEN_RESET:
            return _cut(request)
        case FaultKind.ACCEPT_THEN_DIE:
            os.kill(os.getpid(), signal.SIGKILL)
        case FaultKind.SLOW_BODY:
            return await _trickle(fault, request, answer)
        case _:
            pass
    return answer


def _retry_after(fault: Fault) -> dict[str, str]:
    return {"Retry-After": f"{fault.ms / 1_000:g}"}


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _trickle(fault: Fault, request: web.Request, answer: web.Response) -> web.StreamResponse:
    body = answer.body
    assert isinstance(body, bytes)
    slow = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    slow.content_length = len(body)
    await slow.prepare(request)
    step = len(body) // _STEPS + 1
    for at in range(0, len(body), step):
        await asyncio.sleep(fault.ms / 1_000 / _STEPS)
        await slow.write(body[at : at + step])
    return slow
