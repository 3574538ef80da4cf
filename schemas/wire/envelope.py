"""The envelope of a CloudEvent: which attributes are known, and what each may hold.

Strict, because attributes name things for ever: ``source`` and ``id`` are hashed into a name, ``time`` bounds staleness, and
an attribute that two libraries read differently would make two events of one.
"""

import base64
import re
from typing import Final

import msgspec

from schemas.reasons import Reason, Refusal
from schemas.request import MAX_REQUEST_BYTES, CloudEvent
from schemas.wire import strict_json as wire_json
from schemas.wire import timestamps
from schemas.wire.text import unsafe

MAX_ATTRIBUTE_CHARS: Final = 256
"""Of ``id``, ``source``, ``subject`` and ``type``: they are repeated in journals and statuses."""


EXAMPLE: Final = (
    '{"specversion":"1.0","type":"fanfare.notification.v1","source":"//<business>/<system>","id":"<your id>",'
    f'"time":"{timestamps.EXAMPLE}","data":{{…}}}}'
)

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


def event_of(envelope: Envelope) -> CloudEvent | Refusal:
    """The event in an envelope, or the first attribute that is wrong."""
    if envelope.specversion != "1.0":
        return not_an_event()
    if refusal := _bad_text(envelope):
        return refusal
    data = _data(envelope)
    if isinstance(data, Refusal):
        return data
    try:
        time_ms = timestamps.ms_of(envelope.time)
        expires_ms = None if envelope.expirytime is None else timestamps.ms_of(envelope.expirytime)
    except ValueError:
        return Refusal(
            Reason.INVALID_FIELD, f"time and expirytime must be RFC 3339 with an offset, like {timestamps.EXAMPLE}."
        )
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


def not_an_event() -> Refusal:
    """The refusal of what is no CloudEvent at all."""
    return Refusal(Reason.NOT_A_CLOUD_EVENT, f"This is not a CloudEvent 1.0; send {EXAMPLE}")


def sound(text: str) -> str:
    """The text if it may be an attribute, else nothing."""
    return "" if len(text) > MAX_ATTRIBUTE_CHARS or unsafe(text) else text


def _bad_text(envelope: Envelope) -> Refusal | None:
    for attribute in ("id", "source", "type", "subject"):
        text = getattr(envelope, attribute)
        if text is not None and not sound(text):
            return Refusal(
                Reason.INVALID_FIELD, f"{attribute} must have 1 to {MAX_ATTRIBUTE_CHARS} characters and no controls."
            )
    return None


def _trace(text: str | None) -> str | None:
    """A broken trace is dropped and begins anew (W3C Trace Context, section 3.2)."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def _data(envelope: Envelope) -> msgspec.Raw | Refusal:
    """The JSON of ``data``, also from ``data_base64``, which SDKs write when they are given bytes."""
    kind = (envelope.datacontenttype or "application/json").partition(";")[0].strip().lower()
    if not re.fullmatch(r"[a-z]+/(.+\+)?json", kind):
        return Refusal(Reason.INVALID_FIELD, "datacontenttype must be application/json.")
    held = bytes(envelope.data) not in (b"", b"null")
    if held == (envelope.data_base64 is not None):
        return Refusal(Reason.MISSING_FIELD, "data is missing, or stands beside data_base64: send exactly one of them.")
    if envelope.data_base64 is None:
        return envelope.data
    try:
        raw = base64.b64decode(envelope.data_base64, validate=True)
    except ValueError:
        return Refusal(Reason.INVALID_FIELD, "data_base64 is not base64.")
    return wire_json.refusal(raw, MAX_REQUEST_BYTES) or msgspec.Raw(raw)
