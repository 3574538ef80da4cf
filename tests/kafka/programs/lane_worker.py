"""A member of a lane's group whose engine only writes down what happens to it.

Run as `python -m tests.kafka.programs.lane_worker '<json>'`; the JSON is :class:`Orders`. What happens is appended to
`witness`, one JSON line per event and one write per line, so that a kill loses nothing that was said before it. The way
into Kafka is that of the settings.
"""

import asyncio
import os
import sys
from typing import Literal

import msgspec

from streams.kafka.faust_app.app import FanfareApp, build_app, run_worker
from streams.kafka.faust_app.hooks import Delivered, WorkerSpec
from streams.runtime import clock, log
from streams.runtime.settings import load


class Orders(msgspec.Struct, kw_only=True):
    """What the test wants."""

    spec: WorkerSpec
    witness: str
    rate: int = 0
    """Finish that many records a second and partition; 0: at once."""
    hold: int | None = None
    """Never finish this offset."""
    block_s: float = 0.0
    """Block the main loop for so long after the first record."""


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One line of the witness."""

    what: Literal["start", "assigned", "revoked", "stop", "got", "lost"]
    at_ms: int
    shards: list[int] = []
    generation: int = 0
    topic: str = ""
    partition: int = 0
    offset: int = 0
    """On ``lost``: how many."""
    value: str = ""
    longest: int = 0
    """The longest inbox so far, on ``stop``."""


class WitnessHooks:
    """Takes every record over at once, or slowly."""

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.app: FanfareApp | None = None
        self._file = os.open(orders.witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._inboxes: dict[tuple[str, int], asyncio.Queue[Delivered]] = {}
        self._engines: list[asyncio.Task[None]] = []
        self._longest = 0

    async def on_start(self) -> None:
        """Nothing to start."""
        self._say(Event(what="start", at_ms=clock.now_ms()))

    async def on_assigned(self, shards: frozenset[int], generation: int) -> None:
        """Note it."""
        self._say(Event(what="assigned", at_ms=clock.now_ms(), shards=sorted(shards), generation=generation))

    async def on_revoked(self) -> None:
        """Stop the engines."""
        self._stop_engines()
        self._say(Event(what="revoked", at_ms=clock.now_ms()))

    async def on_stop(self) -> None:
        """Stop the engines."""
        self._stop_engines()
        self._say(Event(what="stop", at_ms=clock.now_ms(), longest=self._longest))

    def lost(self, topic: str, partition: int, records: int) -> None:
        """Note it."""
        self._say(Event(what="lost", at_ms=clock.now_ms(), topic=topic, partition=partition, offset=records))

    def deliver(self, record: Delivered) -> None:
        """Note the record, then finish it, now or in its turn."""
        self._say(
            Event(
                what="got",
                at_ms=clock.now_ms(),
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                generation=record.generation,
                value=(record.value or b"").decode(),
            )
        )
        if self.orders.block_s:
            _block(self.orders.block_s)
        if self.orders.rate:
            self._inbox(record).put_nowait(record)
            self._longest = max(self._longest, *(inbox.qsize() for inbox in self._inboxes.values()))
        else:
            self._finish(record)

    def _inbox(self, record: Delivered) -> "asyncio.Queue[Delivered]":
        place = (record.topic, record.partition)
        if place not in self._inboxes:
            self._inboxes[place] = asyncio.Queue()
            self._engines.append(asyncio.ensure_future(self._work_off(self._inboxes[place])))
        return self._inboxes[place]

    async def _work_off(self, inbox: "asyncio.Queue[Delivered]") -> None:
        while True:
            await asyncio.sleep(0.05)
            for _ in range(max(1, self.orders.rate // 20)):
                self._finish(await inbox.get())

    def _finish(self, record: Delivered) -> None:
        assert self.app is not None
        if record.offset != self.orders.hold:
            self.app.done(record)

    def _stop_engines(self) -> None:
        for engine in self._engines:
            engine.cancel()
        self._engines.clear()
        self._inboxes.clear()

    def _say(self, event: Event) -> None:
        os.write(self._file, msgspec.json.encode(event) + b"\n")


def _block(seconds: float) -> None:
    until_ms = clock.monotonic_ms() + int(seconds * 1000)
    while clock.monotonic_ms() < until_ms:
        pass


def main() -> None:
    """Run until told to stop."""
    orders = msgspec.json.decode(sys.argv[1], type=Orders)
    log.configure(program="lane_worker", slot=orders.spec.slot)
    hooks = WitnessHooks(orders)
    hooks.app = build_app(msgspec.structs.replace(orders.spec, bootstrap=load().kafka), hooks)
    run_worker(hooks.app)


if __name__ == "__main__":
    main()
