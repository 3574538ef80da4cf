"""A fault campaign: a stack under load, faults by seed, a quiet end, and the auditor's word on all of it."""

import asyncio
import os
import random
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from broker.audit.report import Audit
from schemas.names import Lane
from streams import clock
from streams.auditing import audit_system
from streams.client.client import Client
from streams.processes import Process
from streams.scraping import processes, scrape_all
from streams.settings import raw
from streams.simulator.devices import Profile
from streams.stack import Stack, StackPlan, running
from tests.faults.brokers import NODES
from tests.faults.deck import DELICATE, FAULTS, LONG, Card, cards
from tests.faults.load import LIFETIME_MS, Load
from tests.faults.points import POINTS, Deck
from tests.faults.recovery import gaps, recovery
from tests.faults.scene import SESSION_MS, Done, Fault, Place, Scene, lane_of, places_of
from tests.faults.witness import Witness

SETTLE_MS: Final = 5_000
PHONES: Final = Profile(stops=200, stops_all=60, blocks=60)
"""Real people, but of a hundred three answer STOP or block: so that stops come all through the run."""
_QUIET_S: Final = LIFETIME_MS / 1000 + 30
_AFTERMATH_S: Final = 3
"""How long the load goes on after the last fault, or its recovery would not be seen."""
_LOOK_S: Final = 0.1
_KEYS: Final = ("unfinished", "visible_twice", "charged_twice", "uncharged", "contradictions", "late_after_stop")


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
    deck: tuple[Card, ...] = ()
    """Which faults; empty: those of :func:`cards`."""
    done: list[Done] = field(default_factory=list)
    audit: Audit | None = None
    witness: Witness | None = None
    repeated: int = 0
    load: list[float] = field(default_factory=list)
    """The machine's run queue (its mean over a minute) at each fault: above its cores, every start takes longer."""

    async def run(self, say: Callable[[str], None]) -> None:
        """The whole of it. Raises what a stack raises if a process does not come back, and what a fault finds wrong."""
        async with running(self._plan(), say=say) as stack:
            async with Client(stack.bootstrap) as client:
                load = Load(
                    client,
                    f"faults-{self.seed}-{clock.now_ms()}",
                    pepper=raw(stack.settings.pepper),
                    shards=stack.settings.shards,
                    per_second=self.per_second,
                )
                await load.opt_in()
                publishing = asyncio.create_task(load.publish())
                await _Harm(self, stack, load, say).run()
                await asyncio.sleep(_AFTERMATH_S)
                load.stop()
                await publishing
            say(f"{len(self.done)} faults done, {load.asked:,} messages asked for; waiting for quiet")
            self.repeated = load.repeated
            await _quiet(stack)
            self.audit = await audit_system(stack.settings)
            self.witness = Witness(stack.settings.data_dir)

    def summary(self) -> dict[str, object]:
        """The last line."""
        assert self.audit is not None
        assert self.witness is not None
        counts = self.audit.summary()
        figures: dict[str, object] = {"faults": len(self.done), "messages": counts["accepted"]}
        return {
            **figures,
            **{key: counts[key] for key in _KEYS},
            "violations": counts["violations"],
            "recovery_s": {name: each.figures() for name, each in recovery(self.done, self.witness.handed).items()},
            "gap_s": gaps(self.done, self.witness.handed),
            "doubles": sum(fault.double for fault in self.done),
            "doubles_by": dict(sorted(Counter(fault.kind for fault in self.done if fault.double).items())),
            "points": dict(sorted(Counter(fault.point for fault in self.done if fault.point).items())),
            "stops": self.witness.stops,
            "published_again": self.repeated,
            "run_queue": {"cores": os.cpu_count(), "p50": statistics.median(self.load), "max": max(self.load)},
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
            gateway_options=("--no-limits", "--profile", str(phones.absolute())),
            fields={"settle_ms": SETTLE_MS, "session_timeout_ms": SESSION_MS, "limits": False},
            restarts_a_minute=60,
        )


class _Harm:
    """The faults of one campaign, one after the other, several under way at a time."""

    def __init__(self, campaign: Campaign, stack: Stack, load: Load, say: Callable[[str], None]) -> None:
        self._campaign = campaign
        self._stack = stack
        self._load = load
        self._say = say
        self._rng = random.Random(campaign.seed)
        self._deck = Deck(campaign.deck or cards(campaign.nodes), self._rng)
        self._points = {kind: Deck(names, self._rng) for kind, names in POINTS.items()}
        self._long: Counter[str] = Counter()
        self._under_way: dict[asyncio.Task[None], Done] = {}

    async def run(self) -> None:
        """All of them; returns when everything is back. Raises the first thing that a fault finds wrong."""
        campaign = self._campaign
        while len(campaign.done) < campaign.faults:
            await asyncio.sleep(campaign.every_s)
            card = self._deck.deal()
            alone = card.kind in LONG and self._long[card.kind] % 3 != 2
            self._long[card.kind] += card.kind in LONG
            await self._until(partial(self._may, card, alone=alone))
            self._start(card, self._chosen(card))
            if alone:
                await self._until(lambda: not self._under_way)
                await asyncio.sleep(_AFTERMATH_S)
        await self._until(lambda: not self._under_way)

    def _start(self, card: Card, process: Process | None) -> None:
        name = process.name if process is not None else f"kafka-{self._rng.choice(NODES)}"
        done = Done(card.kind, name, self._places(process), began_ms=clock.now_ms(), harmed_ms=clock.now_ms())
        self._campaign.done.append(done)
        self._campaign.load.append(round(os.getloadavg()[0], 1))
        self._say(f"{len(self._campaign.done):>4} {card.kind:<8} {name:<20} {self._load.asked:>9,} messages")
        scene = Scene(self._stack, process, self._rng, lambda kind: self._points[kind].deal(), done)
        self._under_way[asyncio.create_task(_make(FAULTS[card.kind], scene))] = done

    def _places(self, process: Process | None) -> frozenset[Place]:
        shards = self._stack.settings.shards
        if process is None:
            return frozenset((lane, shard) for lane in Lane for shard in range(shards))
        return places_of(process.name, shards=shards, slots=self._campaign.slots)

    def _may(self, card: Card, *, alone: bool) -> bool:
        """Whether a fault may begin now."""
        kinds = {done.kind for done in self._under_way.values()}
        if alone:
            return not kinds
        if card.kind == "broker":
            return not kinds & {"broker", *DELICATE}
        return bool(self._free(card)) and not (card.kind in DELICATE and "broker" in kinds)

    def _chosen(self, card: Card) -> Process | None:
        """Whom to hit, None for a broker: every other time one in a lane that is in no trouble, if there is any."""
        free = self._free(card)
        troubled = {lane for done in self._under_way.values() for lane, _ in done.places}
        calm = [process for process in free if lane_of(process.name) not in troubled]
        if calm and len(self._campaign.done) % 2:
            free = calm
        return self._rng.choice(free) if free else None

    def _free(self, card: Card) -> list[Process]:
        busy = {done.name for done in self._under_way.values()}
        return [
            process
            for name, process in self._stack.processes.items()
            if name.startswith(card.target) and name not in busy
        ]

    async def _until(self, ready: Callable[[], bool]) -> None:
        while True:
            for task in [task for task in self._under_way if task.done()]:
                del self._under_way[task]
                await task
            if ready():
                return
            await asyncio.sleep(_LOOK_S)


async def _make(fault: Fault, scene: Scene) -> None:
    await fault(scene)
    scene.done.ended_ms = clock.now_ms()


async def _quiet(stack: Stack) -> None:
    """Until nothing waits in any worker and receipts have come, at most a message's life and the settle window."""
    ends_ms = clock.monotonic_ms() + int(_QUIET_S * 1000)
    calm = 0
    while clock.monotonic_ms() < ends_ms and calm < 5:
        await asyncio.sleep(1)
        calm = calm + 1 if await _waiting(stack) == 0 else 0
    await asyncio.sleep(SETTLE_MS / 1000)


async def _waiting(stack: Stack) -> float:
    """Records and items that any worker still has in hand."""
    scrapes = await scrape_all(stack.settings, processes(stack.settings))
    return sum(one.total("fanfare_stage_waiting") for one in scrapes)
