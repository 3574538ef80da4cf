"""Faults at intervals, by seed: which, whom, and which of them wait for others to be over."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from schemas.lanes import Lane
from streams.dev.stack.stack import Stack
from streams.runtime import clock
from streams.runtime.supervisor import Process
from tests.faults.deck import BROKER, DELICATE, FAULTS, LONG, Card
from tests.faults.points import POINTS, Deck
from tests.faults.scene import Done, Fault, Place, Scene, lane_of, places_of

AFTERMATH_S: Final = 3
"""How long the load goes on undisturbed after a fault that has to be measured."""
_LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done: ``faults`` cards of the deck, ``every_s`` seconds between two of them."""

    seed: int
    faults: int
    every_s: float
    deck: tuple[Card, ...]


class Harm:
    """The faults of one campaign, one after the other, several under way at a time."""

    def __init__(self, order: Order, stack: Stack, say: Callable[[str], None]) -> None:
        self.done: list[Done] = []
        self.run_queue: list[float] = []
        """The machine's, its mean over a minute, at each fault: above its cores, every start takes longer."""
        self._order = order
        self._stack = stack
        self._say = say
        self._rng = random.Random(order.seed)
        self._deck = Deck(order.deck, self._rng)
        self._points = {kind: Deck(names, self._rng) for kind, names in POINTS.items()}
        self._long: Counter[str] = Counter()
        self._under_way: dict[asyncio.Task[None], Done] = {}

    async def run(self) -> None:
        """All of them; returns when everything is back. Raises the first thing that a fault finds wrong."""
        while len(self.done) < self._order.faults:
            await asyncio.sleep(self._order.every_s)
            card = self._deck.deal()
            alone = card.kind in LONG and self._long[card.kind] % 3 != 2
            self._long[card.kind] += card.kind in LONG
            await self._until(partial(self._may, card, alone=alone))
            self._start(card, self._chosen(card))
            if alone:
                await self._until(lambda: not self._under_way)
                await asyncio.sleep(AFTERMATH_S)
        await self._until(lambda: not self._under_way)

    def _start(self, card: Card, process: Process | None) -> None:
        name = process.name if process is not None else f"{BROKER}-{self._rng.randint(1, self._stack.plan.nodes)}"
        done = Done(card.kind, name, self._places(process), began_ms=clock.now_ms(), harmed_ms=clock.now_ms())
        self.done.append(done)
        self.run_queue.append(round(os.getloadavg()[0], 1))
        self._say(f"{len(self.done):>4} {card.kind:<8} {name}")
        scene = Scene(self._stack, process, self._rng, lambda kind: self._points[kind].deal(), done)
        self._under_way[asyncio.create_task(_make(FAULTS[card.kind], scene))] = done

    def _places(self, process: Process | None) -> frozenset[Place]:
        shards = self._stack.settings.shards
        if process is None:
            return frozenset((lane, shard) for lane in Lane for shard in range(shards))
        return places_of(process.name, shards=shards, slots=self._stack.plan.slots)

    def _may(self, card: Card, *, alone: bool) -> bool:
        """Whether a fault may begin now."""
        kinds = {done.kind for done in self._under_way.values()}
        of_broker = any(done.name.startswith(BROKER) for done in self._under_way.values())
        if alone:
            return not kinds
        if card.target == BROKER:
            return not of_broker and not kinds & DELICATE
        return bool(self._free(card)) and not (card.kind in DELICATE and of_broker)

    def _chosen(self, card: Card) -> Process | None:
        """Whom to hit, None for a broker: every other time one in a lane that is in no trouble, if there is any."""
        free = self._free(card)
        troubled = {lane for done in self._under_way.values() for lane, _ in done.places}
        calm = [process for process in free if lane_of(process.name) not in troubled]
        if calm and len(self.done) % 2:
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
