"""Runs what a command does with Kafka and settings: what the surroundings are to blame for ends in one sentence."""

import asyncio
import logging
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from schemas.lanes import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.wire.timestamps import ms_of
from streams.client import ClientError
from streams.commands.terminal import INTERRUPTED, refuse
from streams.dev.kafka.errors import ClusterError
from streams.kafka.provision import ProvisionError
from streams.kafka.publisher import PublishError
from streams.kafka.scan import ScanError
from streams.registry.apply import RegistrationError
from streams.runtime.settings import Settings, SettingsError, load

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

_T = TypeVar("_T")

BootstrapOption = Annotated[
    str | None, typer.Option("--bootstrap", metavar="HOST:PORT", help="Kafka to use.", show_default=False)
]


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


def configured(command: str, bootstrap: str | None = None, *, data_dir: Path | None = None) -> Settings:
    """Returns the settings; ends the program with a sentence for what cannot be."""
    try:
        return load(bootstrap=bootstrap, data_dir=data_dir)
    except SettingsError as error:
        refuse(command, str(error))


# The span that ``--lifetime`` means, and the instant that ``--since`` does: so long ago, or an RFC 3339 instant.

_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS_MS: Final = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def span_ms(text: str, *, units: str = "smhd") -> int | None:
    """Returns the milliseconds of ``30m``; None for what is no number with one of the units behind it."""
    span = _SPAN.fullmatch(text)
    return int(span[1]) * _UNITS_MS[span[2]] if span is not None and span[2] in units else None


def since_ms(text: str, now_ms: int, *, units: str = "smhd") -> int:
    """Milliseconds since the epoch; ``30m`` is so long before ``now_ms``. ``ValueError`` for what is neither."""
    ago_ms = span_ms(text, units=units)
    return ms_of(text) if ago_ms is None else now_ms - ago_ms
