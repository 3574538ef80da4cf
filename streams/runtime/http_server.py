"""Serves HTTP for every process of ours: one way to bind, to bear slow and half-open connections, and to stop."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, Self

from aiohttp import web

from streams.runtime.events import Event
from streams.runtime.log import log

Unreadable = Callable[[int], web.Response]
"""Counts and answers a head that is not HTTP; it is told the status that the library would answer."""

MAX_LINE_BYTES: Final = 8_190
"""Of a request's first line, and of each header."""
MAX_HEADERS: Final = 128
HEAD_S: Final = 30
"""For so long a connection may be without a whole request head, the first one as well."""
_LINGER_S: Final = 2
"""For so long what a client still sends after its answer is read and dropped."""


class HttpServer:
    """``async with HttpServer(app, "webhook", (host, port)):`` it listens, and says so in the log under that component's name.

    At the end requests under way have ``stop_s`` seconds to be answered. A connection may stand ``idle_s`` seconds without a
    request. Port 0 takes any free one. Raises ``OSError`` if it cannot listen there.

    Who faces strangers says by ``unreadable`` how it answers what is not HTTP. Then bodies come as they were sent, never
    inflated, and nothing that a stranger does is logged by the library.
    """

    def __init__(
        self,
        app: web.Application,
        component: str,
        place: tuple[str, int],
        *,
        stop_s: float = 1,
        idle_s: float = HEAD_S,
        unreadable: Unreadable | None = None,
    ) -> None:
        self._options: dict[str, Any] = {"access_log": None, "keepalive_timeout": idle_s}
        self._runner = web.AppRunner(app, shutdown_timeout=stop_s, **self._options)
        self._component = component
        self._host, self._port = place
        self._unreadable = unreadable
        self._listener: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that it listens on, once started."""
        return self._port

    async def start(self) -> None:
        """Listen."""
        await self._runner.setup()
        await self._listen()
        log(Event.SERVING, component=self._component, port=self.port)

    async def stop(self) -> None:
        """Listen no longer; connections end once their requests are answered."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    async def vanish(self, seconds: float) -> None:
        """Be gone for a while, with every connection, as a crashed server is."""
        assert self._listener is not None
        self._listener.close()
        server = self._runner.server
        for connection in server.connections if server else ():
            connection.force_close()
        await asyncio.sleep(seconds)
        await self._listen()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _listen(self) -> None:
        loop, server = asyncio.get_running_loop(), self._runner.server
        assert server is not None
        factory: Callable[[], web.RequestHandler] = server
        if (unreadable := self._unreadable) is not None:
            options = {"loop": loop, **self._options, **_WARY}
            factory = lambda: _Connection(server, unreadable, **options)  # noqa: E731 - a protocol a connection
        self._listener = await loop.create_server(factory, self._host, self._port)
        self._port = self._listener.sockets[0].getsockname()[1]


_WARY: Final[dict[str, Any]] = {
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
