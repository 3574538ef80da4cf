"""Tails on real Kafka: everything is applied once and in order, and freshness says what it promises."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from streams.kafka import clients
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.reader import LogRecord
from streams.kafka.tail import NEVER_MS, Tail
from streams.runtime import clock
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import kafka_at
from tests.conftest import RealKafka
from tests.kafka.records import new_topic, trim, write
from tests.support.programs import until
from tests.support.secured import environment

ROOT = Path(__file__).parents[2]


class Applied:
    """What a tail has applied: partition -> values."""

    def __init__(self) -> None:
        self.values: dict[int, list[bytes]] = {}

    def __call__(self, partition: int, records: Sequence[LogRecord]) -> None:
        """Take a batch."""
        self.values.setdefault(partition, []).extend(record.value for record in records)


@pytest.fixture
async def producer(kafka: RealKafka) -> AsyncIterator[ConfirmedProducer]:
    """A running producer."""
    running = ConfirmedProducer(kafka.bootstrap, "test")
    await running.start()
    yield running
    await running.stop()


Follow = Callable[..., Awaitable[Tail]]


@pytest.fixture
async def follow(kafka: RealKafka) -> AsyncIterator[Follow]:
    """Starts tails; they are stopped after the test."""
    async with AsyncExitStack() as stack:

        async def start(topic: str, applied: Applied, **options: Any) -> Tail:
            tail = Tail(kafka.bootstrap, topic, applied, **options)
            stack.push_async_callback(tail.stop)
            await tail.start()
            return tail

        yield start


async def test_a_tail_applies_what_is_there_and_what_comes(
    kafka: RealKafka, producer: ConfirmedProducer, follow: Follow
) -> None:
    """Every record of every partition, once and in order, from the beginning and then for ever."""
    topic = await new_topic(kafka.bootstrap, partitions=3)
    values = [b"%d" % number for number in range(3_000)]
    await producer.send_many([Outgoing(topic, value, partition=int(value) % 3) for value in values])
    applied = Applied()
    tail = await follow(topic, applied)
    await tail.caught_up(10)
    assert applied.values == {partition: values[partition::3] for partition in range(3)}

    await producer.append(topic, 1, b"later")
    await until(lambda: applied.values[1][-1] == b"later")
    assert [tail.applied(partition) for partition in range(3)] == [1_000, 1_001, 1_000]


async def test_a_tail_can_begin_anywhere_with_some_partitions(
    kafka: RealKafka, producer: ConfirmedProducer, follow: Follow
) -> None:
    """Offsets and partitions can be chosen."""
    topic = await new_topic(kafka.bootstrap, partitions=2)
    await producer.send_many([Outgoing(topic, b"%d" % number, partition=number % 2) for number in range(10)])
    applied = Applied()
    tail = await follow(topic, applied, partitions=[1], start={1: 3})
    await tail.caught_up(10)
    assert applied.values == {1: [b"7", b"9"]}


async def test_offsets_without_records_do_not_hold_a_tail_up(kafka: RealKafka, follow: Follow) -> None:
    """Compaction and transaction markers leave offsets that nobody can read, also as the last ones of a log."""
    topic = await new_topic(kafka.bootstrap)
    writer = clients.producer(kafka.bootstrap, "test", transactional_id=topic)
    async with writer, writer.transaction():
        await writer.send_and_wait(kafka_at(kafka.bootstrap).name(topic), b"x", partition=0)
    applied = Applied()
    tail = await follow(topic, applied)
    await tail.caught_up(10)
    assert applied.values == {0: [b"x"]}
    await until(lambda: tail.applied(0) == 2 and tail.fresh_ms(0) < 200)


async def test_an_idle_tail_is_fresh(kafka: RealKafka, follow: Follow) -> None:
    """A tail with nothing to do knows again and again that there is nothing; before its first answer it knows nothing."""
    topic = await new_topic(kafka.bootstrap)
    tail = await follow(topic, Applied())
    assert tail.fresh_ms(0) == NEVER_MS
    for _ in range(3):
        await until(lambda: tail.fresh_ms(0) < 95)
        await until(lambda: tail.fresh_ms(0) > 30)


async def test_a_tail_that_stood_still_does_not_call_itself_fresh(kafka: RealKafka, follow: Follow) -> None:
    """Whatever was acknowledged longer ago than `fresh_ms` has been applied, also right after the loop stood still."""
    topic = await new_topic(kafka.bootstrap)
    tail = await follow(topic, Applied())
    await until(lambda: tail.fresh_ms(0) < 95)

    acknowledged = threading.Event()
    acknowledged_ms = 0

    def append() -> None:
        nonlocal acknowledged_ms
        threading.Event().wait(0.2)  # by now the fetch that was under way has been answered, without the record
        asyncio.run(write(kafka.bootstrap, topic, b"STOP"))
        acknowledged_ms = clock.monotonic_ms()
        acknowledged.set()

    threading.Thread(target=append).start()
    acknowledged.wait(10)  # the loop stands still
    threading.Event().wait(0.2)
    while tail.applied(0) == 0:
        assert tail.fresh_ms(0) >= clock.monotonic_ms() - acknowledged_ms
        await asyncio.sleep(0)
    await until(lambda: tail.fresh_ms(0) < 95)


@pytest.mark.parametrize(("start", "code"), [(2, 0), (1, Exit.TRIMMED)])
async def test_a_tail_does_not_skip_what_was_trimmed(kafka: RealKafka, start: int, code: int) -> None:
    """From an offset that the log no longer holds there is no following on: the records between are unknown."""
    topic = await new_topic(kafka.bootstrap)
    await write(kafka.bootstrap, topic, b"a", b"b", b"c")
    await trim(kafka.bootstrap, topic, 2)
    command = [sys.executable, "-m", "tests.kafka.programs.tail_fault", topic, str(start)]
    own = environment(bootstrap=kafka.bootstrap)
    ended = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=own, capture_output=True, check=False)
    assert ended.returncode == code, ended.stderr.decode()
