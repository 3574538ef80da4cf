"""Looking at other processes, by what stands on their command line, and waiting for what happens to them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import psutil


def processes_naming(folder: Path | str) -> list[int]:
    """Processes, zombies apart, whose command line names `folder`."""
    beings = psutil.process_iter(["cmdline"])
    return [being.pid for being in beings if str(folder) in " ".join(being.info["cmdline"] or ())]


async def until(happened: Callable[[], bool], *, deadline_s: float = 20) -> None:
    """Wait until another process has had its effect; TimeoutError at the deadline."""
    async with asyncio.timeout(deadline_s):
        while not happened():
            await asyncio.sleep(0.02)
