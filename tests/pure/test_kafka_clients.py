"""The Kafka in memory, asked by the real reader, tail and producer of ``streams/kafka``."""

import random
from collections.abc import Sequence
from typing import Any

import pytest

from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.reader import LogReader, LogRecord, TrimmedError
from streams.kafka.tail import Tail
from streams.runtime.exits import Exit
from tests.pure.schedules.log import Log
from tests.pure.schedules.runner import Runner
from tests.pure.schedules.shells.process import ShellProcess, ShellWorld, in_memory
from tests.support.kafka_clients import Cluster
from tests.support.virtual_loop import EndedError

PLACE = ("log", 0)


class Process(ShellProcess):
    """One that is driven by a test."""

    async def run(self) -> None:
        """Nothing."""


class World(ShellWorld):
    """One log, and time that passes when nothing else happens."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(random.Random(seed))
        self.log = Log()
        self.cluster = Cluster(self.rng, lambda: self.now, lambda _: self.log)
        self.process = Process(self, Runner(), 1)

    def finish(self, work: Any) -> Any:
        """The result of ``work`` in the process."""
        return self.process.loop.finish(work, idle=self.pass_by)

    def pass_by(self) -> None:
        """A millisecond, in which something may arrive."""
        self.now += 1
        self.carry()


@pytest.fixture
def world() -> World:
    """An empty log."""
    return World()


async def _started(part: Any) -> Any:
    await part.start()
    return part


def _producer(world: World) -> ConfirmedProducer:
    producer: ConfirmedProducer = world.finish(_started(ConfirmedProducer("h:1", "p", deadline_ms=500)))
    return producer


def _records(count: int) -> list[Outgoing]:
    return [Outgoing(PLACE[0], b"%d" % number, partition=0) for number in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_records_are_read_as_they_were_appended(seed: int) -> None:
    """In order, dense, with the broker's time, in whichever bites."""
    world = World(seed)
    with in_memory(world):
        appended = world.finish(_producer(world).confirm(_records(12)))

        async def read() -> list[LogRecord]:
            reader = await _started(LogReader("h:1", "r", [PLACE]))
            assert await reader.bounds(PLACE) == (0, 12)
            return [record async for bite in reader.read(PLACE, 2, 11) for record in bite]

        found = world.finish(read())
    assert [offset for offset, _ in appended] == list(range(12))
    assert [(record.offset, record.value) for record in found] == [(at, b"%d" % at) for at in range(2, 11)]
    assert [record.timestamp_ms for record in found] == [at_ms for _, at_ms in appended[2:11]]


def test_what_was_trimmed_is_refused(world: World) -> None:
    """As Kafka refuses an offset that it does not have."""
    for number in range(5):
        world.log.append(world.now, b"%d" % number)
    world.log.trim(3)

    async def read() -> list[LogRecord]:
        reader = await _started(LogReader("h:1", "r", [PLACE]))
        return [record async for bite in reader.read(PLACE, 1, 5) for record in bite]

    with in_memory(world), pytest.raises(TrimmedError):
        world.finish(read())


@pytest.mark.parametrize("seed", range(20))
def test_an_append_that_is_not_acknowledged_ends_the_process(seed: int) -> None:
    """Whether it was written, failed, or got no offset; nothing is sent after it."""
    world = World(seed)
    with in_memory(world):
        producer = _producer(world)
        world.cluster.lost = 1.0
        with pytest.raises(EndedError):
            world.finish(producer.confirm(_records(3)))
    assert world.process.ended_by is Exit.UNKNOWN_APPEND
    assert world.log.end <= 3


def test_what_has_left_the_process_arrives_without_it(world: World) -> None:
    """An append in the air lands after its process is dead, and what was queued behind it never leaves."""
    with in_memory(world):
        producer = _producer(world)
        world.cluster.choices_ms = world.cluster.append_choices_ms = (50,)
        world.process.loop.create_task(producer.confirm(_records(3)))
        while world.process.loop.turn():
            pass
        world.process.loop.end()
        for _ in range(1_000):
            world.pass_by()
    assert world.log.end == 1


@pytest.mark.parametrize("seed", range(20))
def test_a_tail_knows_how_old_its_view_is(seed: int) -> None:
    """Whatever was acknowledged before the moment up to which it is fresh has been applied."""
    world = World(seed)
    applied: list[int] = []

    def apply(_partition: int, records: Sequence[LogRecord]) -> None:
        applied.extend(record.offset for record in records)

    with in_memory(world):
        tail: Tail = world.finish(_started(Tail("h:1", PLACE[0], apply)))
        for _ in range(400):
            if world.rng.random() < 0.1:
                world.log.append(world.now, b"x")
            world.pass_by()
            for _ in range(world.rng.randint(0, 4)):
                world.process.loop.turn()
            with world.process.loop.running():
                age_ms = tail.fresh_ms(0)
            told = [one.offset for one in world.log.whole if one.at_ms < world.now - age_ms]
            assert applied[: len(told)] == told
        assert len(applied) > 20
