"""Runs a broker process under a guard, so that it never outlives the process that wanted it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from streams.dev.kafka import guard
from streams.dev.kafka.errors import NodeFailedError
from streams.dev.kafka.properties import NodePlan

STOP_GRACE_S: Final = 10
"""A node with a few hundred partitions flushes and leaves in 1 to 3 s; past this it is killed."""

_GUARD_MARGIN_S: Final = 5
_TAIL_LINES: Final = 12


class Node:
    """A broker that can be started, killed, paused, resumed and stopped; `plan` says which.

    Its methods do not depend on an event loop: a test may start a node in one and kill it in another.
    """

    def __init__(self, plan: NodePlan, *, java_command: Sequence[str], scratch: Path | None) -> None:
        """`java_command` runs the broker; the folder `scratch` goes when the node is stopped or orphaned."""
        self.plan = plan
        self._command = java_command
        self._scratch = str(scratch) if scratch else ""
        # What is about to be removed need not be flushed; three nodes that leave together take 5 s otherwise.
        self._grace_s = 0 if scratch else STOP_GRACE_S
        self._guard: subprocess.Popen[bytes] | None = None
        self.java_pid = 0

    @property
    def running(self) -> bool:
        """Returns whether the process exists; a paused one does."""
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> None:
        """Start the process; returns before it serves. Does nothing if it runs."""
        if self.running:
            return
        command = [sys.executable, "-I", "-S", guard.__file__, str(self._grace_s), self._scratch, *self._command]
        with self.plan.log_path.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal reaches this process, which decides what stops and when.
            self._guard = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        assert self._guard.stdout is not None
        with self._guard.stdout as answer:
            first_line = answer.readline()
        if not first_line:
            raise self.failure("could not be started")
        self.java_pid = int(first_line)

    async def kill(self) -> None:
        """End it as a crash would: SIGKILL, no flush, no farewell."""
        self._signal(signal.SIGKILL)
        await self._wait()

    def pause(self) -> None:
        """Stop it where it stands (SIGSTOP): its connections stay open and silent."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue a paused process."""
        self._signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it cleanly, by force if it takes longer than STOP_GRACE_S. One on scratch is simply killed."""
        if self._guard is not None:
            self._close_guard_input()
            await self._wait()

    def failure(self, what: str) -> NodeFailedError:
        """The error for a node that `what` ("exited", "could not be started"), with the end of its log."""
        lines = self.plan.log_path.read_text("utf-8", "replace").splitlines()[-_TAIL_LINES:]
        tail = "".join(f"\n    {line}" for line in lines) or " nothing"
        return NodeFailedError(f"Kafka node {self.plan.node_id} {what}; its log {self.plan.log_path} ends with:{tail}")

    def _signal(self, number: signal.Signals) -> None:
        # The guard reaps Java, so while the guard lives the id is Java's and nobody else's.
        if self.running:
            os.kill(self.java_pid, number)

    async def _wait(self) -> None:
        process = self._guard
        if process is None:
            return
        try:
            await asyncio.to_thread(process.wait, STOP_GRACE_S + _GUARD_MARGIN_S)
        except subprocess.TimeoutExpired:
            # Java dies with its guard (PR_SET_PDEATHSIG).
            process.kill()
            await asyncio.to_thread(process.wait)
        self._close_guard_input()

    def _close_guard_input(self) -> None:
        if self._guard is not None and self._guard.stdin is not None:
            self._guard.stdin.close()
