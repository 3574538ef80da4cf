"""``python -m tests.kafka.programs.resumed_appends TOPIC ID EPOCH WRITTEN VALUE...``: the next process of a producer.

It continues a log of which WRITTEN records were written, appends the values in one batch, and prints their offsets.
"""

import asyncio
import sys

from streams.kafka.producer import APPEND_DEADLINE_MS, Outgoing, ProducerIdentity, ResumedProducer
from streams.runtime import log
from streams.runtime.settings import load


async def append(topic: str, identity: ProducerIdentity, written: int, values: list[str]) -> None:
    """Appends ``values``; the process ends as every producer's does if Kafka refuses them."""
    producer = ResumedProducer(load().kafka, "test", identity, deadline_ms=APPEND_DEADLINE_MS)
    await producer.start()
    producer.resume(topic, 0, written)
    offsets = await producer.send_many([Outgoing(topic, value.encode(), partition=0) for value in values])
    sys.stdout.write(" ".join(map(str, offsets)))
    await producer.stop()


if __name__ == "__main__":
    log.configure(program="resumed_appends")
    named, number, epoch, count, *texts = sys.argv[1:]
    asyncio.run(append(named, ProducerIdentity(int(number), int(epoch)), int(count), texts))
