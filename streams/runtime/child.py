"""Starts child processes that never outlive this one, signals them and ends them: the one way in which processes of ours start.

A child is tied to its parent (``die_with_parent.py``) and leads a session of its own: Ctrl-C in the terminal reaches the parent
alone, which decides what stops when. Who wants it brought back whenever it ends uses ``supervisor.py``. Only Kafka's Java
processes are started in another way, for a guard has to clear up behind them (``dev/kafka/guard.py``).

On a crowded machine a child has been seen that got nowhere after it was made, while those beside it were ready in seconds: it had
printed nothing, so its log could not say why. Such a child is replaced; one that is merely slow uses the processor and is let be.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Final, NamedTuple

import psutil

from streams.runtime import die_with_parent

FANFARE: Final = (sys.executable, "-m", "streams.cli")
"""The command ``fanfare`` of this installation; its arguments follow."""
STOP_GRACE_S: Final = 12.0
"""A worker leaves its group and lets appends in flight end within 5 s; past this it is killed."""

Output = int | IO[bytes] | None
"""A file, or ``asyncio.subprocess.PIPE``; None: where ours goes."""


class Child:
    """Holds a process that was started, by :meth:`start`, from the loop of the main thread."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stdout: Output = None,
        stderr: Output = None,
    ) -> "Child":
        """Starts ``command``; without an ``environment`` it has ours. Raises ``OSError`` if it cannot be started."""
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *command),
                env=None if environment is None else dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        )

    @property
    def pid(self) -> int:
        """The process id; 0 once it has ended."""
        return self._process.pid if self.status is None else 0

    @property
    def status(self) -> int | None:
        """Its exit status, minus the number of the signal that killed it; None while it exists. A paused one does."""
        return self._process.returncode

    @property
    def errors(self) -> asyncio.StreamReader:
        """Returns what it writes to standard error, if that is a pipe."""
        assert self._process.stderr is not None
        return self._process.stderr

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; False if there is no process to take it."""
        if self.status is not None:
            return False
        try:
            self._process.send_signal(number)
        except ProcessLookupError:
            return False
        return True

    async def wait(self) -> int:
        """Return its exit status when it has ended."""
        return await self._process.wait()

    async def end(self, *, grace_s: float = STOP_GRACE_S) -> int:
        """SIGTERM, SIGKILL after ``grace_s`` seconds; at once if that is 0. Returns its exit status."""
        self.send(signal.SIGTERM if grace_s else signal.SIGKILL)
        # A stopped process takes SIGTERM only when it is continued.
        self.send(signal.SIGCONT)
        try:
            async with asyncio.timeout(grace_s or None):
                return await self.wait()
        except TimeoutError:
            self.send(signal.SIGKILL)
            return await self.wait()


_STATES: Final = {
    psutil.STATUS_RUNNING: "runnable",
    psutil.STATUS_DISK_SLEEP: "waiting for a disk",
    psutil.STATUS_STOPPED: "stopped by a signal",
    psutil.STATUS_TRACING_STOP: "stopped by a debugger",
    psutil.STATUS_ZOMBIE: "ended",
}
"""States of a process that say more in other words."""


class Doing(NamedTuple):
    """Describes what a process does: its state in words, and the seconds of processor time that it has used so far."""

    state: str
    used_s: float
    """Seconds of processor time, user and system."""

    def __str__(self) -> str:
        return f"{self.state}, {self.used_s:.2f} s of processor used"


def doing(pid: int) -> Doing | None:
    """Returns what the process does; None if there is none."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            state, used = process.status(), process.cpu_times()
    except psutil.Error:
        return None
    return Doing(_STATES.get(state, state), used.user + used.system)


class Progress:
    """Watches one process from outside; times are monotonic."""

    def __init__(self) -> None:
        self._pid = 0
        self._used_s = 0.0
        self._since_ms = 0

    def idle_ms(self, pid: int, now_ms: int) -> int:
        """Returns for how long the process has used no processor, as far as this was asked; 0 for one that is new or gone."""
        now = doing(pid)
        if now is None or pid != self._pid or now.used_s != self._used_s:
            self._pid, self._used_s, self._since_ms = pid, now.used_s if now else 0.0, now_ms
        return now_ms - self._since_ms
