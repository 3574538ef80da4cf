"""Writes JSON of values without a declared type: log lines, `-o json` of the commands, answers of HTTP listeners."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import orjson


def json_bytes(value: Any) -> bytes:
    """Returns compact JSON of plain values, structs, paths and sets, in UTF-8.

    A lone surrogate or an integer of more than 64 bits, which only the slow encoder takes, is written as that does.
    """
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:
        return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """Converts what JSON has no form for; ``TypeError`` for the rest."""
    match value:
        case msgspec.Struct():
            return msgspec.to_builtins(value, order="deterministic")
        case Path():
            return str(value)
        case set() | frozenset():
            return sorted(value)
        case tuple():  # one with names, which the encoder does not know
            return list(value)
        case Mapping():
            return dict(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
