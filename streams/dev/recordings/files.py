"""Reads and writes recordings: a line of JSON for each event; compressed with Zstandard if the name ends in ``.zst``."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import cramjam
import msgspec

from schemas.lanes import Lane
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


SEALED: Final = "sealed"
"""The key of a parameter that holds a sealed code; in a recording it holds nothing."""

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


STANDARD: Final = "-"
_ZSTD: Final = ".zst"


class RecordingError(OSError):
    """A file that is no recording; the message is a sentence with file and line."""


class Writer:
    """Appends lines to a new file, or to standard output for ``-``. A file that is there already is refused."""

    def __init__(self, name: str) -> None:
        self._out = sys.stdout.buffer if name == STANDARD else _new(name)
        self._zstd = cramjam.zstd.Compressor() if name.endswith(_ZSTD) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._zstd is not None:
            self._out.write(bytes(self._zstd.finish()))
        self._out.flush()
        if self._out is not sys.stdout.buffer:
            self._out.close()

    def write(self, line: bytes) -> None:
        """Take one line, newline included."""
        if self._zstd is None:
            self._out.write(line)
        else:
            self._zstd.compress(line)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        if self._zstd is not None:
            self._out.write(bytes(self._zstd.flush()))
        self._out.flush()


def read_entries(name: str) -> Iterator[Entry]:
    """Every entry of a file (``-``: standard input) in its order; :class:`RecordingError` for what is none."""
    for number, line in enumerate(_content(name).splitlines(), start=1):
        if line.strip():
            try:
                yield entry_of(line)
            except ValueError as error:
                raise RecordingError(f"{name}:{number} {error}") from error


def _new(name: str) -> BinaryIO:
    """A new file that nobody else may read: there are people in it."""
    path = Path(name)
    try:
        path.touch(mode=0o600, exist_ok=False)
        return path.open("wb")
    except FileExistsError as error:
        raise RecordingError(f"{name} is there already; a recording is never written over") from error
    except OSError as error:
        raise RecordingError(f"{name} cannot be written: {error.strerror}") from error


def _content(name: str) -> bytes:
    try:
        raw = sys.stdin.buffer.read() if name == STANDARD else Path(name).read_bytes()
    except OSError as error:
        raise RecordingError(f"{name} cannot be read: {error.strerror}") from error
    if not name.endswith(_ZSTD):
        return raw
    try:
        return bytes(cramjam.zstd.decompress(raw))
    except cramjam.DecompressionError as error:
        raise RecordingError(f"{name} is not compressed with Zstandard, or was cut off") from error
