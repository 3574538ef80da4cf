"""`fanfare restart` beside a running `fanfare dev`: in order, each ready before the next, and nothing is left over."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.acceptance.terminal import FANFARE, done, gone, terminal

OTHERS = ("webhook", "ledger", "gateway-otp", "intake")
"""One of each kind: all of them end in order, with status 0."""


@pytest.mark.plain_kafka("the command starts a plain Kafka of its own")
async def test_a_slot_is_restarted_worker_by_worker(tmp_path: Path) -> None:
    """Each comes back as another process, having ended in order, and so does one that was stopped; others stay as they are."""
    async with terminal(*FANFARE, "dev", "--free-ports", "--data", str(tmp_path)) as dev:
        await dev.shows("Ctrl-C stops all of it")
        family = dev.family()
        shown = await done(*FANFARE, "restart", "--slot", "0", *OTHERS, "--data", str(tmp_path), deadline_s=120)
        found = [
            re.match(r"(\S+) +ready again after [\d.]+ s \(process (\d+), now (\d+)\)", line) for line in shown.results
        ]
        names = [match[1] for match in found[:-1] if match]
        assert names == ["worker-campaign-0", "worker-otp-0", "worker-update-0", *OTHERS]
        assert all(match[2] != match[3] for match in found[:-1] if match)
        assert shown.results[-1].startswith(f"{len(names)} restarted in ")
        ends = [line for line in dev.lines if "ended (" in line]
        assert sorted(ends) == sorted(f"{name} ended (status 0); started again" for name in names)
        stopped = next(int(match[3]) for match in found if match and match[1] == "ledger")
        os.kill(stopped, signal.SIGSTOP)
        shown = await done(*FANFARE, "restart", "ledger", "--data", str(tmp_path), deadline_s=60)
        assert f"(process {stopped}, now " in shown.results[0]
        family |= dev.family()
        dev.interrupt()
        assert await dev.ended(deadline_s=20) == 0
    await gone(family)


async def test_without_a_stack_it_says_what_to_do(tmp_path: Path) -> None:
    """Nothing is ended by a guess."""
    async with terminal(*FANFARE, "restart", "--workers", "--data", str(tmp_path)) as shown:
        await shown.shows("no `fanfare dev` runs in")
        assert await shown.ended(deadline_s=10) == 1
