"""What throughput is compared with: records of 200 bytes consumed and sent on one by one with aiokafka, nothing else done.

The loop that anybody would write first, at its best: uvloop, fetches in bulk, ``await send`` without awaiting the
acknowledgement, acks=all, linger 5 ms. It writes one Kafka record a message, which the pipeline does not: say so with the ratio.
"""

import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.topics import HOUR_MS, Topic
from streams.kafka.provision import provision

RECORD_BYTES = 200
LINGER_MS = 5

_IN = "load.copy.in"
_OUT = "load.copy.out"
_FETCH_BYTES = 4 * 1024 * 1024
_BATCH_RECORDS = 4_000
_WHY = "The load test's own."


async def messages_per_s(bootstrap: str, count: int, *, partitions: int) -> float:
    """Copy ``count`` records between two topics of ``partitions`` each; how many a second, the last one acknowledged."""
    wanted = [Topic(name, "none", partitions, HOUR_MS, _WHY) for name in (_IN, _OUT)]
    await provision(bootstrap, wanted, shards=partitions, dev=True, say=lambda _line: None)
    await _fill(bootstrap, count, partitions)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(_IN, partition) for partition in range(partitions)])
        async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=LINGER_MS) as producer:
            seconds = await _copy(consumer, producer, count)
        ends = await consumer.end_offsets([TopicPartition(_OUT, partition) for partition in range(partitions)])
        copied = sum(ends.values())
        if copied != count:
            raise RuntimeError(f"{copied} of {count} records were copied")
        return count / seconds
    finally:
        await consumer.stop()


async def _copy(consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, count: int) -> float:
    """Seconds."""
    started_s, done = time.perf_counter(), 0
    while done < count:
        for records in (await consumer.getmany(timeout_ms=1_000)).values():
            for record in records:
                await producer.send(_OUT, record.value, partition=record.partition)
            done += len(records)
    await producer.flush()
    return time.perf_counter() - started_s


async def _fill(bootstrap: str, count: int, partitions: int) -> None:
    value = bytes(RECORD_BYTES)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=1_000_000) as producer:
        sent = 0
        while sent < count:
            batch = producer.create_batch()
            room = min(_BATCH_RECORDS, count - sent)
            taken = 0
            while taken < room and batch.append(key=None, value=value, timestamp=None) is not None:
                taken += 1
            await producer.send_batch(batch, _IN, partition=sent // _BATCH_RECORDS % partitions)
            sent += taken
        await producer.flush()
