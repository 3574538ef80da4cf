"""Tells a process that is slow to start from one that stands still, by what Linux says of it in ``/proc``.

On a crowded machine a child has been seen that got nowhere after it was made, while those beside it were ready in seconds: it had
printed nothing, so its log could not say why. Such a child is replaced; one that is merely slow uses the processor and is let be.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

_STATES: Final = {
    "R": "runnable",
    "S": "sleeping",
    "D": "waiting for a disk",
    "T": "stopped by a signal",
    "t": "stopped by a debugger",
    "Z": "ended",
}
_STATE, _USER, _SYSTEM = 0, 11, 12
"""Fields of ``/proc/PID/stat`` behind the name of the program (proc(5)), which may hold spaces."""


class Doing(NamedTuple):
    """Describes what a process does: its state in words, and the seconds of processor time that it has used so far."""

    state: str
    used_s: float

    def __str__(self) -> str:
        return f"{self.state}, {self.used_s:.2f} s of processor used"


def doing(pid: int) -> Doing | None:
    """Returns what the process does; None if there is none, or no ``/proc``."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[_USER]) + int(fields[_SYSTEM])
    return Doing(_STATES.get(fields[_STATE], fields[_STATE]), ticks / os.sysconf("SC_CLK_TCK"))


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
