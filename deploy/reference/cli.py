"""The page ``deploy/CLI.md``: every command and option in the words of ``--help``, asked from the commands themselves."""

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any, Final

import typer

from streams.cli import COMMANDS, GROUPS
from streams.commands.group import command_of

_HEAD: Final = """\
# Commands

Made from what `--help` says by `python -m deploy.reference`; not edited by hand.

`fanfare help COMMAND` and `fanfare COMMAND -h` show the same on a terminal. Kafka is named by `--bootstrap` or
`FANFARE_KAFKA_BOOTSTRAP`; every other setting is an environment variable of [SETTINGS.md](SETTINGS.md).
"""


def cli_page() -> Iterator[str]:
    """The lines: an overview, then a section a command, and one below it for each of its sub-commands."""
    yield _HEAD
    for title, rows in GROUPS:
        yield from (f"{title[0].upper()}{title[1:]}:\n", "| command | what it does |", "| --- | --- |")
        for name, _, text in rows:
            yield f"| [`{name}`](#fanfare-{name}) | {text} |"
        yield ""
    for name, _, _ in COMMANDS:
        command = command_of(name)
        yield from _section(command, typer.Context(command, info_name=f"fanfare {name}"), depth=2)


def _section(command: Any, context: typer.Context, *, depth: int) -> Iterator[str]:
    """Yields the lines of a command, of whichever class typer made it: title, text, usage, options."""
    yield f"\n{'#' * depth} {context.command_path}\n"
    yield cleandoc(command.help or "").replace("\b\n", "")
    within = getattr(command, "commands", {})
    if not within or command.invoke_without_command:
        yield from _usage(command, context)
    for name, each in within.items():
        if not each.hidden:
            yield from _section(each, typer.Context(each, info_name=name, parent=context), depth=depth + 1)


def _usage(command: Any, context: typer.Context) -> Iterator[str]:
    yield f"\n    {context.command_path} {' '.join(command.collect_usage_pieces(context))}"
    rows = [row for row in (parameter.get_help_record(context) for parameter in command.params) if row]
    if rows:
        yield from ("", "| option | meaning |", "| --- | --- |")
    for option, meaning in rows:
        yield f"| `{_cell(option)}` | {_cell(meaning)} |"


def _cell(text: str) -> str:
    """A text as one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
