"""A fault campaign: a stack under load, faults by seed, a quiet end, and the auditor's word on all of it."""

import asyncio
import random
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from broker.audit.report import Audit
from schemas.names import Lane
from schemas.wire.frames import GatewayEvent
from streams import clock
from streams.auditing import audit_system
from streams.client.client import Client
from streams.processes import Process
from streams.scraping import processes, scrape_all
from streams.simulator.eventlog import FILE_NAME, read
from streams.simulator.program import log_folder
from streams.stack import Stack, StackPlan, running
from tests.faults.kinds import OF_OTHERS, OF_WORKERS, SESSION_MS, Fault, lane_of
from tests.faults.load import LIFETIME_MS, Load

SETTLE_MS: Final = 5_000
_QUIET_S: Final = LIFETIME_MS / 1000 + 30


@dataclass(frozen=True)
class Done:
    """One fault that was made."""

    kind: str
    name: str
    at_ms: int


@dataclass
class Campaign:
    """What is to be done, and what came of it."""

    seed: int
    faults: int
    per_second: int
    every_s: float
    data: Path
    nodes: int = 1
    done: list[Done] = field(default_factory=list)
    audit: Audit | None = None
    recovery_s: dict[str, list[float]] = field(default_factory=dict)

    async def run(self, say: Callable[[str], None]) -> None:
        """The whole of it. Raises what a stack raises if a process does not come back."""
        fields = {"settle_ms": SETTLE_MS, "session_timeout_ms": SESSION_MS, "limits": False}
        plan = StackPlan(
            data=self.data,
            nodes=self.nodes,
            free_ports=True,
            gateway_options=("--no-limits",),
            fields=fields,
            restarts_a_minute=60,
        )
        async with running(plan, say=say) as stack:
            async with Client(stack.bootstrap) as client:
                load = Load(client, f"faults-{self.seed}-{clock.now_ms()}", self.per_second)
                await load.opt_in()
                publishing = asyncio.create_task(load.publish())
                await self._harm(stack, load, say)
                load.stop()
                await publishing
            say(f"{len(self.done)} faults done, {load.asked:,} messages asked for; waiting for quiet")
            await self._quiet(stack)
            self.audit = await audit_system(stack.settings)
            self.recovery_s = self._recovery(stack)

    async def _harm(self, stack: Stack, load: Load, say: Callable[[str], None]) -> None:
        rng = random.Random(self.seed)
        busy: set[str] = set()
        under_way: set[asyncio.Task[None]] = set()
        while len(self.done) < self.faults:
            await asyncio.sleep(self.every_s)
            kind, fault, process = _choice(rng, stack, busy)
            self.done.append(Done(kind, process.name, clock.now_ms()))
            say(f"{len(self.done):>4} {kind:<8} {process.name:<20} {load.asked:>9,} messages")
            busy.add(process.name)
            task = asyncio.create_task(fault(stack, process, rng))
            task.add_done_callback(lambda _task, name=process.name: busy.discard(name))  # type: ignore[misc]
            under_way.add(task)
        await asyncio.gather(*under_way)

    async def _quiet(self, stack: Stack) -> None:
        """Until nothing waits in any worker and receipts have come, at most a message's life and the settle window."""
        ends_ms = clock.monotonic_ms() + int(_QUIET_S * 1000)
        calm = 0
        while clock.monotonic_ms() < ends_ms and calm < 5:
            await asyncio.sleep(1)
            calm = calm + 1 if await _waiting(stack) == 0 else 0
        await asyncio.sleep(SETTLE_MS / 1000)

    def _recovery(self, stack: Stack) -> dict[str, list[float]]:
        """By kind: seconds from a fault of a worker or gateway until each shard of its lane had handed something off again."""
        handed = {lane: _hand_offs(log_folder(stack.settings.data_dir, lane) / FILE_NAME) for lane in Lane}
        found: dict[str, list[float]] = defaultdict(list)
        for fault in self.done:
            lane = lane_of(fault.name)
            if lane is None:
                continue
            nexts = [next((at for at in times if at > fault.at_ms), None) for times in handed[lane].values()]
            later = [at - fault.at_ms for at in nexts if at is not None]
            if later:
                found[f"{fault.kind} {fault.name.split('-')[0]}"].append(max(later) / 1000)
        return dict(found)

    def summary(self) -> dict[str, object]:
        """The last line."""
        assert self.audit is not None
        counts = self.audit.summary()
        keys = ("unfinished", "visible_twice", "charged_twice", "uncharged", "contradictions", "late_after_stop")
        recovery = {
            kind: {"n": len(times), "p50": round(statistics.median(times), 2), "max": round(max(times), 2)}
            for kind, times in sorted(self.recovery_s.items())
        }
        figures: dict[str, object] = {"faults": len(self.done), "messages": counts["accepted"]}
        return {
            **figures,
            **{key: counts[key] for key in keys},
            "violations": counts["violations"],
            "recovery_s": recovery,
        }


def _choice(rng: random.Random, stack: Stack, busy: set[str]) -> tuple[str, Fault, Process]:
    free = [process for name, process in stack.processes.items() if name not in busy]
    workers = [process for process in free if process.name.startswith("worker")]
    process = rng.choice(workers) if workers and rng.random() < 0.75 else rng.choice(free)
    kinds = OF_WORKERS if process.name.startswith("worker") else OF_OTHERS
    names = [name for name in kinds if not (process.name.startswith("gateway") and name == "point")]
    kind = rng.choice(names)
    return kind, kinds[kind], process


def _hand_offs(path: Path) -> dict[int, list[int]]:
    times: dict[int, list[int]] = defaultdict(list)
    for event in read(path, GatewayEvent) if path.exists() else ():
        if event.event == "accepted" and not event.test:
            times[event.shard].append(event.at_ms)
    return times


async def _waiting(stack: Stack) -> float:
    """Records and items that any worker still has in hand."""
    scrapes = await scrape_all(stack.settings, processes(stack.settings))
    return sum(one.total("fanfare_stage_waiting") for one in scrapes)
