"""The clock: the only module that reads it.

Wall time is for what is written down and compared with other people's clocks; monotonic time is for ages and deadlines.
The pure core never comes here: it is given ``now``.
"""

import time


def now_ms() -> int:
    """Wall time, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds on a clock that never jumps and goes on while the process is stopped."""
    return time.monotonic_ns() // 1_000_000
