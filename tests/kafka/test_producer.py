"""Confirmed producers on real Kafka: where a record stands, and what an unknown outcome does."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.runtime import clock
from streams.runtime.exits import Exit
from tests.conftest import RealKafka
from tests.kafka.records import new_topic, read
from tests.support.secured import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def producer(kafka: RealKafka) -> AsyncIterator[ConfirmedProducer]:
    """A running producer."""
    running = ConfirmedProducer(kafka.bootstrap, "test")
    await running.start()
    yield running
    await running.stop()


async def test_an_append_says_where_it_stands(kafka: RealKafka, producer: ConfirmedProducer) -> None:
    """Offsets are those of the log, one after another."""
    topic = await new_topic(kafka.bootstrap)
    assert [await producer.append(topic, 0, value) for value in (b"a", b"b", b"c")] == [0, 1, 2]
    assert await read(kafka.bootstrap, topic, 3) == [b"a", b"b", b"c"]


async def test_many_records_keep_their_order(kafka: RealKafka, producer: ConfirmedProducer) -> None:
    """Pipelined appends to one partition stand in the order in which they were given."""
    topic = await new_topic(kafka.bootstrap)
    values = [b"%d" % number for number in range(5_000)]
    offsets = await producer.send_many([Outgoing(topic, value, partition=0) for value in values])
    assert offsets == list(range(5_000))
    assert await read(kafka.bootstrap, topic, 5_000) == values


async def test_the_time_is_the_brokers(kafka: RealKafka, producer: ConfirmedProducer) -> None:
    """With LogAppendTime the acknowledgement carries the broker's time, which is what a later reader sees."""
    topic = await new_topic(kafka.bootstrap, config={"message.timestamp.type": "LogAppendTime"})
    before_ms = clock.now_ms()
    (appended,) = await producer.confirm([Outgoing(topic, b"x", partition=0)])
    assert before_ms - 1_000 <= appended.timestamp_ms <= clock.now_ms() + 1_000


async def test_a_cancelled_caller_does_not_cancel_the_append(kafka: RealKafka, producer: ConfirmedProducer) -> None:
    """A revocation cancels engines in the middle of an append; the record is written all the same."""
    topic = await new_topic(kafka.bootstrap)
    caller = asyncio.ensure_future(producer.append(topic, 0, b"x"))
    await asyncio.sleep(0)  # it has begun, and asks which broker leads the new topic
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await read(kafka.bootstrap, topic, 1) == [b"x"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [("none", 0), ("unconfirmed", Exit.UNKNOWN_APPEND), ("oversize", Exit.OVERSIZE)],
)
async def test_an_append_happens_or_the_process_ends(kafka: RealKafka, fault: str, code: int) -> None:
    """No acknowledgement within the deadline, or a record that Kafka does not take: there is no going on."""
    topic = await new_topic(kafka.bootstrap)
    command = [sys.executable, "-m", "tests.kafka.programs.producer_fault", topic, fault]
    own = environment(bootstrap=kafka.bootstrap)
    async with asyncio.timeout(10):
        ended = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=own, capture_output=True, check=False)
    assert ended.returncode == code, ended.stderr.decode()
    assert (b"exit_" in ended.stderr) == (code != 0)
