"""CloudEvents 1.0 over Kafka: structured and binary mode in, structured mode out.

The mode is told by the ``content-type`` header (Kafka protocol binding 1.0.2, section 3): ``application/cloudevents`` means
structured, ``ce_*`` headers mean binary. One help beyond the standard, because console producers set no headers: an object
with ``specversion`` and no content type is read as structured. In binary mode ``datacontenttype`` may be absent (CloudEvents
1.0.2, section 3.1.2); data is then JSON, as in structured mode, and HTTP intake says the same. Anything else is refused
``not_a_cloud_event``. The envelope is closed as ``data`` is: an ``expirytme`` that is silently ignored is a late one-time code
(PROTOCOL.md section 7).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from schemas.reasons import Reason, Refusal
from schemas.request import MAX_REQUEST_BYTES, STATUS_TYPE, CloudEvent
from schemas.status import BILLING_SOURCE, BILLING_TYPE, BilledCharge, Status
from schemas.wire import strict_json, timestamps
from schemas.wire.envelope import ENVELOPE, EXAMPLE, Envelope, event_of, not_an_event, plain_event, sound

Headers = Sequence[tuple[str, bytes]]

CONTENT_TYPE: Final = "content-type"
STRUCTURED: Final = "application/cloudevents+json"
STRUCTURED_HEADERS: Final[tuple[tuple[str, bytes], ...]] = ((CONTENT_TYPE, STRUCTURED.encode()),)
"""The headers of every record that holds an event of ours: by them a receiver knows the mode."""
UTF8: Final = ("", "utf-8", "utf8")
"""Charsets that a content type may name: JSON is UTF-8 (RFC 8259), so nothing is the same as naming it."""
NOT_UTF8: Final = "JSON is UTF-8: send it so, with charset=UTF-8 or without a charset."
_PREFIX: Final = "ce_"
_STRUCTURED_KIND: Final = "application/cloudevents"


class RefusedEvent(msgspec.Struct, frozen=True):
    """An event that was not taken, and whose it is as far as that could be read."""

    refusal: Refusal
    source: str = ""
    id: str = ""


class _Name(msgspec.Struct, frozen=True):
    """Only what names an event, for those that are refused for something else."""

    source: str = ""
    id: str = ""


class _Told(msgspec.Struct, frozen=True, tag_field="type", tag=STATUS_TYPE):
    """Holds the part of the event that a reader of statuses needs."""

    data: Status


class _Billed(msgspec.Struct, frozen=True, tag_field="type", tag=BILLING_TYPE):
    """Holds as much of the event as a reader of bills needs."""

    data: BilledCharge


_NAMING: Final = tuple(f'"{name}"'.encode() for name in ("id", "source", "type", "time"))
_names: Final = msgspec.json.Decoder(_Name)
_told: Final = msgspec.json.Decoder(_Told)
_billed: Final = msgspec.json.Decoder(_Billed)
_encoder: Final = msgspec.json.Encoder()


def decode(value: bytes | None, headers: Headers, *, max_bytes: int = MAX_REQUEST_BYTES) -> CloudEvent | RefusedEvent:
    """Return the event in a record of ``requests.<lane>``, or the first thing that is wrong with it: a function of its bytes."""
    return next(read(value, headers, max_bytes=max_bytes))


def read(
    value: bytes | None, headers: Headers, *, max_bytes: int = MAX_REQUEST_BYTES
) -> Iterator[CloudEvent | RefusedEvent]:
    """Yield the event in a record, or everything that is wrong with its envelope; ``data`` is JSON within the limits."""
    raw = value or b""
    binary, fault = _mode(raw, headers)
    event = None if binary or fault else plain_event(raw, max_bytes)
    if event is not None:
        yield event
    elif fault := fault or strict_json.refusal(raw, max_bytes):
        yield RefusedEvent(fault, *_header_name(headers))
    else:
        yield from _binary(raw, headers) if binary else _structured(raw)


def encode_status(status: Status) -> bytes:
    """Returns a status as a structured event; its id is (request, shard, seq). The record also carries ``STRUCTURED_HEADERS``.

    A request's ``traceparent`` comes back as the attribute of CloudEvents' extension for distributed tracing.
    """
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "type": STATUS_TYPE,
        "source": "//fanfare/status",
        "id": f"{status.request}.{status.shard}.{status.seq}",
        "time": timestamps.text_of(status.at_ms),
        "subject": status.request,
        "datacontenttype": "application/json",
    }
    if status.traceparent:
        attributes["traceparent"] = status.traceparent
    return _encoder.encode(attributes | {"data": status})


def decode_status(value: bytes) -> Status | None:
    """The status in a record of ``status.<business>``; None if it is none. Egress is open: unknown attributes do no harm."""
    try:
        return _told.decode(value).data
    except msgspec.MsgspecError:
        return None


def encode_charge(charge: BilledCharge) -> bytes:
    """Encodes one posting as a structured event, ready for ``billing.<business>``. Its id is (business, serial)."""
    return _encoder.encode(
        {
            "specversion": "1.0",
            "type": BILLING_TYPE,
            "source": BILLING_SOURCE,
            "id": f"{charge.business}.{charge.serial}",
            "time": timestamps.text_of(charge.at_ms),
            "subject": charge.request,
            "datacontenttype": "application/json",
            "data": charge,
        }
    )


def decode_charge(value: bytes) -> BilledCharge | None:
    """Returns the posting in a record of ``billing.<business>``; None if it is none. Unknown attributes do no harm."""
    try:
        return _billed.decode(value).data
    except msgspec.MsgspecError:
        return None


def _content_type(headers: Headers) -> str:
    held = next((held for name, held in headers if name.lower() == CONTENT_TYPE), b"")
    return held.decode("ascii", "replace").partition(";")[0].strip().lower()


def charset_of(content_type: str) -> str:
    """Returns the charset that a content type names, in small letters; nothing if it names none."""
    for each in content_type.split(";")[1:]:
        name, _, value = each.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return ""


def _mode(raw: bytes, headers: Headers) -> tuple[bool, Refusal | None]:
    """Return whether a record is in binary mode, and what is wrong with it seen from outside."""
    kind = _content_type(headers)
    binary = not kind.startswith(_STRUCTURED_KIND) and any(name.lower().startswith(_PREFIX) for name, _ in headers)
    return binary, _bad_content_type(headers) or (None if binary else _no_structured(raw, kind))


def _bad_content_type(headers: Headers) -> Refusal | None:
    """Returns why the content type can be read by nobody, or not in one way."""
    kinds = [held.decode("ascii", "replace") for name, held in headers if name.lower() == CONTENT_TYPE]
    if len(kinds) > 1:
        return Refusal(Reason.INVALID_FIELD, "The header content-type stands twice: send it once.")
    if kinds and charset_of(kinds[0]) not in UTF8:
        return Refusal(Reason.INVALID_FIELD, NOT_UTF8)
    return None


def _no_structured(raw: bytes, kind: str) -> Refusal | None:
    """Why the record cannot be an event in structured mode, seen from outside."""
    if kind not in ("", STRUCTURED):
        return Refusal(
            Reason.NOT_A_CLOUD_EVENT, f"There are no ce_* headers, and content-type is not {STRUCTURED}; send {EXAMPLE}"
        )
    return None if raw.lstrip().startswith(b"{") else not_an_event()


def _structured(raw: bytes) -> Iterator[CloudEvent | RefusedEvent]:
    if b'"specversion"' not in raw:
        place = "/specversion" if any(name in raw for name in _NAMING) else ""
        yield RefusedEvent(not_an_event(place), *_value_name(raw))
        return
    yield from _events(ENVELOPE.read(raw), lambda: _value_name(raw))


def _binary(raw: bytes, headers: Headers) -> Iterator[CloudEvent | RefusedEvent]:
    attributes: dict[str, object] = {"data": msgspec.Raw(raw)}
    for name, held in headers:
        lower = name.lower()
        attribute = "datacontenttype" if lower == CONTENT_TYPE else lower.removeprefix(_PREFIX)
        if lower == attribute:
            continue
        if attribute in attributes:
            sentence = f"The header of {attribute[:32]} stands twice: send it once."
            yield RefusedEvent(Refusal(Reason.INVALID_FIELD, sentence))
            return
        try:
            attributes[attribute] = held.decode()
        except UnicodeDecodeError:
            yield RefusedEvent(Refusal(Reason.INVALID_FIELD, "A ce_* header is not UTF-8."))
            return
    yield from _events(ENVELOPE.convert(attributes), lambda: _header_name(headers))


def _events(
    envelopes: Iterable[Envelope | Refusal], named: Callable[[], tuple[str, str]]
) -> Iterator[CloudEvent | RefusedEvent]:
    """Yield the event in an envelope, or each fault with the name that could be read."""
    for envelope in envelopes:
        found = [envelope] if isinstance(envelope, Refusal) else event_of(envelope)
        if isinstance(found, CloudEvent):
            yield found
        else:
            yield from (RefusedEvent(refusal, *named()) for refusal in found)


def _value_name(raw: bytes) -> tuple[str, str]:
    try:
        name = _names.decode(raw)
    except msgspec.ValidationError:
        return "", ""
    return sound(name.source), sound(name.id)


def _header_name(headers: Headers) -> tuple[str, str]:
    held = {
        name.lower(): value.decode("utf-8", "replace")
        for name, value in headers
        if name.lower() in ("ce_source", "ce_id")
    }
    return sound(held.get("ce_source", "")), sound(held.get("ce_id", ""))
