"""The simulated gateway as tests meet it: a process of its own with real sockets, and a webhook that hears its reports."""

import asyncio
import base64
import contextlib
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
from aiohttp import web

from schemas.registry import Entry
from schemas.wire.frames import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    GatewayEvent,
    Reply,
    ReportRun,
    Reports,
    signature_of,
)
from streams.settings import child_environment, load, raw
from streams.simulator.eventlog import read
from tests.simulated import ENTRIES

PATIENCE_S: Final = 20


async def until(holds: Callable[[], bool]) -> None:
    """Wait for an effect; ``TimeoutError`` if it does not come."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


class Hearing:
    """A webhook: verifies each batch, keeps what it says, answers ``status`` (which a test may change)."""

    def __init__(self) -> None:
        self.runs: list[ReportRun] = []
        self.replies: list[Reply] = []
        self.posts = 0
        self.status = 200
        self.url = ""
        self._secret = raw(load().webhook_secret)

    async def take(self, request: web.Request) -> web.Response:
        """One batch."""
        body = await request.read()
        expected = signature_of(self._secret, int(request.headers[TIMESTAMP_HEADER]), body)
        assert request.headers[SIGNATURE_HEADER] == expected
        self.posts += 1
        if self.status == 200:
            reports = msgspec.json.decode(body, type=Reports)
            self.runs += reports.runs
            self.replies += reports.replies
        return web.Response(status=self.status)

    def heard(self, status: str) -> list[tuple[str, int]]:
        """(reference, rank) of everything heard with ``status``, repeats included."""
        return [
            (run.ref, rank)
            for run in self.runs
            if run.status == status
            for first, count in run.ranks
            for rank in range(first, first + count)
        ]


@contextlib.asynccontextmanager
async def hearing() -> AsyncIterator[Hearing]:
    """A webhook on a free port."""
    heard = Hearing()
    app = web.Application()
    app.add_routes([web.post("/v1/reports", heard.take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    heard.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/reports"
    try:
        yield heard
    finally:
        await runner.cleanup()


class Listening:
    """One listener process of lane ``campaign``; it may be killed and started again on the same port and log."""

    def __init__(self, folder: Path, webhook_url: str, *options: str, entries: tuple[Entry, ...] = ENTRIES) -> None:
        self.folder = folder
        self.port = 0
        self._webhook_url = webhook_url
        self._options = options
        self._registry = folder / "registry.json"
        self._registry.write_bytes(msgspec.json.encode(entries))
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start it and wait until it listens."""
        command = ["gateway", "--lane", "campaign", "--port", str(self.port), "--registry", str(self._registry)]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "streams.cli", *command, "--with-parent", *self._options),
            env=child_environment(data_dir=self.folder, webhook_url=self._webhook_url, gateway_metrics_port=0),
            stdin=PIPE,
            stderr=PIPE,
        )
        async with asyncio.timeout(PATIENCE_S):
            self.port = await self._port()
        self._reading = asyncio.create_task(self._drain())

    async def kill(self) -> None:
        """Kill it with signal 9."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to stop; its exit status."""
        return await self._end(signal.SIGTERM)

    async def died(self) -> None:
        """Wait for it to die by itself."""
        assert self._process is not None
        async with asyncio.timeout(PATIENCE_S):
            await self._process.wait()

    async def faults(self, *faults: dict[str, object]) -> None:
        """Put faults in force, instead of those that were."""
        async with aiohttp.ClientSession(self.url) as session:
            await (await session.delete("/v1/faults")).read()
            answer = await session.post("/v1/faults", json=faults)
            assert answer.status == 200, await answer.text()

    async def ask(self, path: str) -> object:
        """A view, as JSON."""
        async with aiohttp.ClientSession(self.url) as session, session.get(path) as answer:
            return await answer.json()

    def log(self, event: str = "") -> list[GatewayEvent]:
        """The lines of its log; of one event if named."""
        path = self.folder / "gateway" / "campaign" / "events.jsonl"
        return [line for line in read(path, GatewayEvent) if event in {"", line.event}]

    def visible(self) -> Counter[tuple[str, bytes]]:
        """How often each (request, recipient) was shown to a person, by the log."""
        shown: Counter[tuple[str, bytes]] = Counter()
        for line in self.log("accepted"):
            column = base64.b64decode(line.recipients)
            shown.update((line.request, column[at : at + 16]) for at in range(0, len(column), 16))
        return shown

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            status = await self._process.wait()
        if self._reading is not None:
            await self._reading
        return status

    async def _port(self) -> int:
        assert self._process is not None
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            said = json.loads(line) if line.startswith(b"{") else {}
            if said.get("event") == "serving" and said.get("component") == "gateway":
                return int(said["port"])
        raise AssertionError("the gateway ended before it listened")

    async def _drain(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for _ in self._process.stderr:
            pass


@contextlib.asynccontextmanager
async def listening(folder: Path, webhook_url: str, *options: str) -> AsyncIterator[Listening]:
    """A listener process that is gone afterwards."""
    gateway = Listening(folder, webhook_url, *options)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.kill()
