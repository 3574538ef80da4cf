"""Tells a process that is slow to start from one that stands still, by what the system says of it.

On a crowded machine a child has been seen that got nowhere after it was made, while those beside it were ready in seconds: it had
printed nothing, so its log could not say why. Such a child is replaced; one that is merely slow uses the processor and is let be.
"""

from typing import Final, NamedTuple

import psutil

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
