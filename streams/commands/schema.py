"""`fanfare schema`: the contract as JSON Schema, and what a change of a schema breaks."""

import webbrowser
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import msgspec
import typer
from typer.core import TyperGroup

from schemas.contract.compatibility import differences
from schemas.contract.compatibility_rules import READER, WRITER, Change
from schemas.contract.json_schema import WRITTEN_BY_FANFARE
from streams.commands.terminal import OutputOption, application, refuse, say, show

FOLDER: Final = Path(__file__).parents[2] / "schemas" / "generated"
_PAGE: Final = FOLDER / "asyncapi.html"

_SCHEMATIC: Final = frozenset({"$schema", "$ref", "type", "properties", "enum", "const", "anyOf", "oneOf", "allOf"})
"""A schema has one of these at its top."""

_BREAK: Final = 1
_UNUSABLE: Final = 2


class _Group(TyperGroup):
    """Takes the name of a schema where a sub-command could stand."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The sub-command, or ``show`` with the name."""
        return super().resolve_command(ctx, args if args[:1] and args[0] in self.commands else ["show", *args])


class Side(StrEnum):
    """Who writes documents of a schema; the other side reads them."""

    BUSINESS = "business"
    FANFARE = "fanfare"


app = application(cls=_Group)


@app.callback(invoke_without_command=True)
def listing(ctx: typer.Context, *, output: OutputOption = "text") -> None:
    """The JSON Schemas of everything that goes in and comes out: `fanfare schema NAME` prints one.

    Without NAME they are listed.
    """
    if ctx.invoked_subcommand is not None:
        return
    for path in _paths():
        document = msgspec.json.decode(path.read_bytes())
        show(
            {"name": path.stem, "about": _about(document), "file": path}, output, f"{path.stem:<18}  {_about(document)}"
        )


@app.command("show", hidden=True)
def show_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of those that `fanfare schema` lists.")],
) -> None:
    """Print the document NAME; the beginning of its name is enough."""
    path = _named(name)
    if path is None:
        refuse("schema", f"there is no schema {name!r}; there are: {', '.join(path.stem for path in _paths())}")
    print(path.read_text("utf-8"), end="")


@app.command("diff")
def diff_command(
    *,
    old: Annotated[str, typer.Argument(metavar="OLD", help="File of a JSON Schema, or the name of one of ours.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    written_by: Annotated[
        Side | None,
        typer.Option(
            help="Who writes such documents; else statuses and dead letters are fanfare's.", show_default=False
        ),
    ] = None,
    output: OutputOption = "text",
) -> None:
    """Name each change from OLD to NEW, with its place and who breaks.

    What a business writes breaks when fewer documents are taken than before; what Fanfare writes breaks its readers when more
    may come. Exit status: 0 compatible, 1 a break, 2 no schema.
    """
    before, after = _schema(old), _schema(new)
    side = written_by or (Side.FANFARE if after.get("title") in WRITTEN_BY_FANFARE else Side.BUSINESS)
    changes = differences(before, after)
    breaks = [change for change in changes if (WRITER if side is Side.BUSINESS else READER) in change.breaks]
    for change, line in zip(changes, _lines(changes, breaks, side), strict=True):
        row = {"place": change.place, "sentence": change.sentence, "breaks": change in breaks, "written_by": side.value}
        show(row, output, line)
    say(f"{len(changes)} changes, {len(breaks)} of them a break" if changes else "no change")
    raise typer.Exit(_BREAK if breaks else 0)


@app.command("page")
def page_command(
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Write it there instead of opening it.", show_default=False
        ),
    ] = None,
) -> None:
    """Open the contract as a page to browse: topics, messages, fields and examples. It needs neither scripts nor a network."""
    if output is None:
        say(f"opening {_PAGE}")
        if not webbrowser.open(_PAGE.as_uri()):
            refuse("schema page", f"no browser can be opened here; -o FILE writes the page, or open {_PAGE}")
        return
    try:
        output.write_bytes(_PAGE.read_bytes())
    except OSError as error:
        refuse("schema page", f"{output} cannot be written: {error.strerror}")


def _lines(changes: Sequence[Change], breaks: Sequence[Change], side: Side) -> Iterator[str]:
    who = "who publishes it" if side is Side.BUSINESS else "who reads it"
    for change in changes:
        told = f"{change.place or '(the document)'}  {change.sentence}"
        yield f"break       {told}; {who} breaks" if change in breaks else f"compatible  {told}"


def _schema(word: str) -> dict[str, Any]:
    path = Path(word) if Path(word).is_file() else _named(word)
    if path is None:
        _unusable(f"{word} is neither a file nor one of {', '.join(path.stem for path in _paths())}")
    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        _unusable(f"{path} holds no JSON Schema: {error}")
    if not _SCHEMATIC & found.keys():
        _unusable(f"{path} holds no JSON Schema: none of {', '.join(sorted(_SCHEMATIC))} stands in it")
    return found


def _named(word: str) -> Path | None:
    """The document of that name, or the only one that begins so."""
    wanted = word.removesuffix(".json")
    found = [path for path in _paths() if path.stem.startswith(wanted)]
    exact = [path for path in found if path.stem == wanted]
    return (exact or found)[0] if exact or len(found) == 1 else None


def _paths() -> list[Path]:
    return sorted(FOLDER.glob("*.json"))


def _about(document: dict[str, Any]) -> str:
    if "asyncapi" in document:
        return f"AsyncAPI {document['asyncapi']}: every topic for businesses and operators, with examples"
    if "$schema" not in document:
        return "test vectors of names, ids, partitions and seals"
    writer = Side.FANFARE if document["title"] in WRITTEN_BY_FANFARE else "you"
    return f"JSON Schema of a {document['title'].removeprefix('fanfare ')}, written by {writer}"


def _unusable(sentence: str) -> NoReturn:
    say(f"fanfare schema diff: {sentence}")
    raise typer.Exit(_UNUSABLE)
