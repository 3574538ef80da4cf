"""Looking at other processes, by what stands on their command line, and waiting for what happens to them."""

import asyncio
from collections.abc import Callable
from pathlib import Path


def processes_naming(folder: Path | str) -> list[int]:
    """Processes, zombies apart, whose command line names `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


async def until(happened: Callable[[], bool], *, deadline_s: float = 20) -> None:
    """Wait until another process has had its effect; TimeoutError at the deadline."""
    async with asyncio.timeout(deadline_s):
        while not happened():
            await asyncio.sleep(0.02)
