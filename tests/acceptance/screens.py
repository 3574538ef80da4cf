"""A command on a real terminal of some size: what it draws, Ctrl-C as a key, and how it leaves the screen."""

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.acceptance.terminal import ROOT, environment

ENTERS = "\x1b[?1049h"
LEAVES = "\x1b[?1049l"
_OWN_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class OnScreen:
    """One command that draws. ``drawn`` is all that it has written so far, with its control sequences."""

    def __init__(self, process: Process, end: int) -> None:
        self.process = process
        self.drawn = ""
        self._end = end

    @property
    def text(self) -> str:
        """All that was drawn, without colours."""
        return _CONTROL.sub("", self.drawn)

    def take(self) -> None:
        """Read what is there."""
        with contextlib.suppress(BlockingIOError, OSError):  # EIO: nobody holds the other end any more
            self.drawn += os.read(self._end, 65_536).decode("utf-8", "replace")

    async def shows(self, text: str, *, deadline_s: float = 60) -> None:
        """Wait until it was drawn."""
        try:
            async with asyncio.timeout(deadline_s):
                while text not in self.text:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"it did not draw {text!r} but:\n{self.text[-4_000:]}") from None

    def press_ctrl_c(self) -> None:
        """The key: the terminal makes the signal of it."""
        os.write(self._end, b"\x03")

    async def ended(self, *, deadline_s: float) -> int:
        """Wait for its end; the exit status."""
        async with asyncio.timeout(deadline_s):
            status = await self.process.wait()
        self.take()
        return status


@asynccontextmanager
async def on_screen(*command: str, columns: int, lines: int, **variables: str) -> AsyncIterator[OnScreen]:
    """Run ``command`` on a terminal of its own; standard output is the terminal, too. It is killed if it is still there."""
    end, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    os.set_blocking(end, False)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _OWN_TERMINAL),
        *command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=environment({"TERM": "xterm-256color", **variables}),
        start_new_session=True,
    )
    os.close(theirs)
    shown = OnScreen(process, end)
    asyncio.get_running_loop().add_reader(end, shown.take)
    try:
        yield shown
    finally:
        asyncio.get_running_loop().remove_reader(end)
        os.close(end)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
