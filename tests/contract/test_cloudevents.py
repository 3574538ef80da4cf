"""The CloudEvents border, with the project's own SDK as the oracle: what it writes we read, what we write it reads."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as SdkEvent
from hypothesis import given
from hypothesis import strategies as st

from schemas.reasons import Reason
from schemas.request import MAX_ATTRIBUTE_CHARS, CloudEvent
from schemas.status import Status
from schemas.wire.cloudevents import RefusedEvent, decode
from schemas.wire.envelope import EXAMPLE
from schemas.wire.timestamps import ms_of, text_of
from streams.worker.outputs import status_record

FORMAT = JSONFormat()
TIME = datetime(2026, 11, 22, 6, 40, 0, 123000, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

Headers = tuple[tuple[str, bytes], ...]


def sdk(data: Any, **attributes: Any) -> SdkEvent:
    """An event as the SDK makes it."""
    fixed = {"id": "1", "source": "//airline/ops", "type": "fanfare.notification.v1", "time": TIME}
    return SdkEvent(attributes=fixed | {"datacontenttype": "application/json"} | attributes, data=data)


def record(message: KafkaMessage) -> tuple[bytes, Headers]:
    """A record as it arrives: value and headers."""
    return message.value, tuple(message.headers.items())


def read(event: SdkEvent, *, binary: bool) -> CloudEvent | RefusedEvent:
    """What we read of an event that the SDK wrote."""
    return decode(*record((to_binary if binary else to_structured)(event, FORMAT)))


def plain(event: CloudEvent | RefusedEvent) -> dict[str, Any]:
    """The event with its data decoded."""
    assert isinstance(event, CloudEvent), event
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return fields | {"data": msgspec.json.decode(event.data)}


EVENTS = {
    "the least": (sdk({"a": 1}), {}),
    "all that we use": (
        sdk({"a": [1, {"b": "ü€😀"}]}, subject="flight/UA1", expirytime="2026-11-22T07:40:00+01:00", traceparent=TRACE),
        {"subject": "flight/UA1", "expires_ms": ms_of("2026-11-22T06:40:00Z"), "traceparent": TRACE},
    ),
    "what we let pass": (sdk({}, dataschema="https://x/y", partitionkey="airline", tracestate="a=b"), {}),
    "letters of the world": (sdk({"x": "नमस्ते"}, id="ü-€-😀", subject="köln"), {"id": "ü-€-😀", "subject": "köln"}),
}


@pytest.mark.parametrize("binary", [False, True], ids=["structured", "binary"])
@pytest.mark.parametrize("row", EVENTS.values(), ids=EVENTS.keys())
def test_what_the_sdk_writes_we_read(row: tuple[SdkEvent, dict[str, Any]], *, binary: bool) -> None:
    """Both modes give the same event."""
    event, expected = row
    found = plain(read(event, binary=binary))
    for name in ("id", "source", "type"):
        assert found[name] == event.get_attributes()[name]
    assert found["time_ms"] == int(TIME.timestamp() * 1000)
    assert found["data"] == event.get_data()
    for name, value in ({"subject": None, "expires_ms": None, "traceparent": None} | expected).items():
        assert found[name] == value


def test_data_as_bytes_is_data() -> None:
    """SDKs write ``data_base64`` when they are given bytes."""
    event = sdk(b'{"a": 1}')
    assert b"data_base64" in to_structured(event, FORMAT).value
    assert (
        plain(read(event, binary=False)) == plain(read(event, binary=True)) == plain(read(sdk({"a": 1}), binary=False))
    )


def test_what_we_write_the_sdk_reads() -> None:
    """A status is a structured event for anybody's library, which is told the mode by the record's own header."""
    status = Status(request="abc", source="//a/b", id="1", state="running", seq=3, at_ms=1_790_000_000_123, shard=2)
    written = status_record("shop", status)
    assert written.value is not None
    assert dict(written.headers)["content-type"].startswith(b"application/cloudevents")
    event = from_kafka(KafkaMessage(dict(written.headers), written.key, written.value), FORMAT, SdkEvent)
    assert event.get_type() == "fanfare.status.v1"
    assert event.get_id() == "abc.2.3"
    assert event.get_subject() == "abc"
    assert event.get_time() == datetime.fromtimestamp(1_790_000_000.123, UTC)
    assert msgspec.convert(event.get_data(), Status) == status
    assert isinstance(decode(written.value, written.headers), CloudEvent), "and we read it ourselves"


WHOLE = msgspec.json.encode(
    {"specversion": "1.0", "id": "1", "source": "//a/b", "type": "t", "time": "2026-11-22T06:40:00Z", "data": {"a": 1}}
)
BINARY: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"//a/b"),
    ("ce_type", b"t"),
    ("ce_time", b"2026-11-22T06:40:00Z"),
    ("content-type", b"application/json"),
)

MODES: dict[str, tuple[bytes | None, Headers]] = {
    "structured, by its header": (WHOLE, (("content-type", b"application/cloudevents+json"),)),
    "structured, with parameters, in capitals": (
        WHOLE,
        (("Content-Type", b"Application/CloudEvents+JSON; charset=UTF-8"),),
    ),
    "structured, by a console producer": (WHOLE, ()),
    "structured, among others' headers": (WHOLE, (("b3", b"1"), ("traceparent", b"x"))),
    "structured, with nulls for absent attributes": (WHOLE.replace(b"{", b'{"subject":null,', 1), ()),
    "binary": (b'{"a":1}', BINARY),
    "binary, without content type": (b'{"a":1}', BINARY[:-1]),
    "binary, of another JSON": (b'{"a":1}', (*BINARY[:-1], ("content-type", b"application/vnd.x+json"))),
    "binary, in capitals": (b'{"a":1}', tuple((name.upper(), held) for name, held in BINARY)),
}


@pytest.mark.parametrize("row", MODES.values(), ids=MODES.keys())
def test_the_mode_is_told_by_the_headers(row: tuple[bytes | None, Headers]) -> None:
    """And a console producer, which sets none, is understood."""
    assert plain(decode(*row)) == plain(decode(WHOLE, ()))


def changed(**fields: Any) -> bytes:
    """The whole event with fields changed; None removes one."""
    whole = msgspec.json.decode(WHOLE) | fields
    return msgspec.json.encode({name: value for name, value in whole.items() if value is not None})


def headed(*more: tuple[str, bytes], without: str = "") -> Headers:
    """Binary headers with some more and without one."""
    return (*(header for header in BINARY if header[0] != without), *more)


REFUSED: dict[str, tuple[bytes | None, Headers, Reason, str]] = {
    "a tombstone": (None, (), Reason.NOT_A_CLOUD_EVENT, "send {"),
    "an array": (b"[1]", (), Reason.NOT_A_CLOUD_EVENT, "send {"),
    "Avro": (b"\x00\x00\x01", (), Reason.NOT_A_CLOUD_EVENT, "send {"),
    "plain JSON": (b'{"a":1}', (), Reason.NOT_A_CLOUD_EVENT, "send {"),
    "an event under plain JSON's header": (
        WHOLE,
        (("content-type", b"application/json"),),
        Reason.NOT_A_CLOUD_EVENT,
        "no ce_* headers",
    ),
    "a batch": (
        b"[" + WHOLE + b"]",
        (("content-type", b"application/cloudevents-batch+json"),),
        Reason.NOT_A_CLOUD_EVENT,
        "content-type",
    ),
    "an event in Avro": (
        b"\0",
        (("content-type", b"application/cloudevents+avro"),),
        Reason.NOT_A_CLOUD_EVENT,
        "content-type",
    ),
    "version 0.3": (changed(specversion="0.3"), (), Reason.NOT_A_CLOUD_EVENT, "1.0"),
    "an unknown attribute": (changed(expirytme="x"), (), Reason.UNKNOWN_FIELD, "did you mean `expirytime`?"),
    "an unknown header": (
        b"{}",
        headed(("ce_subjekt", b"x")),
        Reason.UNKNOWN_FIELD,
        "did you mean `subject`?",
    ),
    "no id": (changed(id=None), (), Reason.MISSING_FIELD, "id is missing"),
    "no id header": (b"{}", headed(without="ce_id"), Reason.MISSING_FIELD, "id is missing"),
    "no data": (changed(data=None), (), Reason.MISSING_FIELD, "data"),
    "data twice": (changed(data_base64="e30="), (), Reason.MISSING_FIELD, "exactly one"),
    "base64 that is none": (changed(data=None, data_base64="{}"), (), Reason.INVALID_FIELD, "base64"),
    "base64 that is not ASCII": (changed(data=None, data_base64="é"), (), Reason.INVALID_FIELD, "base64"),
    "base64 of what is no JSON": (
        changed(data=None, data_base64=base64.b64encode(b"hello").decode()),
        (),
        Reason.INVALID_JSON,
        "character 0",
    ),
    "a header twice": (b"{}", headed(("ce_id", b"2")), Reason.INVALID_FIELD, "id stands twice"),
    "data in a header": (b"{}", headed(("ce_data", b"2")), Reason.INVALID_FIELD, "data stands twice"),
    "a header that is not UTF-8": (b"{}", headed(("ce_subject", b"\xff")), Reason.INVALID_FIELD, "UTF-8"),
    "data of another kind": (
        b"{}",
        headed(("content-type", b"text/plain"), without="content-type"),
        Reason.INVALID_FIELD,
        "json",
    ),
    "an id of 257 characters": (changed(id="x" * (MAX_ATTRIBUTE_CHARS + 1)), (), Reason.INVALID_FIELD, "id must have"),
    "a line break in an id": (changed(id="a\nb"), (), Reason.INVALID_FIELD, "no controls"),
    "a number for an id": (changed(id=1), (), Reason.INVALID_FIELD, "id has the wrong type"),
    "too large": (b"{" + b" " * 600_000, (), Reason.TOO_LARGE, "at most 524288"),
    "broken": (WHOLE[:-1], (), Reason.INVALID_JSON, "breaks off"),
    "broken data": (b'{"a":', BINARY, Reason.INVALID_JSON, "breaks off"),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
def test_all_else_is_refused(row: tuple[bytes | None, Headers, Reason, str]) -> None:
    """With the reason, and one sentence that says what to do."""
    value, headers, reason, sentence = row
    refused = decode(value, headers)
    assert isinstance(refused, RefusedEvent)
    assert refused.refusal.reason is reason
    assert sentence in refused.refusal.detail


@pytest.mark.parametrize(
    ("value", "headers"),
    [(changed(tme="x"), ()), (b"{}", headed(("ce_x", b"y"))), (b"{", BINARY), (changed(time="now"), ())],
)
def test_a_refused_event_still_says_whose_it_is(value: bytes, headers: Headers) -> None:
    """So that its business can be told."""
    refused = decode(value, headers)
    assert isinstance(refused, RefusedEvent)
    assert (refused.source, refused.id) == ("//a/b", "1")


def test_the_example_is_an_event() -> None:
    """What a refusal advises to send is taken, once filled in."""
    value = EXAMPLE.replace("<business>/<system>", "a/b").replace("<your id>", "1").replace("…", "")
    assert plain(decode(value.encode(), ()))["type"] == "fanfare.notification.v1"


@pytest.mark.parametrize("trace", ["", "x", TRACE.upper(), TRACE + "0"])
def test_a_broken_trace_is_dropped(trace: str) -> None:
    """W3C: an invalid traceparent is ignored and the trace begins anew."""
    assert plain(decode(changed(traceparent=trace), ()))["traceparent"] is None


INSTANTS = {
    "2026-11-22T06:40:00Z": 1_795_329_600_000,
    "2026-11-22t06:40:00z": 1_795_329_600_000,
    "2026-11-22T07:40:00+01:00": 1_795_329_600_000,
    "2026-11-21T23:10:00.5-07:30": 1_795_329_600_500,
    "2026-11-22T06:40:00.123999999Z": 1_795_329_600_123,
    "1969-12-31T23:59:59.999Z": -1,
    "0001-01-01T00:00:00Z": -62_135_596_800_000,
}


@pytest.mark.parametrize(("text", "at_ms"), INSTANTS.items())
def test_instants_are_rfc_3339(text: str, at_ms: int) -> None:
    """Any offset, any fraction, either case; milliseconds, fractions of one dropped."""
    assert ms_of(text) == at_ms


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "1795329600000", "2026-11-22", "2026-11-22T06:40:00", "2026-11-22 06:40:00Z", "20261122T064000Z"),
        *("2026-11-22T06:40Z", "2026-11-22T06:40:00+0100", "2026-11-22T06:40:00.Z", "2026-11-22T06:40:00,5Z"),
        *("2026-02-29T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T06:40:60Z", "2026-11-22T06:40:00+25:00"),
        *(
            "\uff12\uff10\uff12\uff16-11-22T06:40:00Z",
            " 2026-11-22T06:40:00Z",
            "2026-11-22T06:40:00Z\n",
            "2026-W47-7T06:40:00Z",
        ),
    ],
)
def test_nothing_else_is_an_instant(text: str) -> None:
    """Strict: a time that two libraries read differently is refused."""
    with pytest.raises(ValueError, match=r"instant|range|must be|month|offset"):
        ms_of(text)


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.integers(-14 * 60, 14 * 60),
)
def test_instants_are_the_standard_librarys(moment: datetime, minutes: int) -> None:
    """Every instant in every zone, and there and back."""
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    at_ms = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert ms_of(aware.isoformat()) == at_ms
    assert ms_of(text_of(at_ms)) == at_ms
