"""A producer that goes on under the id of a process before it: what that one had on its way is taken once, or refused."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from streams.kafka.producer import APPEND_DEADLINE_MS, Outgoing, ProducerIdentity, ResumedProducer
from streams.kafka.reader import existing, newest
from streams.runtime.exits import Exit
from streams.runtime.kafka_access import Address
from tests.conftest import RealKafka
from tests.kafka.records import new_topic, read, write
from tests.support.secured import environment

ROOT = Path(__file__).parents[2]


async def first_appends(bootstrap: Address, topic: str, *values: bytes) -> ProducerIdentity:
    """Appends as the first process of a producer; the identity that it hands on."""
    producer = ResumedProducer(bootstrap, "test", None, deadline_ms=APPEND_DEADLINE_MS)
    await producer.start()
    producer.resume(topic, 0, 0)
    await producer.send_many([Outgoing(topic, value, partition=0) for value in values])
    identity = producer.identity
    await producer.stop()
    return identity


ROWS = (
    ("what follows is taken", 3, ("d", "e"), 0, "3 4", [b"a", b"b", b"c", b"d", b"e"]),
    ("the same again is answered with its place", 0, ("a", "b", "c"), 0, "0 1 2", [b"a", b"b", b"c"]),
    ("a part of it again is refused", 0, ("a", "b"), Exit.UNKNOWN_APPEND, "", [b"a", b"b", b"c"]),
    ("it again and more is refused", 0, ("a", "b", "c", "d"), Exit.UNKNOWN_APPEND, "", [b"a", b"b", b"c"]),
    ("a gap is refused", 4, ("e",), Exit.UNKNOWN_APPEND, "", [b"a", b"b", b"c"]),
)


@pytest.mark.parametrize(("row", "written", "values", "code", "says", "stands"), ROWS, ids=[row[0] for row in ROWS])
async def test_a_broker_takes_each_number_once(
    kafka: RealKafka, row: str, written: int, values: tuple[str, ...], code: int, says: str, stands: list[bytes]
) -> None:
    """Whatever the next process believes to have been written, the log has neither doubles nor holes."""
    topic = await new_topic(kafka.bootstrap)
    identity = await first_appends(kafka.bootstrap, topic, b"a", b"b", b"c")
    command = [sys.executable, "-m", "tests.kafka.programs.resumed_appends", topic]
    arguments = [str(identity.id), str(identity.epoch), str(written), *values]
    async with asyncio.timeout(20):
        ended = await asyncio.to_thread(
            subprocess.run,
            [*command, *arguments],
            cwd=ROOT,
            env=environment(bootstrap=kafka.bootstrap),
            capture_output=True,
            text=True,
            check=False,
        )
    assert (ended.returncode, ended.stdout.strip()) == (code, says), ended.stderr
    assert await read(kafka.bootstrap, topic, len(stands)) == stands
    assert await newest(kafka.bootstrap, [topic], bytes) == {topic: stands[-1]}


async def test_the_newest_record_that_can_be_read_is_found(kafka: RealKafka) -> None:
    """Also behind many that somebody else put there; an empty log has none; a topic that is not there is not waited for."""
    empty, topic = await new_topic(kafka.bootstrap), await new_topic(kafka.bootstrap)
    await write(kafka.bootstrap, topic, b"1", b"2", *[b"noise"] * 20)

    def numbered(value: bytes) -> int | None:
        return int(value) if value.isdigit() else None

    assert await newest(kafka.bootstrap, [empty, topic], numbered) == {empty: None, topic: 2}
    assert await existing(kafka.bootstrap, [empty, f"{empty}-not"]) == {empty}
