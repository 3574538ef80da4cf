"""The gateway as deliver sees it: frames out, one of a closed set of outcomes back.

Owns the HTTP client: one keep-alive connection a shard, so that frames of a shard never overtake each other. Every way in
which a call can end is translated here, once and totally: an answer, :class:`Fenced`, :class:`Throttled` or
:class:`Unknown`. Rules: PROTOCOL.md section 1.4 and rules 8, 10; wire contract: ``schemas/gateway_api.py``.

    GatewayError
     +-- Fenced        a higher epoch owns the shard; nothing of this frame was taken
     +-- Throttled     nothing was taken; come again later
     +-- Unknown       no answer that can be read: the frame may have been taken or not
"""

import io
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final, Self

import aiohttp
import msgspec

from schemas.gateway_api import Epoch, Frame, FrameAnswer, Hello
from schemas.ids import Lane
from streams.runtime import clock
from streams.runtime.crash_points import armed, point

_KEEP_ALIVE_S: Final = 15
"""Less than the gateway's 120 s: the side that closes an idle connection must be the one that writes next."""

_IN_ONE_PIECE_BYTES: Final = 1 << 20
"""aiohttp warns of larger bodies that are written without a pause for others."""

_HALF_FRAME_POINT: Final = "deliver.half_frame"
"""Where a process may die on purpose (``streams/runtime/crash_points.py``)."""

_RETRY_AFTER_DEFAULT_MS: Final = 1_000
_RETRY_AFTER_MAX_MS: Final = 10 * 60_000


class GatewayError(Exception):
    """A call to the gateway that did not end in an answer."""


class Fenced(GatewayError):  # noqa: N818 -- the word of the protocol, an outcome more than an error
    """A higher epoch owns the shard. Nothing of the frame was taken, and nothing of this owner will ever be again."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the gateway has seen epoch {epoch}")
        self.epoch = epoch


class Throttled(GatewayError):  # noqa: N818 -- the word of the protocol, an outcome more than an error
    """The gateway takes nothing at present. Nothing of the frame was taken."""

    def __init__(self, retry_after_ms: int) -> None:
        super().__init__(f"the gateway asks for {retry_after_ms} ms of patience")
        self.retry_after_ms = retry_after_ms


class UnknownKind(StrEnum):
    """Why nothing is known about a call; labels of metrics, too."""

    REFUSED = "refused"
    """No connection: surely nothing was taken."""
    RESET = "reset"
    TIME_OUT = "time_out"
    SERVER_ERROR = "server_error"
    UNREADABLE = "unreadable"
    """An answer that breaks the contract: not JSON, wrong shape, positions outside the frame."""
    UNEXPECTED_STATUS = "unexpected_status"
    """A status that the contract does not know, 4xx mostly: a defect on one of the two sides."""


class Unknown(GatewayError):  # noqa: N818 -- the word of the protocol, an outcome more than an error
    """No answer that can be read. Send the same names again (the gateway dedupes), or leave them in doubt."""

    def __init__(self, kind: UnknownKind) -> None:
        super().__init__(kind.value)
        self.kind = kind

    @property
    def surely_not_taken(self) -> bool:
        """Returns whether no byte of the frame can have reached the gateway."""
        return self.kind is UnknownKind.REFUSED


_encoder = msgspec.json.Encoder()
_answers = msgspec.json.Decoder(FrameAnswer)
_epochs = msgspec.json.Decoder(Epoch)


class Gateway:
    """The gateway's listener for one lane, at ``url``. Use within the event loop that owns the shards; close when done."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._connections: dict[int, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def hello(self, lane: Lane, shard: int, epoch: int, *, timeout_ms: int) -> None:
        """Announce ``epoch`` for ``shard``: lower ones are refused from here on. Raises :class:`GatewayError`."""
        status, body, retry = await self._post(shard, "/v1/hello", Hello(lane.word, shard, epoch), timeout_ms)
        _demand_ok(status, body, retry)
        try:
            _epochs.decode(body)
        except msgspec.MsgspecError as error:
            raise Unknown(UnknownKind.UNREADABLE) from error

    async def send(self, frame: Frame, *, timeout_ms: int) -> FrameAnswer:
        """Hand ``frame`` over; the answer's exceptions lie within the frame. Raises :class:`GatewayError`."""
        status, body, retry = await self._post(frame.shard, "/v1/frames", frame, timeout_ms)
        _demand_ok(status, body, retry)
        return _answer_of(body, frame)

    async def drop(self, shard: int) -> None:
        """Close the connection of a shard that this process no longer owns."""
        connection = self._connections.pop(shard, None)
        if connection is not None:
            await connection.close()

    async def close(self) -> None:
        """Close every connection."""
        for shard in tuple(self._connections):
            await self.drop(shard)

    async def _post(self, shard: int, path: str, body: Frame | Hello, timeout_ms: int) -> tuple[int, bytes, str]:
        encoded = _encoder.encode(body)
        torn = isinstance(body, Frame) and armed(_HALF_FRAME_POINT)
        try:
            async with self._connection(shard).post(
                self._url + path,
                data=_torn(encoded) if torn else _whole(encoded),
                headers={"Content-Type": "application/json"} | trace_of(body),
                timeout=aiohttp.ClientTimeout(total=timeout_ms / 1_000),
                allow_redirects=False,
            ) as response:
                return response.status, await response.read(), response.headers.get("Retry-After", "")
        except (aiohttp.ClientError, OSError) as error:
            raise Unknown(kind_of(error)) from error

    def _connection(self, shard: int) -> aiohttp.ClientSession:
        connection = self._connections.get(shard)
        if connection is None:
            connector = aiohttp.TCPConnector(limit=1, keepalive_timeout=_KEEP_ALIVE_S)
            connection = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            self._connections[shard] = connection
        return connection


def trace_of(body: Frame | Hello) -> dict[str, str]:
    """Returns the ``traceparent`` header of a frame whose sections all have the same; a header can hold only one."""
    traces = {section.traceparent for section in body.sections} if isinstance(body, Frame) else set()
    alike = len(traces) == 1 and traces.pop()
    return {"traceparent": alike} if alike else {}


def _whole(encoded: bytes) -> bytes | io.BytesIO:
    return encoded if len(encoded) <= _IN_ONE_PIECE_BYTES else io.BytesIO(encoded)


async def _torn(encoded: bytes) -> AsyncIterator[bytes]:
    """In two pieces, so that the process can die with half a frame on its way."""
    half = len(encoded) // 2
    yield encoded[:half]
    point(_HALF_FRAME_POINT)
    yield encoded[half:]


def kind_of(error: Exception) -> UnknownKind:
    """Classifies a failure of the HTTP library or the socket by what it says about the call."""
    match error:
        case TimeoutError():
            return UnknownKind.TIME_OUT
        case aiohttp.ClientConnectorError():
            return UnknownKind.REFUSED
        case aiohttp.ClientPayloadError() | aiohttp.ClientConnectionError() | OSError():
            return UnknownKind.RESET
        case _:
            return UnknownKind.UNREADABLE


def _demand_ok(status: int, body: bytes, retry_after: str) -> None:
    if status == 200:
        return
    if status == 409:
        raise Fenced(_epoch_of(body))
    if status == 429 or (status == 503 and retry_after):
        raise Throttled(_retry_after_ms(retry_after))
    raise Unknown(UnknownKind.SERVER_ERROR if status >= 500 else UnknownKind.UNEXPECTED_STATUS)


def _epoch_of(body: bytes) -> int:
    try:
        return _epochs.decode(body).epoch
    except msgspec.MsgspecError as error:
        raise Unknown(UnknownKind.UNREADABLE) from error


def _answer_of(body: bytes, frame: Frame) -> FrameAnswer:
    try:
        answer = _answers.decode(body)
    except msgspec.MsgspecError as error:
        raise Unknown(UnknownKind.UNREADABLE) from error
    if len(answer.sections) != len(frame.sections):
        raise Unknown(UnknownKind.UNREADABLE)
    for section, refusals in zip(frame.sections, answer.sections, strict=True):
        rows = sum(count for _, count in section.ranks)
        if any(not 0 <= refused.position < rows for refused in refusals):
            raise Unknown(UnknownKind.UNREADABLE)
    return answer


def _retry_after_ms(header: str) -> int:
    """Seconds (fractions taken) or an HTTP date (RFC 9110, 10.2.3), within sane bounds."""
    try:
        wait_ms = int(float(header) * 1_000)
    except (ValueError, OverflowError):
        try:
            wait_ms = int(parsedate_to_datetime(header).timestamp() * 1_000) - clock.now_ms()
        except (ValueError, OverflowError):
            return _RETRY_AFTER_DEFAULT_MS
    return min(max(wait_ms, 0), _RETRY_AFTER_MAX_MS)
