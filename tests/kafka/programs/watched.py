"""A process under the watchdog that does one thing which it should notice, or should let pass.

Run as `python -m tests.kafka.programs.watched WHAT MILLISECONDS`: `jump` moves its wall clock by so much, `block` keeps its main
loop busy for so long, `late` asks to be gone after so long and is not. Ends with 0 when nothing was noticed for half a second.
"""

import asyncio
import sys
import threading

from streams.kafka.faust_app.watchdog import Watchdog
from streams.runtime import clock, log

PATIENCE_MS = 3_000


async def main(what: str, amount_ms: int) -> None:
    """Do it."""
    log.configure(program="watched")
    moved_ms = 0
    watchdog = Watchdog(PATIENCE_MS, lambda: clock.now_ms() + moved_ms)
    watchdog.start()
    await asyncio.sleep(0.2)
    match what:
        case "jump":
            moved_ms = amount_ms
        case "block":
            threading.Event().wait(amount_ms / 1_000)  # nothing else runs in this thread meanwhile
        case "late":
            watchdog.end_within(amount_ms, "a test")
        case _:
            raise ValueError(what)
    await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
