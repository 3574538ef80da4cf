"""The yardstick: a raw aiokafka loop that consumes small records and sends each on, one by one."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.runtime import clock

_SIZE = 200
_PARTITIONS = 4


async def copy_rate(bootstrap: str, count: int) -> float:
    """Records per second of copying ``count`` records from ``bench.in`` to ``bench.out`` (acks=all, linger 5 ms)."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, max_batch_size=262_144)
    await producer.start()
    value = b"x" * _SIZE
    for number in range(count):
        await producer.send("bench.in", value, partition=number % _PARTITIONS)
    await producer.flush()
    consumer = AIOKafkaConsumer("bench.in", bootstrap_servers=bootstrap, auto_offset_reset="earliest", group_id=None)
    await consumer.start()
    done, begun_ms = 0, clock.monotonic_ms()
    last: asyncio.Future[object] | None = None
    while done < count:
        for records in (await consumer.getmany(timeout_ms=1_000)).values():
            for record in records:
                last = await producer.send("bench.out", record.value, partition=record.partition)
            done += len(records)
    await producer.flush()
    assert last is not None
    seconds = (clock.monotonic_ms() - begun_ms) / 1000
    await consumer.stop()
    await producer.stop()
    return count / seconds
