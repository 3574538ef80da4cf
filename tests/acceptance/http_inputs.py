"""Requests to HTTP intake that a producer gets wrong, a row each: what is wrong, the status, where in it, why, with what advice.

Every row begins as a sound request (:class:`Call`), one event in structured mode, and is spoilt in one way.
"""

import gzip
import io
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import aiohttp
import msgspec

from schemas.lanes import Lane
from streams.intake.admission import digest_of
from streams.intake.http_events import BATCH, MAX_BATCH, MAX_BODY_BYTES
from streams.runtime.settings import dev_intake_key
from tests.acceptance.inputs import CANARY, Draft, sound

SHOP: Final = "shop-parcelo"
STRUCTURED: Final = "application/cloudevents+json"
PATH: Final = "/v1/events"
_encoder: Final = msgspec.json.Encoder()


@dataclass
class Call:
    """A request before it is sent: with one event, or with the bytes that replace it."""

    event: dict[str, Any]
    headers: list[tuple[str, str]]
    method: str = "POST"
    path: str = PATH
    query: str = "lane=update"
    raw: bytes | None = None
    chunked: bool = False

    @property
    def body(self) -> bytes:
        """What is sent."""
        return _encoder.encode(self.event) if self.raw is None else self.raw

    def head(self, name: str, *values: str) -> None:
        """Send these values of a header instead of what it had."""
        self.headers = [held for held in self.headers if held[0].lower() != name.lower()]
        self.headers += [(name, value) for value in values]

    def batch(self, *events: Any) -> None:
        """Send several events."""
        self.head("Content-Type", BATCH)
        self.raw = _encoder.encode(list(events))

    def binary(self, *, data: bytes | None = None, **attributes: str | None) -> None:
        """Send the event in binary mode, with other attributes (None: without)."""
        self.raw = _encoder.encode(self.event.pop("data")) if data is None else data
        self.event.pop("data", None)
        kind = self.event.pop("datacontenttype")
        self.head("Content-Type", kind)
        told = {**self.event, **attributes}
        self.headers += [(f"ce-{name}", value) for name, value in told.items() if value is not None]

    def move(self, *, time_ms: int, lifetime_ms: int) -> None:
        """Shift the event's times."""
        draft = Draft(Lane.UPDATE, self.event, None)
        draft.move(time_ms=time_ms, lifetime_ms=lifetime_ms)


class Answer(msgspec.Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        """The JSON of the body."""
        return msgspec.json.decode(self.body)

    @property
    def errors(self) -> list[dict[str, str]]:
        """The errors of a problem; none for what was taken."""
        found: list[dict[str, str]] = self.told["errors"] if self.status >= 400 else []
        return found


@dataclass(frozen=True, kw_only=True)
class HttpRow:
    """One request. ``spoil`` changes a sound one; ``place`` and ``reason`` are those of its first error, empty if it is taken."""

    name: str
    spoil: Callable[[Call], object]
    status: int
    reason: str
    says: str
    place: str = ""
    more: tuple[str, ...] = ()
    """Places of further errors."""


def call_of(event_id: str, now_ms: int, *, lane: Lane = Lane.UPDATE, business: str = SHOP) -> Call:
    """A request that is taken."""
    headers = [("Authorization", f"Bearer {dev_intake_key(business)}"), ("Content-Type", STRUCTURED)]
    return Call(sound(lane, event_id, now_ms).event, headers, query=f"lane={lane.word}")


async def send(session: aiohttp.ClientSession, url: str, call: Call) -> Answer:
    """The answer to a request. Nothing is sent but what it says."""
    target = f"{url}{call.path}?{call.query}"
    body: Any = _pieces(call.body) if call.chunked else io.BytesIO(call.body)
    async with session.request(
        call.method, target, data=body, headers=call.headers, skip_auto_headers=("Content-Type",)
    ) as answer:
        return Answer(answer.status, dict(answer.headers), await answer.read())


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


def _put(path: str, value: Any) -> Callable[[Call], None]:
    """Write a value into the event, at a place like ``data/template``."""

    def spoil(call: Call) -> None:
        *way, last = path.split("/")
        here: Any = call.event
        for step in way:
            here = here[step]
        here[last] = value

    return spoil


def _head(name: str, *values: str) -> Callable[[Call], None]:
    return lambda call: call.head(name, *values)


def _bytes(raw: bytes, *, chunked: bool = False) -> Callable[[Call], None]:
    return _set(raw=raw, chunked=chunked)


def _set(**fields: Any) -> Callable[[Call], None]:
    def spoil(call: Call) -> None:
        for name, value in fields.items():
            setattr(call, name, value)

    return spoil


def _all(*spoils: Callable[[Call], object]) -> Callable[[Call], None]:
    def spoil(call: Call) -> None:
        for each in spoils:
            each(call)

    return spoil


def _compressed(call: Call) -> None:
    call.raw = gzip.compress(call.body)
    call.head("Content-Encoding", "gzip")


def _large_event(call: Call) -> None:
    call.event["data"]["params"]["parcel"] = "x" * (600 * 1024)


def _half_a_batch(call: Call) -> None:
    call.batch(call.event, {**call.event, "id": "other", "tmie": "now"})


def _foreign_in_a_batch(call: Call) -> None:
    call.batch(call.event, {**call.event, "source": "//airline-ua/ops"})


def _full_batch(call: Call) -> None:
    call.batch(*[call.event] * (MAX_BATCH + 1))


def _binary(**changes: Any) -> Callable[[Call], None]:
    return lambda call: call.binary(**changes)


def _twice(call: Call) -> None:
    call.binary()
    call.headers.append(("ce-id", "again"))


def _data_in_a_header(call: Call) -> None:
    call.binary()
    call.headers.append(("ce-data", "{}"))


def _duplicate_key(call: Call) -> None:
    call.raw = call.body.replace(b'{"specversion"', b'{"id":"first","specversion"', 1)


def _digest_for_key(call: Call) -> None:
    call.head("Authorization", f"Bearer {digest_of(dev_intake_key(SHOP))}")


_TEXT_DATA: Final = _all(_binary(), _head("Content-Type", "text/plain"))
_BARE: Final = _all(_head("Content-Type"), _set(query=""))
_OVER: Final = partial(Call.move, time_ms=-60_000, lifetime_ms=1_000)
_UNTYPED: Final = _all(_binary(), _head("Content-Type"))
_THREE: Final = _all(_put("data/facette", "x"), _put("data/template", 3), _put("time", "noon"))
_BREAKS_OUT: Final = _binary(data=b'{"a":1},"source":"//airline-ua/ops"')

_KEY: Final = "header Authorization"
_TYPE: Final = "header Content-Type"

HTTP_ROWS: Final = tuple(
    HttpRow(name=name, status=status, place=place, reason=reason, says=says, spoil=spoil, more=more)
    for name, status, place, reason, says, spoil, *rest in (
        ("no key", 401, _KEY, "missing_key", "Authorization: Bearer", _head("Authorization")),
        ("a password", 401, _KEY, "missing_key", "Bearer", _head("Authorization", "Basic c2hvcDprYW5hcmll")),
        ("Bearer of nothing", 401, _KEY, "missing_key", "API key", _head("Authorization", "Bearer ")),
        ("an unknown key", 401, _KEY, "unknown_key", "not known", _head("Authorization", f"Bearer {CANARY}")),
        ("the digest of a key", 401, _KEY, "unknown_key", "not known", _digest_for_key),
        ("another business's source", 403, "/source", "wrong_tenant", "own", _put("source", "//airline-ua/ops")),
        ("another's in a batch", 403, "/1/source", "wrong_tenant", "own", _foreign_in_a_batch),
        ("no lane", 400, "query lane", "missing_lane", "otp, update or campaign", _set(query="")),
        ("a lane that is none", 400, "query lane", "invalid_lane", "`update`", _set(query="lane=updates")),
        ("two lanes", 400, "query lane", "invalid_lane", "one lane", _set(query="lane=otp&lane=update")),
        ("another path", 404, "path", "not_found", "POST /v1/events", _set(path="/v1/event")),
        ("GET", 405, "method", "wrong_method", "POST", _set(method="GET", raw=b"")),
        ("PUT", 405, "method", "wrong_method", "POST", _set(method="PUT")),
        ("no content type", 415, _TYPE, "unsupported_media_type", STRUCTURED, _head("Content-Type")),
        ("a form", 415, _TYPE, "unsupported_media_type", STRUCTURED, _head("Content-Type", "text/plain")),
        ("JSON alone", 415, _TYPE, "unsupported_media_type", "ce-*", _head("Content-Type", "application/json")),
        ("XML", 415, _TYPE, "unsupported_media_type", "JSON", _head("Content-Type", "application/cloudevents+xml")),
        ("Latin-1", 415, _TYPE, "unsupported_media_type", "UTF-8", _head("Content-Type", f"{STRUCTURED}; charset=latin1")),
        ("gzip", 415, "header Content-Encoding", "unsupported_media_type", "without compression", _compressed),
        ("data that is text", 415, _TYPE, "unsupported_media_type", "application/json", _TEXT_DATA),
        ("no lane, no type", 415, _TYPE, "unsupported_media_type", STRUCTURED, _BARE, "query lane"),
        ("more than 1 MB", 413, "", "too_large", "1048576 bytes", _bytes(b" " * (MAX_BODY_BYTES + 1))),
        ("more than 1 MB in pieces", 413, "", "too_large", "split", _bytes(b" " * (MAX_BODY_BYTES + 1), chunked=True)),
        ("an event of 600 KB", 413, "", "too_large", "at most 524288", _large_event),
        ("a batch of 257", 413, "", "too_large", "at most 256", _full_batch),
        ("an empty body", 400, "", "not_a_cloud_event", "CloudEvent 1.0", _bytes(b"")),
        ("a form's fields", 400, "", "not_a_cloud_event", "CloudEvent 1.0", _bytes(b"parcel=kanarie")),
        ("half a JSON text", 400, "", "invalid_json", "strict JSON", _bytes(b'{"specversion":"1.0","id":"kan')),
        ("a field twice", 400, "", "invalid_json", "stands twice", _duplicate_key),
        ("deep nesting", 400, "", "invalid_json", "32 levels", _bytes(b'{"specversion":' + b"[" * 100_000)),
        ("a batch sent as one", 400, "", "not_a_cloud_event", "CloudEvent 1.0", _bytes(b"[]")),
        ("one sent as a batch", 400, "", "not_a_cloud_event", "array", _head("Content-Type", BATCH)),
        ("a batch with one that is wrong", 400, "/1/tmie", "unknown_field", "`time`", _half_a_batch),
        ("no template", 400, "/data/template", "unknown_template", "template", _put("data/template", "parcel_deliverd")),
        ("an update as a code", 400, "/data/template", "wrong_lane", "update", _set(query="lane=otp")),
        ("over before it came", 400, "/expirytime", "request_expired", "", _OVER),
        ("three things", 400, "/time", "invalid_field", "RFC 3339", _THREE, "/data/template", "/data/facette"),
        ("binary without a content type", 202, "", "", "", _UNTYPED),
        ("binary without an id", 400, "/id", "missing_field", "id", _binary(id=None)),
        ("an attribute twice", 400, "/id", "invalid_field", "stands twice", _twice),
        ("an attribute that is no text", 400, "/id", "invalid_field", "percent-encode", _binary(id="%ff")),
        ("a control in an id", 400, "/id", "invalid_field", "no controls", _binary(id="a%00b")),
        ("a misspelt attribute", 400, "/expirytme", "unknown_field", "`expirytime`", _binary(expirytme="x")),
        ("data that is no JSON", 400, "/data", "invalid_json", "strict JSON", _BREAKS_OUT),
        ("data in a header", 400, "/data", "invalid_field", "stands twice", _data_in_a_header),
    )
    for more in (tuple(rest),)
)  # fmt: skip
