"""What the load programs measure with: CPU of processes, what the gateway accepted and when, a steady pace.

A message's way is timed from its event's ``time`` (set as it is published) to ``at_ms`` of the ``accepted`` line in the
gateway's own log: two readings of one machine's clock in whole milliseconds, so a single figure is off by at most one.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from random import Random

import msgspec
import psutil

from schemas.lanes import Lane
from streams.dev.stack.stack import Stack
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.program import log_folder

_ASK_EVERY_S = 0.5


def say(line: str) -> None:
    """One line for whoever watches."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def end(figures: Mapping[str, object]) -> None:
    """The last line: the figures as one line of JSON."""
    say(json.dumps(figures))


class Seen(msgspec.Struct, frozen=True):
    """The part of a :class:`schemas.gateway_api.GatewayEvent` that times a message."""

    event: str
    at_ms: int
    request: str = ""


def cpu_us_of(pid: int) -> int:
    """CPU time that a process has used so far, its threads included, microseconds."""
    used = psutil.Process(pid).cpu_times()
    return round((used.user + used.system) * 1_000_000)


def cpu_by_process(stack: Stack) -> dict[str, int]:
    """CPU time so far of each process of a stack that runs, and of Kafka's nodes, microseconds."""
    used = {name: cpu_us_of(process.pid) for name, process in stack.processes.items() if process.pid}
    if stack.cluster is not None:
        used["kafka"] = sum(map(cpu_us_of, stack.cluster.java_pids))
    return used


def cpu_seconds(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, float]:
    """Seconds of CPU by process between two readings of :func:`cpu_by_process`."""
    return {name: round((after[name] - before.get(name, 0)) / 1_000_000, 1) for name in after}


def accepted(stack: Stack, lane: Lane) -> dict[str, int]:
    """Request to the gateway's time of taking it, of all that it has taken in a lane."""
    path = log_folder(stack.settings.data_dir, lane) / FILE_NAME
    if not path.exists():
        return {}
    return {seen.request: seen.at_ms for seen in read(path, Seen) if seen.event == "accepted"}


async def all_accepted(stack: Stack, lane: Lane, wanted: Iterable[str], *, deadline_s: float = 60) -> dict[str, int]:
    """Wait until the gateway has taken every request of ``wanted``; what it has taken by the deadline if it has not."""
    missing = set(wanted)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + deadline_s
    while missing - (taken := accepted(stack, lane)).keys() and loop.time() < until_s:
        await asyncio.sleep(_ASK_EVERY_S)
    return taken


def ages(sent: Mapping[str, int], taken: Mapping[str, int]) -> list[int]:
    """From each request's publish to its acceptance, ascending, milliseconds; what was not taken is left out."""
    return sorted(taken[name] - at_ms for name, at_ms in sent.items() if name in taken)


async def at_pace(act: Callable[[int], Awaitable[None]], *, per_s: float, count: int, seed: int) -> None:
    """Call ``act(0)``, ``act(1)`` ... at the instants of a Poisson process; none waits for those before it.

    A late start of one does not delay the schedule of the next, so a stall is seen by everybody whom it keeps waiting.
    """
    dice, loop = Random(seed), asyncio.get_running_loop()
    due_s = loop.time()
    async with asyncio.TaskGroup() as acts:
        for number in range(count):
            due_s += dice.expovariate(per_s)
            if (wait_s := due_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            acts.create_task(_done(act(number)))


async def _done(act: Awaitable[None]) -> None:
    await act
