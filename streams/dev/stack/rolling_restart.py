"""Restarting the processes of a running stack one after the other, in order: each is ready again before the next one ends.

SIGTERM: a worker takes nothing more, finishes what is in flight within 3 s, commits, leaves its group and exits 0; whoever keeps
the stack starts it again in its place. Who does not end in time is killed, which loses nothing. Meanwhile the lane's other slots
have its shards. Whoever is not ready again ends the round: what still runs is left running.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from streams.dev.stack.running_file import Entry, read_register
from streams.runtime import clock
from streams.runtime.child import STOP_GRACE_S
from streams.runtime.supervisor import READY_S, ProcessError

_ASK_S: Final = 0.1
_ANSWER_S: Final = 2.0


class Restarted(NamedTuple):
    """Records a restart: when it was told to end (milliseconds since the epoch), and when it was ready again."""

    name: str
    pid_before: int
    pid: int
    told_ms: int
    """When it was told to end, milliseconds since the epoch."""
    ready_ms: int
    """When it was ready again, milliseconds since the epoch."""


def chosen(
    entries: Sequence[str], *, names: Sequence[str], slots: Sequence[int], workers: bool, every: bool
) -> list[str]:
    """The processes that are meant, in the order of their restart: workers slot by slot, then others, as named if they are.

    ``ValueError`` with a sentence for a name or a slot that is not there, and if nothing is meant.
    """
    numbered = sorted((int(name.rpartition("-")[2]), name) for name in entries if name.startswith("worker-"))
    _demand_known(entries, {slot for slot, _ in numbered}, names, slots)
    meant = [name for slot, name in numbered if every or workers or slot in slots]
    meant += [name for name in (entries if every else names) if name not in meant]
    if not meant:
        raise ValueError("say which: --slot N, --workers, --all, or names of processes")
    return meant


def _demand_known(entries: Sequence[str], known: set[int], names: Sequence[str], slots: Sequence[int]) -> None:
    unknown = [f"slot {slot}" for slot in slots if slot not in known] + [name for name in names if name not in entries]
    if unknown:
        listed = ", ".join(map(str, sorted(known)))
        raise ValueError(f"there is no {unknown[0]}; there are slots {listed} and {', '.join(entries)}")


async def roll(folder: Path, names: Sequence[str]) -> AsyncIterator[Restarted]:
    """Restart these processes of the stack in ``folder``, one at a time; :class:`ProcessError` if one does not come back."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S)) as session:
        for name in names:
            before = _entry(folder, name)
            told_ms = clock.now_ms()
            if before.pid:
                os.kill(before.pid, signal.SIGTERM)
                os.kill(before.pid, signal.SIGCONT)  # a stopped process takes SIGTERM only when it is continued
            yield await _back(session, folder, before, told_ms=told_ms)


async def _back(session: aiohttp.ClientSession, folder: Path, before: Entry, *, told_ms: int) -> Restarted:
    killed = False
    try:
        async with asyncio.timeout(STOP_GRACE_S + READY_S):
            while True:
                now = _entry(folder, before.name)
                if now == before and now.pid and not killed and clock.now_ms() - told_ms > STOP_GRACE_S * 1000:
                    killed = True
                    os.kill(now.pid, signal.SIGKILL)
                if now.pid and now.starts > before.starts and await _ready(session, now):
                    return Restarted(now.name, before.pid, now.pid, told_ms, clock.now_ms())
                await asyncio.sleep(_ASK_S)
    except TimeoutError:
        raise ProcessError(
            f"{before.name} was not ready again after {STOP_GRACE_S + READY_S:.0f} s; its log lies in {folder / 'logs'}, and the "
            "others were left running"
        ) from None


async def _ready(session: aiohttp.ClientSession, entry: Entry) -> bool:
    try:
        async with session.get(f"http://{entry.host}:{entry.port}/readyz") as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, OSError):
        return False


def _entry(folder: Path, name: str) -> Entry:
    entry = read_register(folder).get(name)
    if entry is None:
        raise ProcessError(f"the stack in {folder} keeps no {name} any more")
    return entry
