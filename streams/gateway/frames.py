"""Speaks the contract of ``schemas/gateway_api.py``, which is the simulated gateway's and that of any bridge to a platform.

Owns the HTTP client: one keep-alive connection a shard, so that frames of a shard never overtake each other. Every way in
which a call can end is translated here, once and totally: an answer, ``Fenced``, ``Throttled`` or ``Unknown``
(``port.py``). Rules: PROTOCOL.md section 1.4 and rules 8, 10.
"""

import io
from collections.abc import AsyncIterator, Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Final, Self

import aiohttp
import msgspec

from broker.deliver.policy import CODES
from schemas.gateway_api import REPLAY_WINDOW_MS, Epoch, Frame, FrameAnswer, Hello, Reports
from schemas.lanes import Lane
from schemas.wire.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, SignedHead, SigningKeys
from streams.gateway.port import (
    BodyCheck,
    Fenced,
    Kind,
    Throttled,
    UnbelievedError,
    Unknown,
    UnknownKind,
    UnreadableError,
)
from streams.runtime import clock
from streams.runtime.crash_points import armed, point
from streams.runtime.signing_secrets import signing_keys

_KEEP_ALIVE_S: Final = 15
"""Less than the gateway's 120 s: the side that closes an idle connection must be the one that writes next."""

_IN_ONE_PIECE_BYTES: Final = 1 << 20
"""aiohttp warns of larger bodies that are written without a pause for others."""

_HALF_FRAME_POINT: Final = "deliver.half_frame"
"""Where a process may die on purpose (``streams/runtime/crash_points.py``)."""

_RETRY_AFTER_DEFAULT_MS: Final = 1_000
_RETRY_AFTER_MAX_MS: Final = 10 * 60_000


_encoder = msgspec.json.Encoder()
_answers = msgspec.json.Decoder(FrameAnswer)
_epochs = msgspec.json.Decoder(Epoch)
_reports = msgspec.json.Decoder(Reports)


class FrameGateway:
    """The gateway's listener for one lane, at ``url``. Whether it dedupes is a setting, for nothing in the contract tells."""

    codes = CODES

    def __init__(self, url: str, *, dedupes: bool = True) -> None:
        self.dedupes = dedupes
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
                # Whoever could redirect a frame would have its addresses and codes.
                allow_redirects=False,
            ) as response:
                return response.status, await response.read(), response.headers.get("Retry-After", "")
        # A time-out is an OSError, too.
        except (aiohttp.ClientError, OSError) as error:
            raise Unknown(kind_of(error)) from error

    def _connection(self, shard: int) -> aiohttp.ClientSession:
        connection = self._connections.get(shard)
        if connection is None:
            # One connection only: over two, a frame could overtake the one before it.
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
    # From the special to the general: only a connection that was refused proves that nothing was taken.
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
    # A 503 that says when to come again took nothing; any other error may have come after the messages went out.
    if status == 429 or (status == 503 and retry_after):
        raise Throttled(_retry_after_ms(retry_after), unavailable=status == 503)
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


class FrameReports:
    """Takes batches of ``Reports``, signed by Standard Webhooks within the last minutes."""

    path = "/v1/reports"
    signing = (
        f"Sign by Standard Webhooks: {ID_HEADER}, {TIMESTAMP_HEADER} in seconds, {SIGNATURE_HEADER} as v1,<base64>."
    )

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    def check_of(self, headers: Mapping[str, str], now_ms: int) -> BodyCheck:
        """Return the check of the signatures that a head holds; raises ``UnbelievedError``."""
        told = (headers.get(name, "") for name in (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER))
        try:
            head = SignedHead(*told)
        except ValueError:
            raise UnbelievedError("bad_signature") from None
        if abs(now_ms - head.at_ms) > REPLAY_WINDOW_MS:
            raise UnbelievedError("too_old")
        return partial(self._keys.signed, head)

    def reports(self, body: bytes) -> Reports:
        """Return the batch; raises ``UnreadableError``."""
        try:
            return _reports.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnreadableError(str(error)) from error


KIND: Final = Kind(
    client=lambda settings, lane: FrameGateway(settings.gateway_url(lane), dedupes=settings.gateway_dedupes),
    mapping=lambda settings: FrameReports(signing_keys(settings.webhook_secret)),
)
