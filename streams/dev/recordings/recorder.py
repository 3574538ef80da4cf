"""Records: reads request topics and writes down what a replay can use of their events, without one-time codes.

What was read is written: after `live` ended, however it did, `drain` takes what stood in the queue.

Codes are sealed to a request and a person, so the sealed bytes are worth nothing in a replay: an empty seal stands for them.
A code that a producer sent in clear by mistake stands in the request topic, but does not get into a recording: in the otp lane,
and wherever a template has a sealed slot, a text is kept only in a slot that the registry knows as one of text, and an event
of the otp lane with other fields than the contract's is left out.
"""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import msgspec

from broker.heartbeat import is_heartbeat
from broker.registry.fold import Registry
from schemas.ids import business_of
from schemas.lanes import Lane
from schemas.registry import CONFIRMATIONS
from schemas.wire.cloudevents import CONTENT_TYPE
from streams.client import Event
from streams.client.events import form_refusal
from streams.dev.recordings.files import LANES, SEALED, Entry, Writer, each_holder, line_of
from streams.dev.recordings.pseudonyms import Pseudonyms
from streams.kafka.scan import Record, follow, scan
from streams.runtime.kafka_access import Address
from streams.runtime.signals import first_error

_PREFIX: Final = "ce_"
_EMPTY: Final = {SEALED: ""}


def captured(record: Record, registry: Registry) -> Entry | None:
    """The record as an entry; None for what is no event with a usable name, and for what is Fanfare's own to say."""
    value, lane = record.value or b"", LANES[record.topic]
    event = _event_of(value, record.headers)
    business = "" if event is None else _business(event)
    if event is None or not business or _own(event, business):
        return None
    if lane.rules.carries_codes and form_refusal(lane, business, value, record.headers) is not None:
        return None
    return Entry(
        topic=record.topic,
        partition=record.partition,
        at_ms=record.timestamp_ms,
        key=None if record.key is None else record.key.decode("utf-8", "replace"),
        headers={
            name: held.decode("utf-8", "replace") for name, held in record.headers if name.lower() == CONTENT_TYPE
        },
        value=_without_codes(event, lane, business, registry),
    )


def _own(event: Event, business: str) -> bool:
    """Returns True for heartbeats, and for what confirms a STOP: replayed under another name it would be nobody's to say."""
    body = event.get("data")
    return is_heartbeat(business) or (isinstance(body, dict) and body.get("template") in CONFIRMATIONS)


def _without_codes(event: Event, lane: Lane, business: str, registry: Registry) -> Event:
    body = event.get("data")
    if not isinstance(body, dict):
        return event
    clear = _clear_slots(str(body.get("template")), lane, business, registry)
    return {**event, "data": each_holder(body, lambda holder: _emptied(holder, clear))}


def _clear_slots(template: str, lane: Lane, business: str, registry: Registry) -> AbstractSet[str] | None:
    """The parameters whose texts are kept; None for all of them."""
    known = registry.template_for(business, template)
    slots = () if known is None else known.parameters
    if not lane.rules.carries_codes and not any(slot.sealed for slot in slots):
        return None
    return frozenset(slot.name for slot in slots if not slot.sealed)


def _emptied(holder: dict[str, Any], clear: AbstractSet[str] | None) -> dict[str, Any]:
    params = holder.get("params")
    if not isinstance(params, dict):
        return holder
    kept = {
        name: held if isinstance(held, str) and (clear is None or name in clear) else _EMPTY
        for name, held in params.items()
    }
    return {**holder, "params": kept}


def _event_of(value: bytes, headers: Sequence[tuple[str, bytes]]) -> Event | None:
    """The event in structured mode, its ``data`` as JSON; None for what is no JSON object."""
    try:
        body = msgspec.json.decode(value)
        attributes = {_attribute(name): held.decode() for name, held in headers if _attribute(name)}
        event = {**attributes, "data": body} if attributes else body
        if isinstance(event, dict) and isinstance(encoded := event.pop("data_base64", None), str):
            event["data"] = msgspec.json.decode(base64.b64decode(encoded, validate=True))
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error):
        return None
    return event if isinstance(event, dict) else None


def _attribute(header: str) -> str:
    """The CloudEvents attribute in a header of binary mode; empty for any other header."""
    lower = header.lower()
    return lower.removeprefix(_PREFIX) if lower.startswith(_PREFIX) else ""


def _business(event: Event) -> str:
    """Whose event it is; empty without a usable name."""
    source, event_id = event.get("source"), event.get("id")
    if not isinstance(source, str) or not isinstance(event_id, str):
        return ""
    try:
        return business_of(source)
    except ValueError:
        return ""


_QUEUED: Final = 1_000
_FLUSH_S: Final = 1.0
"""A recording that is killed lacks at most so much."""


class Recorder:
    """Writes a recording and counts the events written and the records left out."""

    def __init__(self, writer: Writer, registry: Registry, pseudonyms: Pseudonyms | None) -> None:
        self.written = 0
        self.left_out = 0
        self._writer = writer
        self._registry = registry
        self._pseudonyms = pseudonyms
        self._queue: asyncio.Queue[Record] = asyncio.Queue(_QUEUED)

    async def history(self, bootstrap: Address, topics: Sequence[str], *, since_ms: int) -> None:
        """Everything that Kafka stamped since then, up to the topics' ends now; one topic after another."""
        for topic in topics:
            async for bite in scan(bootstrap, topic, since_ms=since_ms):
                for record in bite:
                    self._take(record)

    async def live(self, bootstrap: Address, topics: Sequence[str], *, since_ms: int, seconds: float | None) -> None:
        """From then on, for so long, or for ever."""
        with first_error(), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
                for topic in topics:
                    tasks.create_task(self._follow(bootstrap, topic, since_ms))
                tasks.create_task(self._flush())
                while True:
                    self._take(await self._queue.get())

    def drain(self) -> None:
        """Write what was read and still waits."""
        while not self._queue.empty():
            self._take(self._queue.get_nowait())

    async def _follow(self, bootstrap: Address, topic: str, since_ms: int) -> None:
        async for record in follow(bootstrap, topic, since_ms=since_ms):
            await self._queue.put(record)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_S)
            self._writer.flush()

    def _take(self, record: Record) -> None:
        entry = captured(record, self._registry)
        if entry is None:
            self.left_out += 1
            return
        self._writer.write(line_of(entry if self._pseudonyms is None else self._pseudonyms.entry(entry)))
        self.written += 1
