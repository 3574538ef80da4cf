"""The parent of one Java process: it lives as long as its own parent does, however that ends.

Run as a script (`python -I -S guard.py GRACE_S SCRATCH COMMAND...`), with standard library only, so
that it starts in 20 ms. It prints the process id of the command, then waits. When its standard input
reaches its end (closed on purpose, or because the parent was killed with -9) it ends the command:
SIGTERM, then SIGKILL after GRACE_S seconds. SCRATCH, unless empty, is a folder to remove after that;
several guards may share one, and the last to end finds it still.

Why a process and not PR_SET_PDEATHSIG on Java alone: that signal follows the *thread* that forked
(prctl(2)), gives no time for a clean stop, and exists on Linux only. Here it serves as the second
line: the guard has one forking thread, its main one, and Java dies with it if the guard is killed.
"""

import contextlib
import ctypes
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> int:
    """Run the command to its end and return its exit status, 128 + n for a signal."""
    grace_s, scratch, *command = arguments
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        # Safe here, because the guard forks before it has a second thread.
        preexec_fn=_die_with_guard if sys.platform == "linux" else None,  # noqa: PLW1509
    )
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.close()
    asked = threading.Event()
    threading.Thread(target=_end_with_parent, args=(child, float(grace_s), asked), daemon=True).start()
    status = child.wait()
    if scratch and asked.is_set():
        shutil.rmtree(scratch, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _end_with_parent(child: "subprocess.Popen[bytes]", grace_s: float, asked: threading.Event) -> None:
    with contextlib.suppress(OSError):
        sys.stdin.buffer.read()
    asked.set()
    # A stopped process takes SIGTERM only when it is continued.
    child.send_signal(signal.SIGTERM)
    child.send_signal(signal.SIGCONT)
    try:
        child.wait(grace_s)
    except subprocess.TimeoutExpired:
        child.kill()


def _die_with_guard() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
