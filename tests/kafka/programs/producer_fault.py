"""A producer that is brought to one fault; run as `python -m tests.kafka.programs.producer_fault TOPIC FAULT`."""

import asyncio
import sys

from streams.kafka.producer import ConfirmedProducer
from streams.runtime import log
from streams.runtime.settings import load


async def main() -> None:
    """Commit the fault; reaching the end is status 0."""
    topic, fault = sys.argv[1:]
    log.configure(program="producer_fault")
    producer = ConfirmedProducer(load().kafka, "fault", deadline_ms=600)
    await producer.start()
    match fault:
        case "unconfirmed":
            await producer.append(f"{topic}-that-nobody-made", 0, b"x")
        case "oversize":
            await producer.append(topic, 0, bytes(2_000_000))
        case _:
            await producer.append(topic, 0, b"x")
    await producer.stop()


if __name__ == "__main__":
    asyncio.run(main())
