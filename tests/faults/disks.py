"""A disk that takes no more: writes of one process beyond a quota fail, for every start of it too, until there is room again.

The quota is RLIMIT_FSIZE, set on the running process from outside: the operating system refuses what would make a file
longer, as a full disk does, and the lines of the process's own log still find room.
"""

import asyncio
import resource
from pathlib import Path
from typing import Final

from schemas.lanes import Lane
from streams.dev.stack.stack import Stack
from streams.runtime import clock
from streams.runtime.exits import Exit
from streams.runtime.supervisor import Process
from streams.simulator.event_log import FILE_NAME
from streams.simulator.program import log_folder
from tests.faults.kinds import BACK_S, ended
from tests.faults.scene import Scene, lane_of

FULL_S: Final = 6.0
"""How long there is no room after the process has ended for the first time."""
_TORN_BYTES: Final = 100
"""So much of the gateway's next line still fits: what is there after the fault ends in the middle of a line."""
_LOG_BYTES: Final = 8_192
"""So much may the ledger's own log grow meanwhile; its pages come sooner."""
_LOOK_S: Final = 0.02
_SENTENCE: Final = b'"exit_disk_refused"'


async def disk(scene: Scene) -> None:
    """No room: the process must end itself each time with its code and its sentence, and come back once there is room."""
    process, ends = scene.target, len(scene.target.ended)
    said = process.plan.log_path.stat().st_size
    quota = _quota(scene.stack, process)
    filling = asyncio.create_task(_fill(process, quota))
    try:
        scene.harm()
        async with asyncio.timeout(BACK_S):
            await ended(process, ends)
        scene.done.harmed_ms = clock.now_ms() - (clock.monotonic_ms() - process.ended[ends].at_ms)
        await asyncio.sleep(FULL_S)
    finally:
        filling.cancel()
        await asyncio.wait([filling])
        _limit(process, resource.RLIM_INFINITY)
    statuses = {end.status for end in process.ended[ends:]}
    await process.ready()
    assert statuses == {Exit.DISK_REFUSED}, f"{process.name} ended with {statuses} on a full disk"
    with process.plan.log_path.open("rb") as lines:
        lines.seek(said)
        assert _SENTENCE in lines.read(), f"{process.name} did not say that the disk is full"


def _quota(stack: Stack, process: Process) -> int:
    """The length that no file may pass: that of the gateway's log and a little, or little more than the ledger's own log."""
    lane = lane_of(process.name)
    if lane is None:
        return process.plan.log_path.stat().st_size + _LOG_BYTES
    return _events(stack.settings.data_dir, lane).stat().st_size + _TORN_BYTES


def _events(data: Path, lane: Lane) -> Path:
    return log_folder(data, lane) / FILE_NAME


async def _fill(process: Process, quota: int) -> None:
    """Every process that is started in the place of ``process`` has the quota before it writes anything."""
    limited = 0
    while True:
        if process.pid != limited:
            limited = _limit(process, quota)
        await asyncio.sleep(_LOOK_S)


def _limit(process: Process, size: int) -> int:
    """Set the quota of the process that runs now; gives its id, 0 if there is none."""
    pid = process.pid
    if pid:
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    return pid
