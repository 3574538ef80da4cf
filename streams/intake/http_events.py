"""Takes an HTTP request apart into events, checks them against all that plan would object to, and makes records of them. Pure.

CloudEvents' HTTP binding 1.0.2: ``application/cloudevents+json`` is one event, ``application/cloudevents-batch+json`` an array of
them, and ``ce-*`` headers beside a JSON body are binary mode. Into Kafka all go in structured mode: an event that comes so keeps
its bytes, and one in binary mode becomes the same bytes each time it is sent. Pure functions of the request.

What was accepted before and what throughput is left is plan's to say; it does so on ``status.<business>``.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import Final
from urllib.parse import unquote

import msgspec

from schemas import topics
from schemas.ids import business_of, partition_of, request_name, text_of
from schemas.lanes import LANE_WORDS, Lane
from schemas.reasons import MAX_FAULTS, Fault, Reason
from schemas.request import MAX_REQUEST_BYTES
from schemas.wire import strict_json as wire_json
from schemas.wire.cloudevents import NOT_UTF8, STRUCTURED, UTF8, charset_of
from schemas.wire.text import echo, suggestion
from streams.client.events import faults, form_refusal
from streams.intake.admission import Caller
from streams.intake.problems import Outcome, Problem, of_faults, refusal
from streams.kafka.producer import Outgoing

BATCH: Final = "application/cloudevents-batch+json"
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_BATCH: Final = 256
"""Events of one request: they are answered together."""

_PREFIX: Final = "ce-"
_JSON: Final = re.compile(r"[a-z]+/(.+\+)?json")
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

Headers = Sequence[tuple[str, str]]

_batch: Final = msgspec.json.Decoder(list[msgspec.Raw])
_encoder: Final = msgspec.json.Encoder()


class Mode(Enum):
    """Names the ways in which a request carries events."""

    STRUCTURED = auto()
    BATCH = auto()
    BINARY = auto()


class Posted(msgspec.Struct, frozen=True):
    """Holds an event as JSON in structured mode, and its place in the body: empty, or ``/3`` in a batch."""

    value: bytes
    place: str = ""


def lane_of(asked: Sequence[str]) -> Lane | Problem:
    """The lane that the query names, once."""
    words = {lane.word for lane in Lane}
    if len(asked) == 1 and asked[0] in words:
        return Lane.of(asked[0])
    if len(asked) == 1:
        detail = f"There is no lane {echo(asked[0])}{suggestion(asked[0], words)}"
    else:
        detail = f"Name one lane, {LANE_WORDS}: POST /v1/events?lane=LANE."
    return refusal(Outcome.INVALID, "query lane", "invalid_lane" if asked else "missing_lane", detail)


def mode_of(headers: Headers) -> Mode | Problem:
    """Returns how the body is to be read; a problem for one that nobody here can read."""
    if any(name.lower() == "content-encoding" and held.strip().lower() != "identity" for name, held in headers):
        return _unsupported("Content-Encoding", "Bodies are taken as they are: send this one without compression.")
    kinds = [held for name, held in headers if name.lower() == "content-type"]
    if len(kinds) > 1:
        return _unsupported("Content-Type", "The header stands twice: send it once.")
    kind = kinds[0] if kinds else ""
    if charset_of(kind) not in UTF8:
        return _unsupported("Content-Type", NOT_UTF8)
    return _mode(
        kind.partition(";")[0].strip().lower(), binary=any(name.lower().startswith(_PREFIX) for name, _ in headers)
    )


def events_of(mode: Mode, headers: Headers, body: bytes) -> tuple[Posted, ...] | Problem:
    """The events that a body holds, in its order."""
    match mode:
        case Mode.STRUCTURED:
            return (Posted(body),)
        case Mode.BATCH:
            return _batched(body)
        case Mode.BINARY:
            return _binary(headers, body)


def _mode(kind: str, *, binary: bool) -> Mode | Problem:
    if kind == STRUCTURED:
        return Mode.STRUCTURED
    if kind == BATCH:
        return Mode.BATCH
    if kind.startswith("application/cloudevents"):
        return _unsupported("Content-Type", f"Only JSON is read: send {STRUCTURED} or {BATCH}.")
    if not binary:
        sentence = f"Send {STRUCTURED}, {BATCH}, or application/json with the event's attributes in ce-* headers."
        return _unsupported("Content-Type", sentence)
    if kind and not _JSON.fullmatch(kind):  # datacontenttype may be absent: data is then JSON, as in Kafka
        return _unsupported("Content-Type", "In binary mode the body is the event's data: send it as application/json.")
    return Mode.BINARY


def _batched(body: bytes) -> tuple[Posted, ...] | Problem:
    if fault := wire_json.refusal(body, MAX_BODY_BYTES):
        return of_faults([("", Fault("", fault.reason, fault.detail))])
    try:
        held = _batch.decode(body)
    except msgspec.ValidationError:
        sentence = f"A batch is an array of events; send one event alone as {STRUCTURED}."
        return of_faults([("", Fault("", Reason.NOT_A_CLOUD_EVENT, sentence))])
    if len(held) > MAX_BATCH:
        sentence = f"{len(held)} events; at most {MAX_BATCH} are taken at once: split them into several batches."
        return of_faults([("", Fault("", Reason.TOO_LARGE, sentence))])
    return tuple(Posted(bytes(each), f"/{number}") for number, each in enumerate(held))


def _binary(headers: Headers, body: bytes) -> tuple[Posted, ...] | Problem:
    faults: list[Fault] = []
    if fault := wire_json.refusal(body, MAX_BODY_BYTES):
        faults.append(Fault("/data", fault.reason, fault.detail))
    attributes: dict[str, object] = {"data": msgspec.Raw(body)}
    for name, value in _attributes(headers):
        if name in attributes:
            faults.append(
                Fault(f"/{name}", Reason.INVALID_FIELD, f"The header of {echo(name)} stands twice: send it once.")
            )
        elif value is None:
            sentence = f"The header of {echo(name)} is not UTF-8: percent-encode what is not ASCII."
            faults.append(Fault(f"/{name}", Reason.INVALID_FIELD, sentence))
        else:
            attributes[name] = value
    if faults:
        return of_faults(("", fault) for fault in faults)
    return (Posted(_encoder.encode(dict(sorted(attributes.items(), key=lambda held: held[0] == "data")))),)


def _attributes(headers: Headers) -> Iterator[tuple[str, str | None]]:
    """The attributes that the headers hold, None for a value that is no text. The content type is that of the data."""
    for name, held in headers:
        lower = name.lower()
        if lower == "content-type":
            yield "datacontenttype", held
        elif lower.startswith(_PREFIX):
            yield lower.removeprefix(_PREFIX), _text(held)


def _text(held: str) -> str | None:
    """The text of a header: quotes and percent-encoding undone (the binding's section 3.1.3.2)."""
    if _QUOTED.fullmatch(held):
        held = _ESCAPED.sub(r"\1", held[1:-1])
    try:
        text = unquote(held, errors="strict")
        text.encode()
    except UnicodeError:
        return None
    return text


def _unsupported(place: str, sentence: str) -> Problem:
    return refusal(Outcome.UNSUPPORTED, f"header {place}", "unsupported_media_type", sentence)


HEADERS: Final = (("content-type", f"{STRUCTURED}; charset=UTF-8".encode()),)


class Taken(msgspec.Struct, frozen=True):
    """An event on its way into Kafka: its record, and what the producer is told."""

    record: Outgoing
    name: str
    lane: str
    status_topic: str

    def receipt(self) -> dict[str, str]:
        """Returns the answer for an event that Kafka has acknowledged."""
        return {"name": self.name, "lane": self.lane, "status_topic": self.status_topic}


class _Named(msgspec.Struct, frozen=True):
    source: str = ""
    id: str = ""


_named: Final = msgspec.json.Decoder(_Named)


def taken(
    lane: Lane, events: Sequence[Posted], caller: Caller, *, shards: int, now_ms: int
) -> tuple[Taken, ...] | Problem:
    """All events as records of their lane, or everything that is wrong with any of them: then none is taken."""
    found: list[tuple[str, Fault]] = []
    for posted in events:
        found += [(posted.place, fault) for fault in _faults(lane, posted.value, caller, now_ms)]
        if len(found) >= MAX_FAULTS:
            break
    if found:
        return of_faults(found[:MAX_FAULTS])
    partition = partition_of(caller.business.encode(), shards)
    return tuple(_taken(lane, posted.value, caller.business, partition) for posted in events)


def _faults(lane: Lane, value: bytes, caller: Caller, now_ms: int) -> Iterator[Fault]:
    """Of another business's event only the form is told, beside whose it is."""
    readable = wire_json.refusal(value, MAX_REQUEST_BYTES) is None
    foreign = readable and _foreign(value, caller.business)
    if foreign:
        sentence = "The key and the business in source differ: use the key of your own business, and its source."
        yield Fault("/source", Reason.WRONG_TENANT, sentence)
    told = faults(lane, value, registry=None if foreign else caller.registry, now_ms=now_ms)
    yield from told
    if not foreign and not told and (refusal := form_refusal(lane, caller.business, value, HEADERS)) is not None:
        yield Fault("", refusal.reason, refusal.detail)


def _foreign(value: bytes, business: str) -> bool:
    """Returns whether JSON within the limits is an event that another business would have sent."""
    try:
        return business_of(_named.decode(value).source) != business
    except ValueError:
        return False


def _taken(lane: Lane, value: bytes, business: str, partition: int) -> Taken:
    named = _named.decode(value)
    record = Outgoing(topics.requests(lane), value, key=business.encode(), partition=partition, headers=HEADERS)
    return Taken(record, text_of(request_name(lane, named.source, named.id)), lane.word, topics.status(business))
