"""Serves what a process says about itself on loopback: ``/metrics``, ``/livez``, ``/readyz``. Runs inside each process.

*Live* is about progress, not about being there: a process that has something to do and does not get on with it should be
restarted, and says 503. Kafka or the gateway being away is no reason to restart, so liveness never asks them. *Ready* means
that work is taken: shards assigned, folds done. ``?verbose`` lists the checks, one a line, ``[+]`` good and ``[-]`` not, as
Kubernetes' own servers do. Ports: ``streams/runtime/settings.py``.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Self

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from streams import __version__
from streams.runtime import metrics
from streams.runtime.events import Event
from streams.runtime.http_server import HttpServer
from streams.runtime.log import log
from streams.runtime.settings import Settings

Check = Callable[[], str | None]
"""Asked at each request; ``None`` when all is well, else a short sentence without content."""

NO_CHECKS: Final[Mapping[str, Check]] = MappingProxyType({})


class Health:
    """The server of one process: ``async with Health(settings, "worker", port=...):``. Port 0 takes any free one.

    ``live`` and ``ready`` are checks by name. Raises ``OSError`` if the port is taken.
    """

    def __init__(
        self,
        settings: Settings,
        program: str,
        *,
        port: int,
        live: Mapping[str, Check] = NO_CHECKS,
        ready: Mapping[str, Check] = NO_CHECKS,
    ) -> None:
        self._weak = settings.dev_secrets if settings.dev else ()
        """Secrets to warn of. Outside development the program has made sure of those that it uses."""
        self._program = program
        self._live = live
        self._ready = ready
        app = web.Application()
        app.router.add_get("/metrics", make_aiohttp_handler(metrics.REGISTRY))
        app.router.add_get("/livez", self._answer_live)
        app.router.add_get("/readyz", self._answer_ready)
        self._server = HttpServer(app, "health", (settings.metrics_host, port))

    @property
    def port(self) -> int:
        """The port that it listens on, once started."""
        return self._server.port

    async def start(self) -> None:
        """Listen."""
        log(Event.STARTED, component="health", version=__version__, python=platform.python_version())
        metrics.UP.of(self._program).set(1)
        for secret in self._weak:
            metrics.DEV_SECRET.of(secret).set(1)
        if self._weak:
            log(Event.DEV_SECRETS, component="health", secrets=self._weak)
        await self._server.start()

    async def stop(self) -> None:
        """Listen no longer."""
        await self._server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _answer_live(self, request: web.Request) -> web.Response:
        return _answer(request, self._live, notes=())

    async def _answer_ready(self, request: web.Request) -> web.Response:
        notes = [f"[!]{secret} dev" for secret in self._weak]
        return _answer(request, self._ready, notes=notes)


def _answer(request: web.Request, checks: Mapping[str, Check], *, notes: Sequence[str]) -> web.Response:
    found = {name: check() for name, check in checks.items()}
    failed = [name for name, complaint in found.items() if complaint is not None]
    status = 503 if failed else 200
    verdict = f"failed: {', '.join(failed)}" if failed else "ok"
    if "verbose" not in request.query:
        return web.Response(text=verdict + "\n", status=status)
    lines = [f"[+]{name} ok" if complaint is None else f"[-]{name} {complaint}" for name, complaint in found.items()]
    return web.Response(text="\n".join([*lines, *notes, verdict]) + "\n", status=status)
