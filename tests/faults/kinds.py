"""What is done to the processes of a running stack, by name. Each fault returns when the process is back."""

import asyncio
import dataclasses
from typing import Final

from streams.dev.stack.stack import Stack
from streams.runtime import clock
from streams.runtime.ports import free_ports
from streams.runtime.supervisor import Process, ProcessPlan
from tests.faults.scene import SESSION_MS, Scene, slot_of

BACK_S: Final = 60
_OVERSLEPT_S: Final = 2
_GUEST_S: Final = 4
_SERVES_S: Final = 1.5
"""How long a twin serves before the older one is woken."""
_WOKEN_S: Final = 4
"""A woken owner finds out within a tick of its watchdog or a heartbeat; one that has not by now is killed, and no double."""


async def back(process: Process, ends_before: int) -> None:
    """It has ended at least once more and is ready again."""
    async with asyncio.timeout(BACK_S):
        await ended(process, ends_before)
    await process.ready()


async def ended(process: Process, ends_before: int) -> None:
    """It has ended at least once more."""
    while len(process.ended) == ends_before:
        await asyncio.sleep(0.02)


async def kill(scene: Scene) -> None:
    """SIGKILL; brought back in its slot."""
    process, ends = scene.target, len(scene.target.ended)
    scene.harm()
    process.kill()
    await back(process, ends)


async def terminate(scene: Scene) -> None:
    """SIGTERM; brought back in its slot."""
    process, ends = scene.target, len(scene.target.ended)
    scene.harm()
    process.terminate()
    await back(process, ends)


async def pause(scene: Scene) -> None:
    """SIGSTOP beyond the session time-out, SIGCONT: the woken process must end itself and come back.

    One that is only starting owns nothing yet and need not notice, so it is waited for.
    """
    process = scene.target
    await process.ready()
    ends = len(process.ended)
    scene.harm()
    process.pause()
    await asyncio.sleep(SESSION_MS / 1000 + _OVERSLEPT_S)
    process.resume()
    await back(process, ends)


async def point(scene: Scene) -> None:
    """Restarted so that it dies by SIGKILL at a named point, and comes back without it; harmed when it dies."""
    process = scene.target
    scene.done.point = scene.next_point(process.name.partition("-")[0])
    await process.restart(FANFARE_CRASH_AT=f"{scene.done.point}:{scene.rng.randint(1, 4)}")
    ends = len(process.ended)
    async with asyncio.timeout(BACK_S):
        await ended(process, ends)
    scene.done.harmed_ms = clock.now_ms() - (clock.monotonic_ms() - process.ended[ends].at_ms)
    await process.ready()


async def twin(scene: Scene) -> None:
    """Two living owners of one slot: paused, a second one serves in its place, woken; the older has to go."""
    process, ends = scene.target, len(scene.target.ended)
    scene.harm()
    process.pause()
    second = Process(_beside(scene.stack, process, "twin", slot=slot_of(process.name)), say=_unsaid)
    await second.start()
    try:
        await second.ready()
        await asyncio.sleep(_SERVES_S)
        both = process.resume()
        async with asyncio.timeout(_WOKEN_S):
            await ended(process, ends)
        scene.done.double = both and second.running
    except TimeoutError:
        process.kill()
    finally:
        await second.stop()
    await back(process, ends)


async def guest(scene: Scene) -> None:
    """A further worker joins the lane, serves its part for a while and leaves."""
    process = scene.target
    joining = Process(_beside(scene.stack, process, "guest", slot=scene.stack.plan.slots), say=_unsaid)
    scene.harm()
    await joining.start()
    try:
        await joining.ready()
        await asyncio.sleep(_GUEST_S)
    finally:
        await joining.stop()
    await process.ready()


def _beside(stack: Stack, process: Process, word: str, *, slot: int) -> ProcessPlan:
    """The plan of a worker of the lane of ``process``, in ``slot``, on a port of its own."""
    plan, own = process.plan, slot_of(process.name)
    (port,) = free_ports(1)
    base = stack.settings.worker_metrics_port + port - plan.port + 100 * (own - slot)
    return dataclasses.replace(
        plan,
        name=f"{plan.name}-{word}",
        arguments=(*plan.arguments[:-1], str(slot)),
        environment={**plan.environment, "FANFARE_WORKER_METRICS_PORT": str(base)},
        port=port,
        log_path=plan.log_path.with_name(f"{plan.name}-{word}.log"),
    )


def _unsaid(_line: str) -> None:
    """What happens to the one beside is no news."""
