"""A tail from an offset; run as `python -m tests.kafka.programs.tail_fault BOOTSTRAP TOPIC OFFSET`. Caught up is status 0."""

import asyncio
import sys

from streams.kafka.tail import Tail
from streams.runtime import log


async def main() -> None:
    """Follow until everything is there."""
    bootstrap, topic, offset = sys.argv[1:]
    log.configure(program="tail_fault")
    tail = Tail(bootstrap, topic, lambda _partition, _records: None, start={0: int(offset)})
    await tail.start()
    await tail.caught_up(5)
    await tail.stop()


if __name__ == "__main__":
    asyncio.run(main())
