"""A command as a person at a terminal has it: lines that appear, Ctrl-C, an exit status, and everything that it started."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import psutil

from streams.runtime.kafka_settings import BOOTSTRAP_VARIABLE
from streams.runtime.settings import child_environment

FANFARE: Final = (sys.executable, "-m", "streams.cli")
ROOT: Final = Path(__file__).parents[2]


class Terminal:
    """One command that runs. ``lines`` are what it has printed so far, both streams, in order of arrival."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._readers: list[asyncio.Task[None]] = []
        self.lines: list[str] = []
        self.results: list[str] = []
        """Those of standard output alone."""

    def listen(self) -> None:
        """Begin to take what it prints."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, self.lines, self.results)),
            asyncio.create_task(self._read(self._process.stderr, self.lines)),
        ]

    async def shows(self, text: str, *, deadline_s: float = 60) -> str:
        """The first line with ``text``, once it is there; AssertionError with all lines if it does not come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while not (found := [line for line in self.lines if text in line]):
                    if all(reader.done() for reader in self._readers):
                        break
                    await asyncio.sleep(0.05)
                else:
                    return found[0]
        raise AssertionError(f"it did not say {text!r} but:\n" + "\n".join(self.lines))

    def family(self) -> set[psutil.Process]:
        """The process and all that it started, and those that these started."""
        parent = psutil.Process(self._process.pid)
        return {parent, *parent.children(recursive=True)}

    def interrupt(self) -> None:
        """Ctrl-C: the terminal's process group gets SIGINT."""
        os.killpg(self._process.pid, signal.SIGINT)

    async def ended(self, *, deadline_s: float) -> int:
        """Wait for its end; the exit status."""
        async with asyncio.timeout(deadline_s):
            status = await self._process.wait()
            await asyncio.gather(*self._readers)
            return status

    async def close(self) -> None:
        """Whatever still runs is killed."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        await asyncio.gather(*self._readers)

    async def _read(self, stream: asyncio.StreamReader, *into: list[str]) -> None:
        async for line in stream:
            for lines in into:
                lines.append(line.decode().rstrip("\n"))


@asynccontextmanager
async def terminal(*command: str, **variables: str) -> AsyncIterator[Terminal]:
    """Run ``command`` in a process group of its own, from the project's folder; it is killed if it is still there at the end.

    A Kafka that the surroundings name is left out of its environment.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, cwd=ROOT, env=environment(variables), start_new_session=True
    )
    shown = Terminal(process)
    shown.listen()
    try:
        yield shown
    finally:
        await shown.close()


async def done(*command: str, deadline_s: float = 40, **variables: str) -> Terminal:
    """Run a command to its end, which must be with status 0."""
    async with terminal(*command, **variables) as shown:
        status = await shown.ended(deadline_s=deadline_s)
    assert status == 0, f"{' '.join(command)}: status {status}:\n" + "\n".join(shown.lines)
    return shown


async def gone(family: set[psutil.Process], *, deadline_s: float = 10) -> None:
    """Wait until none of these processes is left; AssertionError with the command lines of those that are."""
    with suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            while any(_living(family)):
                await asyncio.sleep(0.05)
    left = list(_living(family))
    assert not left, left


def last_json(shown: Terminal) -> dict[str, Any]:
    """The last line of standard output, which is JSON."""
    figures: dict[str, Any] = json.loads(shown.results[-1])
    return figures


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Our own environment with these variables, our commands on the path, and no Kafka named but by ``variables``."""
    surroundings = {name: held for name, held in child_environment().items() if name != BOOTSTRAP_VARIABLE}
    return {**surroundings, "PATH": f"{Path(sys.executable).parent}:{surroundings['PATH']}", **variables}


def _living(family: set[psutil.Process]) -> Iterator[list[str]]:
    """Command lines of those that still run; zombies are dead."""
    for being in family:
        with suppress(psutil.NoSuchProcess):
            if being.is_running() and being.status() != psutil.STATUS_ZOMBIE:
                yield being.cmdline()
