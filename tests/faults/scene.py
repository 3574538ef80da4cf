"""One fault as it happens: what it may touch, and what is remembered of it."""

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final

from schemas.lanes import Lane
from streams.dev.stack.stack import Stack
from streams.kafka.faust_app.membership import shard_runs
from streams.runtime import clock
from streams.runtime.supervisor import Process

SESSION_MS: Final = 6_000
"""After so much silence the group gives a worker's shards away."""

Place = tuple[Lane, int]
"""A shard of a lane."""


@dataclass(slots=True)
class Done:
    """One fault that was made. Times are milliseconds since the epoch."""

    kind: str
    name: str
    """The process or node that was hit."""
    places: frozenset[Place]
    """The shards whose hand-offs it may silence."""
    began_ms: int
    harmed_ms: int
    """When the harm was done: a process that has to be armed first is harmed later than its fault begins."""
    ended_ms: int = 0
    """When everything was back."""
    double: bool = False
    """Whether two owners of one slot or journal were alive at once, and the right one was left."""
    point: str = ""
    """The named point at which the process died."""


@dataclass(slots=True)
class Scene:
    """What a fault works on. ``process`` is None for a fault of a broker."""

    stack: Stack
    process: Process | None
    rng: random.Random
    next_point: Callable[[str], str]
    """The point to die at, for a kind of process; each comes up in its turn."""
    done: Done

    @property
    def target(self) -> Process:
        """The process to be hit."""
        assert self.process is not None
        return self.process

    def harm(self) -> None:
        """The harm is done now: recovery counts from here."""
        self.done.harmed_ms = clock.now_ms()


Fault = Callable[[Scene], Coroutine[None, None, None]]
"""Does its harm and returns when everything is back."""


def lane_of(name: str) -> Lane | None:
    """The lane that the process called ``name`` belongs to; None if it serves all."""
    return next((lane for lane in Lane if f"-{lane.word}" in name), None)


def slot_of(name: str) -> int:
    """The slot of the worker called ``name``."""
    return int(name.rpartition("-")[2])


def places_of(name: str, *, shards: int, slots: int) -> frozenset[Place]:
    """The shards whose hand-offs need the process called ``name``: a worker's own, a gateway's whole lane."""
    lane = lane_of(name)
    if lane is None:
        return frozenset()
    held = range(shards)
    if name.startswith("worker"):
        held = shard_runs(map(str, range(slots)), shards)[name.rpartition("-")[2]]
    return frozenset((lane, shard) for shard in held)
