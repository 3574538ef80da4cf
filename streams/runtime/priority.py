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
        with contextlib.suppress(
            OSError
        ):  # a kernel without sessions' weights, or one that is too busy to be told twice
            _GROUP.write_text(str(nice), encoding="ascii")
