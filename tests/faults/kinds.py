"""What is done to a running stack, by name. Each fault returns when the process is back."""

import asyncio
import dataclasses
import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

from schemas.names import Lane
from streams.processes import Process, ProcessPlan
from streams.stack import Stack

SESSION_MS: Final = 6_000
POINTS: Final = (
    "plan.claimed",
    "plan.decided",
    "plan.written",
    "deliver.claimed",
    "deliver.decided",
    "deliver.frame",
    "settle.charge",
    "settle.charged",
)
OTHER_POINTS: Final = {
    "ledger": ("ledger.charge", "ledger.posted", "ledger.committed"),
    "webhook": ("webhook.appended",),
}
_TWIN_PORTS: Final = 400


async def _back(process: Process, ends_before: int) -> None:
    """It has ended at least once more and is ready again."""
    async with asyncio.timeout(60):
        while len(process.ended) == ends_before:
            await asyncio.sleep(0.02)
    await process.ready()


async def kill(_stack: Stack, process: Process, _rng: random.Random) -> None:
    """SIGKILL; brought back in its slot."""
    ends = len(process.ended)
    process.kill()
    await _back(process, ends)


async def terminate(_stack: Stack, process: Process, _rng: random.Random) -> None:
    """SIGTERM; brought back in its slot."""
    ends = len(process.ended)
    process.terminate()
    await _back(process, ends)


async def pause(_stack: Stack, process: Process, _rng: random.Random) -> None:
    """SIGSTOP beyond the session time-out, SIGCONT: the woken process must end itself and come back."""
    ends = len(process.ended)
    process.pause()
    await asyncio.sleep(SESSION_MS / 1000 + 2)
    process.resume()
    await _back(process, ends)


async def point(_stack: Stack, process: Process, rng: random.Random) -> None:
    """Restarted so that it dies by SIGKILL at a named point, and comes back without it."""
    names = OTHER_POINTS.get(process.name, POINTS)
    await process.restart(FANFARE_CRASH_AT=f"{rng.choice(names)}:{rng.randint(1, 4)}")
    ends = len(process.ended)
    await _back(process, ends)


async def twin(stack: Stack, process: Process, _rng: random.Random) -> None:
    """Two living owners of one slot: paused, a second one started in its place, woken; the older has to go."""
    ends = len(process.ended)
    process.pause()
    second = Process(_twin_of(stack, process), say=lambda _line: None)
    await second.start()
    await asyncio.sleep(2.5)
    process.resume()
    await asyncio.sleep(1.0)
    await second.stop()
    if len(process.ended) == ends:
        process.kill()
    await _back(process, ends)


def _twin_of(stack: Stack, process: Process) -> ProcessPlan:
    plan = process.plan
    base = stack.settings.worker_metrics_port + _TWIN_PORTS
    environment = {**plan.environment, "FANFARE_WORKER_METRICS_PORT": str(base)}
    return dataclasses.replace(plan, name=f"{plan.name}-twin", environment=environment, port=plan.port + _TWIN_PORTS)


Fault = Callable[[Stack, Process, random.Random], Coroutine[None, None, None]]

OF_WORKERS: Final[Mapping[str, Fault]] = {
    "kill": kill,
    "point": point,
    "sigterm": terminate,
    "sigstop": pause,
    "twin": twin,
}
OF_OTHERS: Final[Mapping[str, Fault]] = {"kill": kill, "point": point}


def lane_of(name: str) -> Lane | None:
    """The lane whose hand-offs a fault of the process called ``name`` may silence."""
    return next((lane for lane in Lane if f"-{lane.word}" in name), None)
