"""A tail from an offset; run as `python -m tests.kafka.programs.tail_fault TOPIC OFFSET`. Caught up is status 0."""

import asyncio
import sys

from streams.kafka.tail import Tail
from streams.runtime import log
from streams.runtime.settings import load


async def main() -> None:
    """Follow until everything is there."""
    topic, offset = sys.argv[1:]
    log.configure(program="tail_fault")
    tail = Tail(load().kafka, topic, lambda _partition, _records: None, start={0: int(offset)})
    await tail.start()
    await tail.caught_up(5)
    await tail.stop()


if __name__ == "__main__":
    asyncio.run(main())
