"""Keeping the listener processes alive: a killed one comes back in its place, all end together.

Each child's standard input is a pipe of ours that nothing is written to: it ends when we do, however we end, and the
child stops by it.
"""

import asyncio
import contextlib
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Final

from streams.runtime.signals import stop_asked

_AGAIN_AFTER_S: Final = 0.5
_STOP_S: Final = 5
_REFUSED: Final = frozenset({0, 1, 2})
"""Exit statuses after which starting again would end the same way."""


async def keep_alive(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> int:
    """Run ``commands`` until SIGINT or SIGTERM, or until one of them refuses to start; returns the exit status."""
    stop = stop_asked()
    statuses = await asyncio.gather(*(_keep(command, environment, stop) for command in commands))
    return max(statuses)


async def _keep(command: Sequence[str], environment: Mapping[str, str], stop: asyncio.Event) -> int:
    while True:
        child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, env=dict(environment))
        if not await _ended_first(child, stop):
            return await _end(child)
        status = await child.wait()
        if status in _REFUSED:
            stop.set()
            return status
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN_AFTER_S):
                await stop.wait()
        if stop.is_set():
            return 0


async def _ended_first(child: Process, stop: asyncio.Event) -> bool:
    ended, told = asyncio.create_task(child.wait()), asyncio.create_task(stop.wait())
    done, waiting = await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    return ended in done


async def _end(child: Process) -> int:
    """Ask, then insist."""
    if child.returncode is None:
        child.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            return await child.wait()
    except TimeoutError:
        child.kill()
        return await child.wait()
