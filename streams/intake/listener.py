"""The listener of intake and webhook: bounds on slow and half-open connections, and an answer to a head that is not HTTP."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Self

from aiohttp import web

Unreadable = Callable[[int], web.Response]
"""Counts and answers a head that is not HTTP; it is told the status that the library would answer."""

MAX_LINE_BYTES: Final = 8_190
"""Of a request's first line, and of each header."""
MAX_HEADERS: Final = 128
HEAD_S: Final = 30
"""For so long a connection may be without a whole request head, the first one as well."""
_LINGER_S: Final = 2


class Door:
    """``async with Door(app, host, port):`` it listens; at the end requests under way have ``stop_s`` to be answered.

    Bodies come as they were sent, never inflated. Port 0 takes any free one. Raises ``OSError`` if it cannot listen there.
    """

    def __init__(self, app: web.Application, host: str, port: int, *, stop_s: float, unreadable: Unreadable) -> None:
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=stop_s)
        self._host = host
        self._port = port
        self._unreadable = unreadable
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._listener is not None
        port: int = self._listener.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        server = self._runner.server
        assert server is not None
        self._listener = await loop.create_server(
            lambda: _Connection(server, self._unreadable, loop=loop, **_OPTIONS), self._host, self._port
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()


_OPTIONS: Final[dict[str, Any]] = {
    "access_log": None,
    "keepalive_timeout": HEAD_S,
    "lingering_time": _LINGER_S,
    "auto_decompress": False,
    "max_line_size": MAX_LINE_BYTES,
    "max_field_size": MAX_LINE_BYTES,
    "max_headers": MAX_HEADERS,
}


class _Connection(web.RequestHandler):
    """Answers what cannot be read as a request without repeating any of it."""

    __slots__ = ("_unreadable",)

    def __init__(self, server: web.Server, unreadable: Unreadable, **options: Any) -> None:
        super().__init__(server, **options)
        self._unreadable = unreadable

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Returns the answer; the connection ends with it."""
        answer = super().handle_error(request, status, exc, message)
        told = self._unreadable(answer.status)
        told.force_close()
        return told

    def log_exception(self, *_: object, **__: object) -> None:
        """Writes nothing: strangers would decide how much is written, and what fails in our code is logged where it fails."""
