"""The gateway's HTTP surface: frames from the broker, commands and views for people.

==============================  =====================================================================
``POST /v1/hello, /v1/frames``   the contract of ``schemas/gateway_api.py``
``GET POST DELETE /v1/faults``   what goes wrong on purpose: list, add (a JSON list), clear
``GET /v1/phones?limit=``        the newest messages as phones show them; ``business=``, ``phone=`` choose
``POST /v1/replies``             somebody answers the newest message of a business: phone, business, text
``GET /v1/counts``               messages accepted, repeated and refused by code; reports owed
``GET /``                        the phones as a page
==============================  =====================================================================
"""

import contextlib
from collections.abc import Iterator
from importlib.resources import files
from typing import Final

import msgspec
from aiohttp import web

from schemas.gateway_api import Epoch, Frame, Hello
from streams.runtime.events import Event
from streams.runtime.exits import Exit, fatal
from streams.runtime.http_server import HttpServer
from streams.runtime.log import log
from streams.simulator.faults import after, before, parse
from streams.simulator.frame_rows import FormError
from streams.simulator.listener import Station

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
KEEP_ALIVE_S: Final = 120
"""Longer than any client keeps an idle connection, so that only the side that speaks next closes one."""

_FULL_RETRY_S: Final = 1
_JSON: Final = "application/json"
_PAGE: Final = files("streams.simulator").joinpath("phone.html").read_bytes()

_frames = msgspec.json.Decoder(Frame)
_hellos = msgspec.json.Decoder(Hello)


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Holds a person's answer to the newest message of a business on a phone."""

    phone: str
    """The number, or a part of it."""
    business: str
    text: str


_answers = msgspec.json.Decoder(Said)


class Listener:
    """Serves HTTP in front of a :class:`Station`."""

    def __init__(self, station: Station, host: str, port: int) -> None:
        self._station = station
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(
            [
                web.post("/v1/hello", self._hello),
                web.post("/v1/frames", self._frame),
                web.get("/v1/faults", self._list_faults),
                web.post("/v1/faults", self._add_faults),
                web.delete("/v1/faults", self._clear_faults),
                web.get("/v1/phones", self._phones),
                web.post("/v1/replies", self._answer),
                web.get("/v1/counts", self._counts),
                web.get("/", self._page),
            ]
        )
        self._server = HttpServer(app, "gateway", (host, port), idle_s=KEEP_ALIVE_S)

    async def start(self) -> None:
        """Listen."""
        await self._server.start()

    async def stop(self) -> None:
        """Listen no longer and close every connection."""
        await self._server.stop()

    async def refuse_connections(self, span_ms: int) -> None:
        """Be gone for a while, as a crashed listener is."""
        await self._server.vanish(span_ms / 1_000)

    async def _hello(self, request: web.Request) -> web.StreamResponse:
        try:
            hello = _hellos.decode(await request.read())
            with _log_or_exit():
                granted, epoch = self._station.exchange.hello(hello, self._station.now_ms())
        except (msgspec.MsgspecError, FormError) as error:
            return _bad(error)
        return _json(epoch, 200 if granted else 409)

    async def _frame(self, request: web.Request) -> web.StreamResponse:
        station = self._station
        try:
            frame = _frames.decode(await request.read())
            if station.outbox.full:
                return web.Response(status=503, headers={"Retry-After": str(_FULL_RETRY_S)})
            fault = station.faults.of_frame(frame.lane, frame.shard)
            spoilt = await before(fault, request, self.refuse_connections)
            if spoilt is not None:
                return spoilt
            with _log_or_exit():
                answer = station.exchange.frame(frame, station.now_ms())
        except (msgspec.MsgspecError, FormError) as error:
            return _bad(error)
        return await after(fault, request, _json(answer, 409 if isinstance(answer, Epoch) else 200))

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return _json(self._station.faults.listed)

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            self._station.faults.add(parse(await request.read()))
        except msgspec.MsgspecError as error:
            return _bad(error)
        self._note_faults()
        return _json(self._station.faults.listed)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._station.faults.clear()
        self._note_faults()
        return _json([])

    def _note_faults(self) -> None:
        log(Event.FAULT_SET, component="gateway", faults=[fault.kind.value for fault in self._station.faults.listed])

    async def _phones(self, request: web.Request) -> web.Response:
        asked = request.query
        limit = asked.get("limit", "50")
        if not limit.isdecimal():
            return web.Response(status=400, text="limit is a number\n")
        newest = self._station.phones.newest(
            int(limit),
            business=asked.get("business", ""),
            phone=asked.get("phone", ""),
            heartbeats=asked.get("heartbeats", "") == "1",
        )
        return _json(newest)

    async def _answer(self, request: web.Request) -> web.Response:
        """Let somebody answer; it is reported as every answer is, but forgotten if this process ends before."""
        try:
            said = _answers.decode(await request.read())
        except msgspec.MsgspecError as error:
            return _bad(error)
        station = self._station
        due = station.phones.answered(said.phone, said.business, said.text, station.now_ms())
        if due is None:
            return web.Response(status=404, text=f"{said.phone} shows nothing of {said.business}\n")
        station.outbox.owe([due])
        return web.Response(status=202)

    async def _counts(self, _request: web.Request) -> web.Response:
        return _json(self._station.counts())

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(body=_PAGE, content_type="text/html", charset="utf-8")


@contextlib.contextmanager
def _log_or_exit() -> Iterator[None]:
    """Whatever stops a frame on its way into the log leaves memory ahead of it: start again from the log, unanswered."""
    try:
        yield
    except FormError:
        raise  # before anything was taken
    except Exception as error:  # noqa: BLE001 -- the one exit of a listener that may not go on
        fatal(Exit.CRASHED, component="gateway", error=type(error).__name__)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type=_JSON)


def _bad(error: Exception) -> web.Response:
    log(Event.RECORD_UNREADABLE, component="gateway", error=type(error).__name__)
    return web.Response(status=400, text=f"{error}\n")
