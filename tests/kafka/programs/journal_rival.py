"""One of several owners of one journal: claims it again and again, and writes down each append that it may act on.

Run as `python -m tests.kafka.programs.journal_rival TOPIC WITNESS`. It ends by being killed or fenced.
"""

import asyncio
import os
import sys

from streams.runtime import log
from tests.kafka.programs.journal_owner import Owner

_APPENDS = 200


async def main() -> None:
    """Own, append, act, give up, for ever."""
    topic, witness = sys.argv[1:]
    log.configure(program="journal_rival")
    owner = Owner(topic)
    await owner.start()
    file = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    appended = 0
    while True:
        await owner.obey("open", "")
        for _ in range(_APPENDS):
            appended += 1
            text = f"{os.getpid()}-{appended}"
            await owner.obey("append", text)
            os.write(file, text.encode() + b"\n")
        await owner.obey("quiesce", "")


if __name__ == "__main__":
    asyncio.run(main())
