"""The keeper of one process: what ends is started again; what ends at once waits between attempts, and is never left down."""

import asyncio
import os
from pathlib import Path

import pytest

from schemas.lanes import Lane
from streams.dev.kafka.properties import HOST
from streams.runtime.child import Progress, doing
from streams.runtime.ports import free_ports
from streams.runtime.settings import child_environment, load
from streams.runtime.supervisor import Process, ProcessError, ProcessPlan
from tests.support.programs import until

REGISTRY = Path(__file__).parents[2] / "deploy" / "dev"


NO_SUCH_COMMAND = 2
"""Exit status."""


def broken(folder: Path, *, brake_s: float, final: frozenset[int] = frozenset()) -> tuple[Process, list[str]]:
    """A process that cannot run, as there is no such command; and what is said of it."""
    said: list[str] = []
    plan = ProcessPlan("worker", ("no-such-command",), {}, "127.0.0.1", 1, folder / "log", 1, brake_s, final=final)
    return Process(plan, say=said.append), said


def gateway(folder: Path, *, still_s: float = 15) -> tuple[Process, list[str]]:
    """A gateway that can run, without a Kafka; and what is said of it."""
    said: list[str] = []
    port, base = free_ports(2)
    command = ("gateway", "--lane", "campaign", "--port", str(port), "--data", str(folder), "--registry", str(REGISTRY))
    answers = load(gateway_metrics_port=base).gateway_metrics(Lane.CAMPAIGN)
    environment = child_environment(gateway_metrics_port=base)
    plan = ProcessPlan("gateway", command, environment, HOST, answers, folder / "log", still_s=still_s)
    return Process(plan, say=said.append), said


async def test_what_ends_at_once_is_tried_again_after_a_pause(tmp_path: Path) -> None:
    """Kafka may come back: a process that could not run a minute ago may run now."""
    process, said = broken(tmp_path, brake_s=0.1)
    await process.start()
    with pytest.raises(ProcessError, match=r"no command .no-such-command"):
        await process.ready(deadline_s=30)
    async with asyncio.timeout(30):
        while process.starts < 4:
            await asyncio.sleep(0.05)
    await process.stop()
    assert process.braked
    assert len(said) == 2
    assert said[0] == "worker ended (status 2); started again"
    assert said[1].startswith("worker ended 2 times within a minute and is tried every 0 s; the last line of ")


async def test_what_would_end_the_same_way_stays_down(tmp_path: Path) -> None:
    """It is started once; whoever waits for it is told at once, with the last line of its log."""
    process, said = broken(tmp_path, brake_s=0.1, final=frozenset({NO_SUCH_COMMAND}))
    await process.start()
    with pytest.raises(ProcessError, match=r"no command .no-such-command"):
        await process.ready(deadline_s=30)
    assert (process.starts, process.running) == (1, False)
    assert said == [f"worker ended (status 2) and stays down; {tmp_path / 'log'} says why"]
    await process.stop()


async def test_who_waits_through_a_restart_gets_the_new_one(tmp_path: Path) -> None:
    """Stopped in order to be started again is not stopped for good; that is said at once."""
    process, _ = gateway(tmp_path)
    await process.start()
    await process.ready()
    restart = asyncio.create_task(process.restart())
    while process.running:
        await asyncio.sleep(0)
    await process.ready()
    assert (process.starts, process.running) == (2, True)
    await restart
    await process.stop()
    with pytest.raises(ProcessError, match="gateway is not running"):
        await process.ready()


async def test_a_start_that_stands_still_is_replaced(tmp_path: Path) -> None:
    """A child that neither prints anything nor uses the processor is killed, and the next one serves; who waits is not told."""
    process, said = gateway(tmp_path, still_s=3)
    await process.start()
    process.pause()
    await process.ready()
    assert said[0].startswith("gateway stands still at its start (stopped by a signal, ")
    assert said[1:] == ["gateway ended (SIGKILL); started again"]
    assert process.starts == 2
    await process.stop()


async def test_a_process_that_has_spoken_is_let_be(tmp_path: Path) -> None:
    """Whatever it waits for, its log says it: at the deadline the failure tells what it does."""
    process, said = gateway(tmp_path, still_s=0.2)
    await process.start()
    await until(lambda: process.plan.log_path.stat().st_size > 0)
    process.pause()
    with pytest.raises(ProcessError, match=r"was not ready after 1 s \(does not answer; stopped by a signal, \d"):
        await process.ready(deadline_s=1)
    assert (process.starts, said) == (1, [])
    await process.stop()


def test_only_idle_time_of_one_process_counts() -> None:
    """A process that works is not idle, nor is one that has just taken the place of another."""
    progress, me = Progress(), os.getpid()
    assert progress.idle_ms(me, 1_000) == 0
    while (before := doing(me)) == doing(me):
        pass
    assert before is not None
    assert progress.idle_ms(me, 2_000) == 0
    assert progress.idle_ms(os.getppid(), 3_000) == 0
    assert (progress.idle_ms(0, 4_000), doing(0)) == (0, None)


async def test_a_pause_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """Ctrl-C while one waits to be tried again ends at once."""
    process, _ = broken(tmp_path, brake_s=1_000)
    await process.start()
    async with asyncio.timeout(30):
        while not process.braked:
            await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        await process.stop()
    assert (process.starts, process.running) == (2, False)
