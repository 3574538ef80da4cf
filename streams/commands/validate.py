"""`fanfare validate`: everything that is wrong with events, before they are published and without a Kafka."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from broker.registry.fold import Registry
from broker.validation.dry_run import pace_of
from schemas.lanes import Lane
from schemas.reasons import Fault
from schemas.wire.text import unsafe
from streams.client import SealingError
from streams.client.events import faults
from streams.client.sealing import SealKey, seal_codes, seal_key_of
from streams.commands.event_file import SealOption, codes_of, freshened
from streams.commands.lanes import LaneOption, lane_named, lane_of_event
from streams.commands.statuses import fault_row
from streams.commands.terminal import OutputOption, application, refuse, show
from streams.registry.apply import RegistrationError, changes, read_files
from streams.runtime import clock

_FAULTY: Final = 1

app = application()


@app.command()
def main(
    *,
    file: Annotated[
        str, typer.Option("--file", "-f", metavar="FILE", help="A JSON event, an array, or one a line; - is stdin.")
    ],
    lane: LaneOption = None,
    registry: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Registry files (*.yaml): judge sender, template and parameters; tell its rate."
        ),
    ] = None,
    seal: SealOption = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Move its times to now first, as publish does.")] = False,
    output: OutputOption = "text",
    as_json: Annotated[bool, typer.Option("--json", hidden=True, help="The same as -o json.")] = False,
) -> None:
    """Tell everything that Fanfare would refuse in the events of FILE, each with its place as a JSON pointer.

    Its form and its times; with --registry also who says it, with which template, and what is in its slots. What was published
    before is not known here. With --registry a sound list also tells its rate. Exit status: 0 all are sound, 1 some are not.
    --seal and an event without --lane need --registry: the key and the template are registered.
    """
    try:
        chosen, codes = lane_named(lane), codes_of(seal, stdin_taken=file == "-")
        registered = _registered(registry)
        key = _key(registered, codes)
        texts = [(text, _lane(text, registered) if chosen is None else chosen) for text in _texts(_bytes(file))]
    except (OSError, ValueError, RegistrationError, SealingError) as error:
        refuse("validate", str(error))
    say = _say_json if as_json or output == "json" else _say
    faulty = 0
    for number, (text, lane_of_text) in enumerate(texts, start=1):
        event = _event(text, lane_of_text, codes=codes, key=key, fresh=fresh)
        found = faults(lane_of_text, event, registry=registered, now_ms=clock.now_ms())
        faulty += bool(found)
        say(number, text, found, "" if found else _pace(lane_of_text, event, registered))
    raise typer.Exit(_FAULTY if faulty else 0)


def _pace(lane: Lane, event: dict[str, Any] | bytes, registry: Registry | None) -> str:
    """Return the sentence on how a sound event would go out; empty without a registry."""
    if registry is None:
        return ""
    whole = msgspec.json.decode(event) if isinstance(event, bytes) else event
    return pace_of(lane, whole, registry=registry, now_ms=clock.now_ms())


def _lane(text: bytes, registry: Registry | None) -> Lane:
    """Returns the lane that an event's template decides; ``ValueError`` if it cannot be told."""
    try:
        event = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return Lane.UPDATE  # what is no object is refused alike in every lane
    if registry is None:
        raise ValueError("which lane? --lane, or --registry, whose templates tell it")
    return lane_of_event(event, registry)


def _texts(raw: bytes) -> Iterator[bytes]:
    """Yields the events of a file that holds a single one, an array, or one a line: then the first line is an object."""
    lines = [line for line in raw.splitlines() if line.strip()]
    if len(lines) > 1 and _is_object(lines[0]):
        yield from lines
        return
    try:
        yield from map(bytes, msgspec.json.decode(raw, type=list[msgspec.Raw]))
    except msgspec.DecodeError:
        yield raw


def _is_object(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return False
    return True


def _event(
    text: bytes, lane: Lane, *, codes: Mapping[str, str], key: SealKey | None, fresh: bool
) -> dict[str, Any] | bytes:
    """The event as it would be published; its bytes where nothing is done to it, or nothing can be."""
    try:
        event = msgspec.json.decode(text, type=dict[str, Any])
        changed = freshened(event) if fresh else event
        changed = seal_codes(changed, lane, codes, key) if key is not None else changed
    except (ValueError, SealingError):
        return text
    return text if changed is event else changed


def _registered(folder: Path | None) -> Registry | None:
    if folder is None:
        return None
    registry = Registry()
    changes(read_files([folder]), registry)
    return registry


def _key(registry: Registry | None, codes: Mapping[str, str]) -> SealKey | None:
    if not codes:
        return None
    if registry is None:
        raise ValueError("--seal needs --registry: the key to seal to is registered")
    return seal_key_of(registry)


def _bytes(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()


def _name(text: bytes, number: int) -> str:
    """Returns the event's name for people: its id, or its number in the file."""
    try:
        event_id = msgspec.json.decode(text, type=dict[str, Any]).get("id")
    except msgspec.DecodeError:
        event_id = None
    return event_id if isinstance(event_id, str) and event_id and not unsafe(event_id) else f"event {number}"


def _say(number: int, text: bytes, found: tuple[Fault, ...], pace: str) -> None:
    name = _name(text, number)
    if not found:
        print(f"sound      {name}  {pace}".rstrip())
        return
    print(f"refused    {name}  {len(found)} {'fault' if len(found) == 1 else 'faults'}")
    for fault in found:
        print(f"           {fault.place or '(the event)'}  {fault.reason.word}: {fault.detail}")


def _say_json(number: int, _: bytes, found: tuple[Fault, ...], pace: str) -> None:
    if pace:
        show({"event": number, "pace": pace}, "json", "")
    for fault in found:
        show({"event": number, **fault_row(fault)}, "json", "")
