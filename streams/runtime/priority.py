"""Lets the less urgent lanes give way: what a campaign leaves of the processors belongs to codes, not the other way round."""

import contextlib
import os
from pathlib import Path
from typing import Final

_GROUP: Final = Path("/proc/self/autogroup")


def give_way(nice: int) -> None:
    """Lowers the priority of this process by ``nice``, for good. Call it before threads are started, for they inherit it.

    Linux may weigh sessions against each other before it weighs their processes (sched(7), autogroup), so a process that leads a
    session of its own, as those of ``fanfare dev`` do, lowers that as well. It never lowers the session of somebody's terminal.
    """
    os.nice(nice)
    if nice and os.getsid(0) == os.getpid():
        # The kernel may not weigh sessions at all, or may have been told too often of late.
        with contextlib.suppress(OSError):
            _GROUP.write_text(str(nice), encoding="ascii")
