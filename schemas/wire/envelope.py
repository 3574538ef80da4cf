"""The envelope of a CloudEvent: which attributes are known, and what each may hold; and ``data`` as its type says it is.

Strict, because attributes name things for ever: ``source`` and ``id`` are hashed into a name, ``time`` bounds staleness, and
an attribute that two libraries read differently would make two events of one.

Most events are written without a backslash, by a program. Then typed decoding proves what the walk of ``strict_json`` looks for:
all strings and numbers are read into fields of known types, and no key stands twice if as many colons were read as are written
(of a key that stands twice one value is dropped, and its colon with it). Whatever is not proven is looked at there.
"""

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from schemas.reasons import Reason, Refusal
from schemas.request import (
    CONTROL_TYPE,
    MAX_ATTRIBUTE_CHARS,
    MAX_REQUEST_BYTES,
    NOTIFICATION_TYPE,
    OPTIN_TYPE,
    RESERVED_FIELDS,
    CloudEvent,
    Control,
    Notification,
    Optin,
)
from schemas.wire import strict_json, timestamps
from schemas.wire.strict_json import DATA, Place, Shape
from schemas.wire.text import unsafe

EXAMPLE: Final = (
    '{"specversion":"1.0","type":"fanfare.notification.v1","source":"//<business>/<system>","id":"<your id>",'
    f'"time":"{timestamps.EXAMPLE}","data":{{…}}}}'
)

_JSON: Final = re.compile(r"[a-z]+/(.+\+)?json")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Body = Notification | Optin | Control
SHAPES: Final[Mapping[str, Shape[Body]]] = {
    NOTIFICATION_TYPE: Shape[Body](Notification, DATA, RESERVED_FIELDS),
    OPTIN_TYPE: Shape[Body](Optin, DATA),
    CONTROL_TYPE: Shape[Body](Control, DATA),
}
"""The shape of ``data`` by the event's type."""

_canonical: Final = msgspec.json.Encoder(order="deterministic")
_encoder: Final = msgspec.json.Encoder()


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The attributes that are known. ``tracestate``, ``partitionkey`` and ``dataschema`` are taken and not used."""

    specversion: str
    id: str
    source: str
    type: str
    time: str
    subject: str | None = None
    expirytime: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    partitionkey: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    data_base64: str | None = None


ENVELOPE: Final = Shape(Envelope, Place())


class _Read(NamedTuple):
    """Holds what was read of a text, by a decoder that forgives keys that stand twice."""

    envelope: Envelope
    body: Body
    canonical: bytes


def plain_event(raw: bytes, max_bytes: int) -> CloudEvent | None:
    """Return the event in a plainly written text; None for any other, and for everything that is not sound."""
    if b"\\" in raw or len(raw) > max_bytes or strict_json.too_deep(raw):
        return None
    read = _read(raw)
    if read is None or not _is_proven(raw, read):
        return None
    event = event_of(read.envelope)
    if not isinstance(event, CloudEvent):
        return None
    return msgspec.structs.replace(event, body=read.body, canonical=read.canonical)


def _read(raw: bytes) -> _Read | None:
    try:
        envelope = ENVELOPE.decode(raw)
        shape = SHAPES.get(envelope.type)
        if shape is None or envelope.data_base64 is not None:
            return None
        return _Read(envelope, shape.decode(envelope.data), canonical(envelope.data))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_proven(raw: bytes, read: _Read) -> bool:
    """Return whether all of a text was read, and every number is within the limits."""
    colons = bytes(read.envelope.data).count(b":")
    whole = raw.count(b":") == _encoder.encode(read.envelope).count(b":") and colons == read.canonical.count(b":")
    return whole and not _is_beyond_64_bits(read.body)


def _is_beyond_64_bits(body: Body) -> bool:
    match body:
        case Notification(version=version):
            return version is not None and version not in strict_json.I64
        case Optin(members=members):
            return any(one.evidence_ms is not None and one.evidence_ms not in strict_json.I64 for one in members)
        case Control():
            return False


def event_of(envelope: Envelope) -> CloudEvent | list[Refusal]:
    """Return the event in an envelope, or everything that is wrong with its attributes."""
    faults = [] if envelope.specversion == "1.0" else [not_an_event("/specversion")]
    faults += _bad_texts(envelope)
    data = _data(envelope)
    time_ms = _instant("/time", envelope.time)
    expires_ms = None if envelope.expirytime is None else _instant("/expirytime", envelope.expirytime)
    if isinstance(data, Refusal) or isinstance(time_ms, Refusal) or isinstance(expires_ms, Refusal) or faults:
        return faults + [one for one in (data, time_ms, expires_ms) if isinstance(one, Refusal)]
    return CloudEvent(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        time_ms=time_ms,
        data=data,
        subject=envelope.subject,
        expires_ms=expires_ms,
        traceparent=_trace(envelope.traceparent),
    )


def not_an_event(place: str = "") -> Refusal:
    """Return the refusal of what is no CloudEvent at all."""
    return Refusal(Reason.NOT_A_CLOUD_EVENT, f"This is not a CloudEvent 1.0; send {EXAMPLE}", place=place)


def sound(text: str) -> str:
    """The text if it may be an attribute, else nothing."""
    return "" if len(text) > MAX_ATTRIBUTE_CHARS or unsafe(text) else text


def _bad_texts(envelope: Envelope) -> list[Refusal]:
    texts = (("id", envelope.id), ("source", envelope.source), ("type", envelope.type), ("subject", envelope.subject))
    return [
        Refusal(
            Reason.INVALID_FIELD,
            f"{attribute} must have 1 to {MAX_ATTRIBUTE_CHARS} characters and no controls.",
            place=f"/{attribute}",
        )
        for attribute, text in texts
        if text is not None and not sound(text)
    ]


def _instant(place: str, text: str) -> int | Refusal:
    try:
        return timestamps.ms_of(text)
    except ValueError:
        sentence = f"time and expirytime must be RFC 3339 with an offset, like {timestamps.EXAMPLE}."
        return Refusal(Reason.INVALID_FIELD, sentence, place=place)


def _trace(text: str | None) -> str | None:
    """A broken trace is dropped and begins anew (W3C Trace Context, section 3.2)."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def _is_json(content_type: str) -> bool:
    return _JSON.fullmatch(content_type.partition(";")[0].strip().lower()) is not None


def _data(envelope: Envelope) -> msgspec.Raw | Refusal:
    """The JSON of ``data``, also from ``data_base64``, which SDKs write when they are given bytes."""
    if envelope.datacontenttype and not _is_json(envelope.datacontenttype):
        sentence = "datacontenttype must be application/json."
        return Refusal(Reason.INVALID_FIELD, sentence, place="/datacontenttype")
    held = bytes(envelope.data) not in (b"", b"null")
    if held == (envelope.data_base64 is not None):
        sentence = "data is missing, or stands beside data_base64: send exactly one of them."
        return Refusal(Reason.MISSING_FIELD, sentence, place="/data")
    if envelope.data_base64 is None:
        return envelope.data
    try:
        raw = base64.b64decode(envelope.data_base64, validate=True)
    except ValueError:
        return Refusal(Reason.INVALID_FIELD, "data_base64 is not base64.", place="/data_base64")
    refusal = strict_json.refusal(raw, MAX_REQUEST_BYTES)
    return msgspec.Raw(raw) if refusal is None else msgspec.structs.replace(refusal, place="/data_base64")


def bodies(event: CloudEvent) -> Iterator[Body | Refusal]:
    """Yield an event's ``data`` as what its type says it is, or everything that does not fit. The type must be one of ours."""
    if event.body is not None:
        yield event.body
    else:
        yield from SHAPES[event.type].read(event.data)


def canonical(data: bytes | msgspec.Raw) -> bytes:
    """Return JSON with its keys in order and no blanks: the same bytes for the same content."""
    return _canonical.encode(msgspec.json.decode(data))
