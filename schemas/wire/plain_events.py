"""Reads plainly written events at once, and the ``data`` of any event as its type.

Most events are written without a backslash, by a program. Then typed decoding proves what the walk of ``strict_json`` looks for:
all strings and numbers are read into fields of known types, and no key stands twice if as many colons were read as are written
(of a key that stands twice one value is dropped, and its colon with it). Whatever is not proven is looked at there.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from schemas.reasons import Refusal
from schemas.request import (
    CONTROL_TYPE,
    NOTIFICATION_TYPE,
    OPTIN_TYPE,
    RESERVED_FIELDS,
    CloudEvent,
    Control,
    Notification,
    Optin,
)
from schemas.wire import strict_json
from schemas.wire.envelope import Envelope, event_of
from schemas.wire.strict_json import DATA, Place, Shape

Body = Notification | Optin | Control
SHAPES: Final[Mapping[str, Shape[Body]]] = {
    NOTIFICATION_TYPE: Shape[Body](Notification, DATA, RESERVED_FIELDS),
    OPTIN_TYPE: Shape[Body](Optin, DATA),
    CONTROL_TYPE: Shape[Body](Control, DATA),
}
"""The shape of ``data`` by the event's type."""
ENVELOPE: Final = Shape(Envelope, Place())

_canonical: Final = msgspec.json.Encoder(order="deterministic")
_encoder: Final = msgspec.json.Encoder()


class _Read(NamedTuple):
    """Holds what was read of a text, by a decoder that forgives keys that stand twice."""

    envelope: Envelope
    body: Body
    canonical: bytes


def bodies(event: CloudEvent) -> Iterator[Body | Refusal]:
    """Yield an event's ``data`` as what its type says it is, or everything that does not fit. The type must be one of ours."""
    if event.body is not None:
        yield event.body
    else:
        yield from SHAPES[event.type].read(event.data)


def canonical(data: bytes | msgspec.Raw) -> bytes:
    """Return JSON with its keys in order and no blanks: the same bytes for the same content."""
    return _canonical.encode(msgspec.json.decode(data))


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
