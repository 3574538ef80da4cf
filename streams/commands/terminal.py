"""Makes what all commands have alike: the application, results in the form that was asked for, tables, amounts, refusals.

Imports no library of Kafka, so that what is called at each tab, and what works without a Kafka, begins at once.
"""

import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Annotated, Any, Final, NoReturn

import typer

from streams.runtime.untyped_json import json_bytes

INTERRUPTED: Final = 130
"""Exit status that shells expect of a program that Ctrl-C ended."""


def application(**more: Any) -> typer.Typer:
    """Returns what a command is written into: its help is plain text, and its only options are its own."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **more)


FORMS: Final = ("text", "json")


def _form(context: typer.Context, word: str) -> str:
    if word not in FORMS:
        say(f"{context.command_path}: there is no form {word!r}; there are: {', '.join(FORMS)}")
        raise typer.Exit(1)
    return word


OutputOption = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="FORM", callback=_form, help="text, or json: one object a line.", show_default=False
    ),
]


def show(value: Any, output: str, text: str) -> None:
    """Prints a result on standard output in the form that was asked for: ``value`` as JSON, or ``text`` if there is any."""
    if output == "json":
        print(json_bytes(value).decode(), flush=True)
    elif text:
        print(text, flush=True)


def say(line: str) -> None:
    """A line for the person at the terminal; results go to standard output instead."""
    print(line, file=sys.stderr, flush=True)


def refuse(command: str, sentence: str, status: int = 1) -> NoReturn:
    """End with ``status``, after ``sentence``; each further line stands on its own."""
    say(f"fanfare {command}: {sentence}")
    raise typer.Exit(status)


def columns(table: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> Iterator[str]:
    """Yields a line a row, its cells two blanks apart; columns in ``right`` end in one line, the others begin in one."""
    rows = list(table)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.rjust(widths[at]) if at in right else cell.ljust(widths[at]) for at, cell in enumerate(row))
        yield "  ".join(cells).rstrip()


_MICRO: Final = 1_000_000


def money(amount_micro: int) -> str:
    """Converts micro-units to exact text: ``-1,234.500000``."""
    whole, micro = divmod(abs(amount_micro), _MICRO)
    return f"{'-' if amount_micro < 0 else ''}{whole:,}.{micro:06}"
