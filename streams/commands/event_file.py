"""Events from a file: one JSON text, an array of them, or one a line; and the same events again as new ones."""

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any, Final, TypeVar

import msgspec
import typer

from schemas.wire import timestamps
from streams.client import Event
from streams.runtime import clock

_T = TypeVar("_T")
_AHEAD: Final = 16
"""So many are drawn before they are asked for."""

_MARKS: Final = ("time", "expirytime")


def read_events(file: str) -> Iterator[Event]:
    """The events of ``file`` (``-``: standard input): one JSON text, an array of them, or one a line.

    Lines are read as they are asked for, so there may be any number of them. ``ValueError`` for what is none of these, with the
    line where it begins.
    """
    named = "standard input" if file == "-" else file
    with _opened(file) as stream:
        numbered = ((number, line) for number, line in enumerate(stream, start=1) if line.strip())
        number, first = next(numbered, (1, b""))
        try:
            event = _object(first)
        except msgspec.DecodeError as error:
            yield from _whole(named, first + stream.read(), error)
            return
        yield event
        for number, line in numbered:
            try:
                event = _object(line)
            except msgspec.DecodeError as error:
                raise ValueError(f"{named}:{number}: {error}") from error
            yield event


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    try:
        # A reader of our own: a thread that still waits in Python's own one would break the end of the process.
        with open(0, "rb", closefd=False) if file == "-" else Path(file).open("rb") as stream:
            yield stream
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from error


async def drawn_apart(each_of: Iterable[_T]) -> AsyncIterator[_T]:
    """The same, drawn in a thread of its own: while one is waited for, the loop goes on. Nobody waits for the thread's end."""
    loop = asyncio.get_running_loop()
    drawn: asyncio.Queue[_T | None] = asyncio.Queue(_AHEAD)

    def put(each: _T | None) -> None:
        asyncio.run_coroutine_threadsafe(drawn.put(each), loop).result()

    def draw() -> None:
        with suppress(RuntimeError, asyncio.CancelledError):  # the loop has ended, and with it whoever asked
            for each in each_of:
                put(each)
            put(None)

    threading.Thread(target=draw, daemon=True).start()
    while (each := await drawn.get()) is not None:
        yield each


SealOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=CODE",
        help="Seal a one-time code into parameter NAME of each recipient; @FILE or @- (standard input) keeps CODE out of the "
        "list of processes.",
        show_default=False,
    ),
]


def codes_of(pairs: Iterable[str] | None, *, stdin_taken: bool = False) -> dict[str, str]:
    """Returns one-time codes by the parameters they are for, from ``--seal NAME=CODE``; ``ValueError`` for any other form."""
    found = [pair.partition("=") for pair in pairs or ()]
    if not all(all(parts) for parts in found):
        raise ValueError("--seal wants NAME=CODE, NAME=@FILE or NAME=@-")
    return {name: _code(given, stdin_taken=stdin_taken) for name, _, given in found}


def _code(given: str, *, stdin_taken: bool) -> str:
    """Returns a code as it was given, or the first line of where it stands."""
    if not given.startswith("@"):
        return given
    if stdin_taken and given == "@-":
        raise ValueError("--seal NAME=@- and events from standard input exclude each other: name a file")
    with _opened(given[1:]) as stream:
        code = stream.readline().decode().strip()
    if not code:
        raise ValueError(f"--seal: {'standard input' if given == '@-' else given[1:]} holds no code in its first line")
    return code


def _whole(named: str, raw: bytes, first_error: msgspec.DecodeError) -> list[Event]:
    """The events of a text over several lines; what looks as if it should have had one a line is told by its first line."""
    try:
        if raw.lstrip().startswith(b"["):
            return msgspec.json.decode(raw, type=list[dict[str, Any]])
        return [_object(raw)]
    except msgspec.DecodeError as error:
        lines = [line for line in raw.splitlines() if line.strip()]
        one_text = raw.lstrip().startswith((b"{", b"[")) and sum(line.startswith(b"{") for line in lines) <= 1
        if len(lines) > 1 and not one_text:
            raise ValueError(f"{named}:1: {first_error}") from error
        raise ValueError(f"{named} holds no JSON object, and no array of them: {error}") from error


def _object(raw: bytes) -> Event:
    return msgspec.json.decode(raw, type=dict[str, Any])


def freshened(event: Event) -> Event:
    """The event under a new id, with its times moved so that ``time`` is now; ``ValueError`` for what is no time."""
    moved = {**event, "id": f"{event.get('id', 'event')}-{uuid.uuid4().hex[:8]}"}
    if "time" in event:
        by_ms = clock.now_ms() - _ms_of(event, "time")
        moved |= {mark: timestamps.text_of(_ms_of(event, mark) + by_ms) for mark in _MARKS if mark in event}
    return moved


def _ms_of(event: Event, mark: str) -> int:
    try:
        return timestamps.ms_of(str(event[mark]))
    except ValueError as error:
        raise ValueError(f"{mark} cannot be moved to now: {error}") from error
