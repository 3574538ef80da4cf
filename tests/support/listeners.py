"""The simulated gateway as tests meet it: a process of its own with real sockets, and a webhook that hears its reports."""

import base64
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import standardwebhooks
from aiohttp import web

from schemas.gateway_api import GatewayEvent, Reply, ReportRun, Reports
from streams.runtime.settings import load
from streams.simulator.event_log import read
from tests.support.programs import Program
from tests.support.simulated import ENTRIES


class Hearing:
    """A webhook: verifies each batch, keeps what it says, answers ``status`` (which a test may change)."""

    def __init__(self) -> None:
        self.runs: list[ReportRun] = []
        self.replies: list[Reply] = []
        self.taken: list[tuple[dict[str, str], bytes]] = []
        """Headers and body of each batch."""
        self.posts = 0
        self.status = 200
        self.url = ""
        self._verifier = standardwebhooks.Webhook(load().webhook_secret.get_secret_value())

    async def take(self, request: web.Request) -> web.Response:
        """One batch."""
        body = await request.read()
        self._verifier.verify(body, dict(request.headers), json_parse=False)
        self.posts += 1
        if self.status == 200:
            self.taken.append((dict(request.headers), body))
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

    def __init__(self, folder: Path, webhook_url: str, *options: str) -> None:
        self.folder = folder
        self._registry = folder / "registry.json"
        self._registry.write_bytes(msgspec.json.encode(ENTRIES))
        self._webhook_url = webhook_url
        self._options = options
        self._program = Program("gateway")

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._program.url

    async def start(self) -> None:
        """Start it and wait until it listens."""
        await self._program.start(
            *("gateway", "--lane", "campaign", "--registry", str(self._registry), *self._options),
            data_dir=self.folder,
            webhook_url=self._webhook_url,
            gateway_metrics_port=0,
        )

    async def kill(self) -> None:
        """Kill it with signal 9, unless it is gone already."""
        await self._program.kill()

    async def stop(self) -> int:
        """Ask it to stop; its exit status."""
        return await self._program.stop()

    async def died(self) -> int:
        """Wait for it to end by itself."""
        return await self._program.died()

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


@contextlib.asynccontextmanager
async def listening(folder: Path, webhook_url: str, *options: str) -> AsyncIterator[Listening]:
    """A listener process that is gone afterwards."""
    gateway = Listening(folder, webhook_url, *options)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.kill()
