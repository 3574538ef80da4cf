"""Events from a file: one JSON text, or one a line; and the same events again as new ones."""

import sys
import uuid
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.wire import instants
from streams import clock
from streams.client import Event

_MARKS: Final = ("time", "expirytime")


def read_events(file: str) -> list[Event]:
    """The events of ``file`` (``-``: standard input): one JSON text, or one a line; ``ValueError`` if it holds neither."""
    raw = _bytes(file)
    file = "standard input" if file == "-" else file
    try:
        events = [_object(raw)]
    except msgspec.DecodeError:
        lines = [line for line in raw.splitlines() if line.strip()]
        if len(lines) < 2:
            raise ValueError(f"{file} holds no JSON object") from None
        events = [_numbered(file, number, line) for number, line in enumerate(lines, start=1)]
    return events


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from error


def _object(raw: bytes) -> Event:
    return msgspec.json.decode(raw, type=dict[str, Any])


def _numbered(file: str, number: int, line: bytes) -> Event:
    try:
        return _object(line)
    except msgspec.DecodeError as error:
        raise ValueError(f"{file}:{number}: {error}") from error


def freshened(event: Event) -> Event:
    """The event under a new id, with its times moved so that ``time`` is now; ``ValueError`` for what is no time."""
    moved = {**event, "id": f"{event.get('id', 'event')}-{uuid.uuid4().hex[:8]}"}
    if "time" in event:
        by_ms = clock.now_ms() - _ms_of(event, "time")
        moved |= {mark: instants.text_of(_ms_of(event, mark) + by_ms) for mark in _MARKS if mark in event}
    return moved


def _ms_of(event: Event, mark: str) -> int:
    try:
        return instants.ms_of(str(event[mark]))
    except ValueError as error:
        raise ValueError(f"{mark} cannot be moved to now: {error}") from error
