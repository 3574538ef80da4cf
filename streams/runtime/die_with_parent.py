"""Becomes another program that dies with the process that started it, however that ends.

Run as a script (``python -I -S die_with_parent.py PARENT COMMAND...``), with standard library only: it costs 15 ms. The kernel
keeps the parent-death signal over execve(2), so the process id is the command's own from the beginning. PR_SET_PDEATHSIG follows
the *thread* that forked (prctl(2)): who starts processes does so from its main thread, as an event loop there does. On other
systems than Linux nothing is tethered.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Never returns: the process is the command, or it ends because its parent has gone already."""
    parent, *command = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 -- no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
