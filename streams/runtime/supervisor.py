"""Supervises a program of ours as a child process: started, watched, brought back when it ends unasked, stopped in order.

Used by ``fanfare dev``, ``demo`` and ``gateway``, and by the fault tests. A process that ends itself is meant to be started again
in its place (PROTOCOL.md rule 14); a *brake* keeps one that cannot run now from being started without a pause.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, NamedTuple

import aiohttp

from streams.runtime import clock
from streams.runtime.child import FANFARE, STOP_GRACE_S, Child, Progress, doing
from streams.runtime.exits import Exit, meaning
from streams.runtime.file_lock import private_folder

READY_S: Final = 60.0
"""Two seconds are usual; a loaded machine, or a long journal to fold, gets a minute."""

INHERITED: Final = Path(os.devnull)
"""Stands for a log of a process whose output goes where ours goes."""

_ASK_EVERY_S: Final = 0.1
_ANSWER_S: Final = 2.0
_MINUTE_MS: Final = 60_000
_TAIL_BYTES: Final = 4_096


class ProcessError(Exception):
    """A process does not do what was wanted of it: one sentence, and the end of its log."""


class Ended(NamedTuple):
    """Records the end of a process: when (monotonic), and its exit status (minus the number of the signal that killed it)."""

    at_ms: int
    """When it ended, milliseconds of the monotonic clock."""
    status: int


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """Describes a process to run: ``fanfare`` with these arguments, and where it answers. ``environment`` holds secrets."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    host: str
    port: int
    """Of /readyz."""
    log_path: Path
    """Where its output goes; :data:`INHERITED`: where ours goes."""
    restarts_a_minute: int = 6
    """Restarts without a pause."""
    brake_s: float = 15.0
    """Seconds before the next start once there were more than that."""
    still_s: float = 15.0
    """After so long a start that has neither printed anything nor used the processor is given up and tried again."""
    final: frozenset[int] = frozenset()
    """Exit statuses after which it stays down, because starting it again would end the same way."""


class Process:
    """Supervises a process. Use it from the loop of the main thread.

    Between :meth:`start` and :meth:`stop` it is brought back whenever it ends, whoever ended it. ``pid``, ``ended`` and
    ``starts`` say what became of it so far.
    """

    def __init__(
        self, plan: ProcessPlan, *, say: Callable[[str], None], changed: Callable[[], None] = lambda: None
    ) -> None:
        """``changed`` is called when a process has started or ended."""
        self.plan = plan
        self.ended: list[Ended] = []
        self.starts = 0
        self.braked = False
        """True if it ended too often within a minute and has to wait before it is started again."""
        self.refused = False
        """True once it ended with a status after which it stays down."""
        self._say = say
        self._changed = changed
        self._child: Child | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._restarting = False
        self._log_began = 0
        """The size of the log when the present run began."""

    @property
    def name(self) -> str:
        """Returns its name in the stack."""
        return self.plan.name

    @property
    def pid(self) -> int:
        """The process id; 0 while there is no process."""
        return self._child.pid if self._child is not None else 0

    @property
    def running(self) -> bool:
        """Returns whether the process exists; a paused one does."""
        return self.pid != 0

    # -- signals; False if there is no process to take one

    def kill(self) -> bool:
        """End it as a crash would (SIGKILL); it is brought back."""
        return self._send(signal.SIGKILL)

    def terminate(self) -> bool:
        """Ask it to end in order (SIGTERM); it is brought back."""
        return self._send(signal.SIGTERM)

    def pause(self) -> bool:
        """Stop it where it stands (SIGSTOP)."""
        return self._send(signal.SIGSTOP)

    def resume(self) -> bool:
        """Continue it (SIGCONT)."""
        return self._send(signal.SIGCONT)

    # -- life

    async def start(self, **once: str) -> None:
        """Start it, unless it is kept already; :meth:`ready` says when it serves.

        ``once`` adds variables to the environment of this one run (``FANFARE_CRASH_AT="deliver.decided:3"``): when it is
        brought back they are gone.
        """
        if self._keeping is not None:
            return
        self._stopping.clear()
        self.braked = self.refused = False
        await self._spawn(once)
        self._keeping = asyncio.create_task(self._keep(), name=f"keep {self.name}")

    async def stop(self, *, grace_s: float = STOP_GRACE_S) -> None:
        """SIGTERM, SIGKILL after ``grace_s``; it stays down. May be called twice."""
        self._stopping.set()
        keeping, self._keeping = self._keeping, None
        if keeping is None:
            return
        self.terminate()
        # A stopped process takes SIGTERM only when it is continued.
        self.resume()
        _, late = await asyncio.wait([keeping], timeout=grace_s)
        if late:
            self._say(f"{self.name} did not stop within {grace_s:.0f} s; killed")
            self.kill()
        await keeping

    async def restart(self, **once: str) -> None:
        """Stop it in order and start it again, with ``once`` for that run."""
        self._restarting = True
        try:
            await self.stop()
            await self.start(**once)
        finally:
            self._restarting = False

    async def ready(self, *, deadline_s: float = READY_S) -> None:
        """Return when it answers ``ok`` to /readyz. A start that stands still is replaced meanwhile.

        :class:`ProcessError` at the deadline, when it ends too often, and when it is stopped and not being restarted.
        """
        complaint = "does not answer"
        progress = Progress()
        url = f"http://{self.plan.host}:{self.plan.port}/readyz"
        try:
            async with asyncio.timeout(deadline_s), aiohttp.ClientSession() as session:
                while complaint := await self._complaint(session, url):
                    if self.refused or self.braked or (self._keeping is None and not self._restarting):
                        raise self.failure("is not running")
                    self._replace_if_still(progress)
                    await asyncio.sleep(_ASK_EVERY_S)
        except TimeoutError:
            seen = f"; {does}" if (does := doing(self.pid)) else ""
            raise self.failure(f"was not ready after {deadline_s:.0f} s ({complaint}{seen})") from None

    def failure(self, what: str) -> ProcessError:
        """The error for a process that ``what``, with the last line of its log."""
        return ProcessError(f"{self.name} {what}; the last line of {self.plan.log_path}: {self._last_line()}")

    # -- inside

    def _replace_if_still(self, progress: Progress) -> None:
        still = progress.idle_ms(self.pid, clock.monotonic_ms()) >= self.plan.still_s * 1_000
        if still and self._log_size() == self._log_began:
            self._say(f"{self.name} stands still at its start ({doing(self.pid)}) and is killed")
            self.kill()

    def _log_size(self) -> int:
        return self.plan.log_path.stat().st_size if self.plan.log_path.exists() else 0

    async def _keep(self) -> None:
        assert self._child is not None
        while True:
            status = await self._child.wait()
            self.ended.append(Ended(clock.monotonic_ms(), status))
            if status in self.plan.final and not self._stopping.is_set():
                self.refused = True
                if self.plan.log_path != INHERITED:  # else its own last line stands just above
                    self._say(
                        f"{self.name} ended ({how_it_ended(status)}) and stays down; {self.plan.log_path} says why"
                    )
            self._changed()
            if not self._stopping.is_set() and not self.refused:
                await self._brake(status)
            if self._stopping.is_set() or self.refused:
                return
            await self._spawn({})

    async def _brake(self, status: int) -> None:
        """Say how it ended; wait if it does that too often, unless it is to stop."""
        if not self._too_often():
            self.braked = False
            self._say(f"{self.name} ended ({how_it_ended(status)}); started again")
            return
        if not self.braked:
            self.braked = True
            self._say(
                f"{self.name} ended {self.plan.restarts_a_minute + 1} times within a minute and is tried every "
                f"{self.plan.brake_s:.0f} s; the last line of {self.plan.log_path}: {self._last_line()}"
            )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self.plan.brake_s)

    def _too_often(self) -> bool:
        since_ms = clock.monotonic_ms() - _MINUTE_MS
        return sum(end.at_ms > since_ms for end in self.ended) > self.plan.restarts_a_minute

    async def _spawn(self, once: Mapping[str, str]) -> None:
        self._log_began = self._log_size()
        with self._output() as output:
            self._child = await Child.start(
                (*FANFARE, *self.plan.arguments),
                environment={**self.plan.environment, **once},
                stdout=output,
                stderr=output,
            )
        self.starts += 1
        self._changed()
        if self._stopping.is_set():
            self.kill()

    def _output(self) -> AbstractContextManager[IO[bytes] | None]:
        if self.plan.log_path == INHERITED:
            return contextlib.nullcontext()
        private_folder(self.plan.log_path.parent)
        return self.plan.log_path.open("ab")

    async def _complaint(self, session: aiohttp.ClientSession, url: str) -> str:
        if not self.running:
            return "there is no process"
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as answer:
                return "" if answer.status == 200 else (await answer.text()).strip()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return "does not answer"

    def _send(self, number: signal.Signals) -> bool:
        return self._child is not None and self._child.send(number)

    def _last_line(self) -> str:
        try:
            with self.plan.log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError:
            return "(none)"
        return lines[-1] if lines else "(none)"


def how_it_ended(status: int) -> str:
    """Returns an exit status in words: of a process that ended itself with its sentence, of one that was killed the signal."""
    if status < 0:
        return signal.Signals(-status).name
    return f"status {status}: {meaning(Exit(status))}" if status in frozenset(Exit) else f"status {status}"
