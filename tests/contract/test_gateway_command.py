"""`fanfare gateway` as people start it: three listeners that stay up, end together, and say what is wrong with options."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from schemas.lanes import Lane
from streams.runtime.exits import Exit
from streams.runtime.ports import free_ports
from streams.runtime.settings import child_environment
from tests.support.programs import PATIENCE_S, processes_naming, until
from tests.support.simulated import ENTRIES

LANES = [lane.word for lane in Lane]


class Supervised:
    """`fanfare gateway` with its listeners on free ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.urls = [f"http://127.0.0.1:{port}" for port in free_ports(len(LANES))]
        registry = folder / "registry.json"
        registry.write_bytes(msgspec.json.encode(ENTRIES))
        settings = {f"gateway_{lane}": url for lane, url in zip(LANES, self.urls, strict=True)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "gateway", "--data", str(folder), "--registry", str(registry)],
            env=child_environment(gateway_metrics_port=0, **settings),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def listeners(self) -> list[int]:
        """The processes of the listeners."""
        return [pid for pid in processes_naming(self.folder) if pid != self.process.pid]

    async def answer(self) -> None:
        """Wait until all answer."""
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
            for url in self.urls:
                while not await _answers(session, url):
                    await asyncio.sleep(0.05)


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/v1/counts") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


@pytest.fixture
async def supervised(tmp_path: Path) -> AsyncIterator[Supervised]:
    """A running supervisor, gone afterwards with all its children."""
    running = Supervised(tmp_path)
    await running.answer()
    yield running
    running.process.kill()
    running.process.wait()
    await until(lambda: not running.listeners())


async def test_a_killed_listener_comes_back(supervised: Supervised) -> None:
    """Each lane has a process and a log of its own; one that is killed is there again."""
    first = supervised.listeners()
    assert len(first) == 3
    assert sorted(log.parent.name for log in supervised.folder.glob("gateway/*/events.jsonl")) == sorted(LANES)
    os.kill(first[0], signal.SIGKILL)
    await until(lambda: len(supervised.listeners()) == len(LANES) and first[0] not in supervised.listeners())
    await supervised.answer()
    assert set(first[1:]) < set(supervised.listeners())


async def test_all_end_together(supervised: Supervised) -> None:
    """SIGTERM ends the supervisor with status 0 and no listener left."""
    supervised.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(supervised.process.wait, PATIENCE_S) == 0
    assert supervised.listeners() == []


async def test_no_orphans(supervised: Supervised) -> None:
    """Killing the supervisor with signal 9 leaves no listener behind."""
    supervised.process.kill()
    await until(lambda: not supervised.listeners())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--lanes", "otp,air"), f"there is no lane 'air'; there are: {', '.join(LANES)}"),
        (("--profile", "sleepy"), "profile 'sleepy' is neither one of real, online nor a file that can be read"),
        (("--registry", "nowhere.yaml"), "nowhere.yaml: No such file or directory"),
        (("--faults", "nowhere.json"), "nowhere.json: No such file or directory"),
    ],
)
def test_bad_options(tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    """An option that cannot be used is refused with status 80 and one sentence."""
    told = tmp_path / "registry.json"
    told.write_bytes(msgspec.json.encode(ENTRIES))
    registry = () if "--registry" in options else ("--registry", str(told))
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli", "gateway", "--data", str(tmp_path), *registry, *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (Exit.REFUSED_START, f"fanfare gateway: {sentence}")
