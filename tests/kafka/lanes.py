"""A lane of its own for a test: two topics, a group, and workers that can be killed."""

import signal
import subprocess
import sys
import uuid
from pathlib import Path

import msgspec

from broker.losses import Loss
from streams.kafka import clients
from streams.kafka.admin import committed_offsets
from streams.kafka.faust_app.hooks import WorkerSpec
from streams.runtime.kafka_access import Address, kafka_at
from tests.kafka.programs.lane_worker import Event, Orders
from tests.support.programs import until
from tests.support.secured import environment

ROOT = Path(__file__).parents[2]


class LaneWorker:
    """One running `lane_worker` program, and what it wrote down."""

    def __init__(self, orders: Orders, bootstrap: Address) -> None:
        self.orders = orders
        self.slot = orders.spec.slot
        self.log = Path(orders.witness).with_suffix(".log")
        command = [sys.executable, "-m", "tests.kafka.programs.lane_worker", msgspec.json.encode(orders).decode()]
        with self.log.open("ab") as out:
            own = environment(bootstrap=bootstrap)
            self.process = subprocess.Popen(command, cwd=ROOT, env=own, stdout=out, stderr=out)

    def events(self, what: str) -> list[Event]:
        """What it wrote down of one kind, oldest first."""
        path = Path(self.orders.witness)
        whole_lines = path.read_bytes().rpartition(b"\n")[0].splitlines() if path.exists() else []
        return [event for event in map(_decode, whole_lines) if event.what == what]

    def shards(self) -> list[int]:
        """The shards of its last assignment."""
        return self.events("assigned")[-1].shards

    def offsets(self, topic: str) -> dict[int, list[int]]:
        """Partition -> the offsets that it was handed, in order."""
        found: dict[int, list[int]] = {}
        for event in self.events("got"):
            if event.topic == topic:
                found.setdefault(event.partition, []).append(event.offset)
        return found

    async def assigned(self, times: int = 1) -> None:
        """Wait until it has been assigned shards that often."""
        await until(lambda: len(self.events("assigned")) >= times or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    async def exit_code(self, deadline_s: float = 15) -> int:
        """Wait for its end."""
        await until(lambda: self.process.poll() is not None, deadline_s=deadline_s)
        return self.process.returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


_decode = msgspec.json.Decoder(Event).decode


class LaneUnderTest:
    """Topics `first` and `second` of `partitions` each, read by a group of workers."""

    def __init__(self, bootstrap: Address, folder: Path, first: str, second: str) -> None:
        self.bootstrap = bootstrap
        self.folder = folder
        self.first = first
        self.second = second
        self.group = f"group-{uuid.uuid4().hex[:8]}"
        self.workers: list[LaneWorker] = []

    def worker(self, slot: str, *, accepted: frozenset[Loss] = frozenset(), **orders: float) -> LaneWorker:
        """Start a worker in `slot`; `accepted` is the operator's word on losses, `orders` as in :class:`Orders`."""
        stages = {"plan": (self.first,), "deliver": (self.second,)}
        spec = WorkerSpec(
            group=self.group, slot=slot, bootstrap=str(self.bootstrap), stages=stages, accepted_losses=accepted
        )
        witness = self.folder / f"{slot}-{len(self.workers)}.jsonl"
        started = LaneWorker(msgspec.convert({"spec": spec, "witness": str(witness), **orders}, Orders), self.bootstrap)
        self.workers.append(started)
        return started

    async def settled(self, workers: list[LaneWorker], *, shards: int, deadline_s: float = 20) -> None:
        """Wait until `workers` all have an assignment and together own each shard once."""

        def owned() -> list[int]:
            return sorted(shard for worker in workers if worker.events("assigned") for shard in worker.shards())

        everything = list(range(shards))
        await until(lambda: all(w.events("assigned") for w in workers) and owned() == everything, deadline_s=deadline_s)

    async def write(self, topic: str, count: int, *, partitions: int, transactions: bool = False) -> None:
        """Write `count` records round robin, all acknowledged; in transactions of ten if wanted."""
        name = self.group if transactions else None
        in_kafka = kafka_at(self.bootstrap).name(topic)
        async with clients.producer(self.bootstrap, "test", transactional_id=name) as producer:
            for start in range(0, count, 10 if transactions else count):
                numbers = range(start, min(count, start + (10 if transactions else count)))
                if transactions:
                    await producer.begin_transaction()
                sent = [await producer.send(in_kafka, b"%d" % n, partition=n % partitions) for n in numbers]
                for future in sent:
                    await future
                if transactions:
                    await producer.commit_transaction()

    async def committed(self, topic: str, partition: int = 0) -> int | None:
        """The group's committed offset."""
        return (await committed_offsets(self.bootstrap, self.group)).get((topic, partition))

    def close(self) -> None:
        """End every worker."""
        for worker in self.workers:
            worker.end()
