"""A program of ours as tests meet it: a process of its own on a port of its own, which may be killed and started again."""

import asyncio
import contextlib
import json
import shutil
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import psutil

from streams.runtime.child import FANFARE, Child
from tests.support.secured import environment

PATIENCE_S: Final = 20
_DEBIAN: Final = Path(__file__).parents[2] / ".cache" / "prometheus" / "usr" / "bin"


def debian_program(name: str) -> str | None:
    """The path of a program of Debian's package prometheus: an installed one, or what ``.ci/get-prometheus`` has put aside."""
    return shutil.which(name) or shutil.which(str(_DEBIAN / name))


def processes_naming(folder: Path | str) -> list[int]:
    """Processes, zombies apart, whose command line names ``folder``."""
    beings = psutil.process_iter(["cmdline"])
    return [being.pid for being in beings if str(folder) in " ".join(being.info["cmdline"] or ())]


async def until(holds: Callable[[], bool], *, deadline_s: float = PATIENCE_S) -> None:
    """Wait for an effect; ``TimeoutError`` if it does not come in time."""
    async with asyncio.timeout(deadline_s):
        while not holds():
            await asyncio.sleep(0.01)


class Program:
    """``fanfare <command>``, which says ``serving`` with its component and port when it listens."""

    def __init__(self, component: str) -> None:
        self.port = 0
        """0 until it has been started; then it comes back on the same."""
        self.entry: Sequence[str] = FANFARE
        """The program that takes the command."""
        self._component = component
        self._process: Child | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The number of its process, once started."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.status is None

    async def start(self, *command: str, **settings: Any) -> None:
        """Start it and wait until it listens."""
        whole = (*self.entry, *command, "--port", str(self.port))
        self._process = await Child.start(whole, environment=environment(**settings), stderr=PIPE)
        async with asyncio.timeout(PATIENCE_S):
            self.port = await self._listens()
        self._reading = asyncio.create_task(self._drain())

    async def kill(self) -> None:
        """Kill it with signal 9, unless it is gone already."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to stop; its exit status."""
        return await self._end(signal.SIGTERM)

    async def died(self) -> int:
        """Wait for it to end by itself; its exit status, minus the number if a signal ended it."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()

    async def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send(number)
        status = await self.died()
        if self._reading is not None:
            await self._reading
        return status

    async def _listens(self) -> int:
        assert self._process is not None
        said = []
        async for line in self._process.errors:
            said.append(line.decode())
            event = json.loads(line) if line.startswith(b"{") else {}
            if event.get("event") == "serving" and event.get("component") == self._component:
                return int(event["port"])
        raise AssertionError("it ended before it listened: " + "".join(said))

    async def _drain(self) -> None:
        assert self._process is not None
        async for _ in self._process.errors:
            pass


@contextlib.asynccontextmanager
async def running(command: Sequence[str], log: Path, **settings: Any) -> AsyncIterator[Child]:
    """A process with these settings whose output goes to ``log``; it is killed afterwards."""
    with log.open("wb") as out:
        child = await Child.start(command, environment=environment(**settings), stdout=out, stderr=out)
    try:
        yield child
    finally:
        await child.end(grace_s=0)
