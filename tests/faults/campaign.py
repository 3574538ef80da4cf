"""A fault campaign: a stack under load, faults by seed, a quiet end, and the auditor's word on all of it."""

import asyncio
import contextlib
import os
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from broker.audit.limit_checks import nearest
from broker.audit.report import Audit
from schemas.reasons import Reason
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.operate.audit import audit_system
from streams.operate.scrape import processes, scrape_all
from streams.runtime import clock
from streams.simulator.phone_users import Profile
from tests.faults import binding
from tests.faults.binding import Binding
from tests.faults.deck import Card, cards
from tests.faults.harm import AFTERMATH_S, Harm, Order
from tests.faults.load import LIFETIME_MS, SENDERS, Load, loading
from tests.faults.recovery import gaps, recovery
from tests.faults.scene import SESSION_MS, Done
from tests.faults.witness import Witness
from tests.load.promises import switched_off
from tests.load.senders import registry_with

SETTLE_MS: Final = 5_000
PHONES: Final = Profile(stops=200, stops_all=60, blocks=60)
"""Real people, but of a hundred three answer STOP or block: so that stops come all through the run."""
_SLACK_MS: Final = 30_000
_RATES: Final = 6
"""So many lanes of numbers are named with their busiest second."""
_FORBIDDEN: Final = (Reason.STOPPED, Reason.STOPPED_ALL, Reason.BLOCKED)
"""States of messages that were not handed off because somebody had answered STOP or blocked."""
KEYS: Final = (
    "unfinished",
    "visible_twice",
    "charged_twice",
    "uncharged",
    "contradictions",
    "late_after_stop",
    "leavers",
    "rate_exceeded",
    "ended_early",
)


@dataclass
class Campaign:
    """What is to be done, and what came of it."""

    seed: int
    faults: int
    per_second: int
    every_s: float
    data: Path
    nodes: int = 1
    slots: int = 1
    binding: bool = True
    """Whether a load whose limit binds goes beside the other."""
    deck: tuple[Card, ...] = ()
    """Which faults; empty: those of :func:`cards`."""
    done: list[Done] = field(default_factory=list)
    audit: Audit | None = None
    witness: Witness | None = None
    repeated: int = 0
    left: int = 0
    switched_off: list[str] = field(default_factory=list)
    run_queue: list[float] = field(default_factory=list)

    async def run(self, say: Callable[[str], None]) -> None:
        """The whole of it. Raises what a stack raises if a process does not come back, and what a fault finds wrong."""
        async with running(self._plan(), say=say) as stack:
            self.switched_off = switched_off(stack.settings, stack.plan.gateway_options)
            name = f"faults-{self.seed}"
            async with loading(stack, name, per_second=self.per_second) as load, self._binding(stack, name) as bound:
                await self._harm(stack, load, say)
                await asyncio.sleep(AFTERMATH_S)
            asked = load.asked + (bound.asked if bound else 0)
            say(f"{len(self.done)} faults done, {asked:,} messages asked for; waiting for quiet")
            self.repeated, self.left = load.repeated, load.left
            await quiet(stack, LIFETIME_MS if bound is None else max(LIFETIME_MS, binding.LIFETIME_MS))
            self.audit = await audit_system(stack.settings)
            self.witness = Witness(stack.settings.data_dir)

    @contextlib.asynccontextmanager
    async def _binding(self, stack: Stack, run: str) -> AsyncIterator[Binding | None]:
        """The load whose limit binds, unless it was not asked for."""
        if not self.binding:
            yield None
            return
        async with binding.loading(stack, run) as load:
            yield load

    async def _harm(self, stack: Stack, load: Load, say: Callable[[str], None]) -> None:
        order = Order(self.seed, self.faults, self.every_s, self.deck or cards(self.nodes))
        harm = Harm(order, stack, lambda line: say(f"{line:<35} {load.asked:>9,} messages"))
        self.done, self.run_queue = harm.done, harm.run_queue
        await harm.run()

    def summary(self) -> dict[str, object]:
        """The last line."""
        assert self.audit is not None
        assert self.witness is not None
        counts = self.audit.summary()
        figures: dict[str, object] = {"faults": len(self.done), "messages": counts["accepted"]}
        return {
            **figures,
            **{key: counts[key] for key in KEYS},
            "violations": counts["violations"],
            "recovery_s": {name: each.figures() for name, each in recovery(self.done, self.witness.handed).items()},
            "gap_s": gaps(self.done, self.witness.handed),
            "doubles": sum(fault.double for fault in self.done),
            "doubles_by": dict(sorted(Counter(fault.kind for fault in self.done if fault.double).items())),
            "points": dict(sorted(Counter(fault.point for fault in self.done if fault.point).items())),
            "stops": self.witness.stops,
            "withheld": sum(self.audit.in_state(reason.word) for reason in _FORBIDDEN),
            "left": self.left,
            "published_again": self.repeated,
            "rates": nearest(self.audit.busiest, _RATES),
            "gateway_clock_off_ms": self.audit.counts["gateway_clock_off_ms"],
            "run_queue": {
                "cores": os.cpu_count(),
                "p50": statistics.median(self.run_queue),
                "max": max(self.run_queue),
            },
            "switched_off": self.switched_off,
        }

    def _plan(self) -> StackPlan:
        self.data.mkdir(parents=True, exist_ok=True)
        phones = self.data / "phones.json"
        phones.write_bytes(msgspec.json.encode(PHONES))
        return StackPlan(
            data=self.data,
            nodes=self.nodes,
            slots=self.slots,
            free_ports=True,
            registry=registry_with(self.data / "registry", *SENDERS, *binding.SENDERS),
            gateway_options=("--profile", str(phones.absolute())),
            fields={"settle_ms": SETTLE_MS, "session_timeout_ms": SESSION_MS},
            restarts_a_minute=60,
        )


async def quiet(stack: Stack, life_ms: int = LIFETIME_MS) -> None:
    """Until nothing waits in any worker and receipts have come, at most a message's life and the settle window."""
    ends_ms = clock.monotonic_ms() + life_ms + _SLACK_MS
    calm = 0
    while clock.monotonic_ms() < ends_ms and calm < 5:
        await asyncio.sleep(1)
        calm = calm + 1 if await _waiting(stack) == 0 else 0
    await asyncio.sleep(SETTLE_MS / 1000)


async def _waiting(stack: Stack) -> float:
    """Records and items that any worker still has in hand."""
    scrapes = await scrape_all(stack.settings, processes(stack.settings))
    return sum(one.total("fanfare_stage_waiting") for one in scrapes)
