"""Writes for all commands: lines for people on standard error, and a single sentence when something is wrong."""

import asyncio
import logging
import re
import sys
from collections.abc import Coroutine
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.wire.timestamps import ms_of
from streams.client import ClientError
from streams.dev.kafka.errors import ClusterError
from streams.kafka.provision import ProvisionError
from streams.kafka.publisher import PublishError
from streams.kafka.scan import ScanError
from streams.registry.apply import RegistrationError
from streams.runtime.settings import Settings, SettingsError, load
from streams.runtime.untyped_json import json_bytes

FAULTS: Final = (
    ClientError,
    ClusterError,
    OSError,
    ProvisionError,
    PublishError,
    RegistrationError,
    ScanError,
    SettingsError,
)
"""Exceptions that come of the surroundings or the input; any other is a defect and shows its traceback."""

INTERRUPTED: Final = 130
"""Exit status that shells expect of a program that Ctrl-C ended."""

_T = TypeVar("_T")

BootstrapOption = Annotated[
    str | None, typer.Option("--bootstrap", metavar="HOST:PORT", help="Kafka to use.", show_default=False)
]

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


def run(command: str, doing: Coroutine[Any, Any, _T]) -> _T:
    """Run ``doing``; ends the program with a sentence and status 1 for :data:`FAULTS`, with 130 on Ctrl-C.

    What the Kafka library logs on the way there is left out: the sentence says it.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(doing)
    except BrokenPipeError:
        raise
    except FAULTS as error:
        refuse(command, str(error))
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def configured(command: str, bootstrap: str | None = None) -> Settings:
    """Returns the settings; ends the program with a sentence for what cannot be."""
    try:
        return load(bootstrap=bootstrap)
    except SettingsError as error:
        refuse(command, str(error))


def refuse(command: str, sentence: str) -> NoReturn:
    """End with status 1, after ``sentence``; each further line stands on its own."""
    say(f"fanfare {command}: {sentence}")
    raise typer.Exit(1)


# The instant that ``--since`` means: so long ago, or an RFC 3339 instant.

_AGO: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS_MS: Final = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def since_ms(text: str, now_ms: int, *, units: str = "smhd") -> int:
    """Milliseconds since the epoch; ``30m`` is so long before ``now_ms``. ``ValueError`` for what is neither."""
    ago = _AGO.fullmatch(text)
    if ago is not None and ago[2] in units:
        return now_ms - int(ago[1]) * _UNITS_MS[ago[2]]
    return ms_of(text)
