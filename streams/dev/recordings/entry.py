"""Describes a line of a recording: an event that was published, and where and when it stood in its topic."""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from schemas.ids import Lane
from schemas.topics import requests
from streams.client import Event


class Entry(msgspec.Struct, frozen=True):
    """An event with its place. ``value`` is the event in structured mode, whichever mode it was published in."""

    topic: str
    partition: int
    at_ms: int
    """Kafka's time of it."""
    key: str | None
    headers: dict[str, str]
    value: Event

    @property
    def lane(self) -> Lane:
        """The lane whose request topic it stood in; ``KeyError`` for any other topic."""
        return LANES[self.topic]


LANES: Final = {requests(lane): lane for lane in Lane}
"""Request topics, the only ones that are recorded, and their lanes."""

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Entry)


def each_holder(body: dict[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """``body`` with ``change`` made to all that may have parameters: itself and each of its recipients."""
    body, to = change(body), body.get("to")
    if isinstance(to, dict) and isinstance(to.get("recipients"), list):
        people = [change(person) if isinstance(person, dict) else person for person in to["recipients"]]
        body = {**body, "to": {**to, "recipients": people}}
    return body


def line_of(entry: Entry) -> bytes:
    """The entry as one line of JSON, newline included."""
    return _encoder.encode(entry) + b"\n"


def entry_of(line: bytes) -> Entry:
    """The inverse of :func:`line_of`; ``ValueError`` with a sentence for any other line."""
    try:
        entry = _decoder.decode(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"is no line of a recording: {error}") from error
    if entry.topic not in LANES:
        raise ValueError(f"is of {entry.topic}, which is no topic of requests")
    return entry
