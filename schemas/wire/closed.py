"""Typed decoding of what producers write: closed, and with refusals that name the place and the nearest known name.

msgspec's sentences are translated here, once and totally: an unknown field, a missing field, or a field of another shape.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec

from schemas.reasons import Reason
from schemas.refusal import Refusal
from schemas.wire.text import echo, suggestion

_JSON_WORDS: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
"""msgspec speaks of types as Python does, producers as JSON does."""
_PYTHON_WORD: Final = re.compile(rf"\b({'|'.join(_JSON_WORDS)})\b")

_T = TypeVar("_T")

_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*?)`(?: - at `(.*)`)?\Z", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*?)`(?: - at `(.*)`)?\Z", re.DOTALL)
_SHAPE: Final = re.compile(r"Expected (.*?)(?: - at `(.*)`)?\Z", re.DOTALL)


class Shape(msgspec.Struct, frozen=True):
    """A closed type, where it stands, and the field names that are known at each place below it."""

    root: str
    """The place in sentences: ``data``."""
    known: Mapping[str, tuple[str, ...]]
    """Path below the root without indices (``.to.recipients``) to field names."""
    reserved: tuple[str, ...] = ()
    """Names that mean something in a later release, wherever they stand."""


def decode(decoder: msgspec.json.Decoder[_T], raw: bytes | msgspec.Raw, shape: Shape) -> _T | Refusal:
    """``raw`` as the decoder's type. ``raw`` must have passed :func:`schemas.wire.strict_json.refusal`."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        return explain(str(error), shape)


def convert(value: Mapping[str, Any], kind: type[_T], shape: Shape) -> _T | Refusal:
    """A mapping (headers) as ``kind``."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return explain(str(error), shape)


def explain(sentence: str, shape: Shape) -> Refusal:
    """The refusal behind a sentence of msgspec's about a value."""
    if match := _UNKNOWN.match(sentence):
        return _unknown(match[1], _place(match[2]), shape)
    if match := _MISSING.match(sentence):
        where = _full(shape.root, f"{_place(match[2])}.{match[1]}")
        return Refusal(Reason.MISSING_FIELD, f"{where} is missing: it is required.")
    match = _SHAPE.match(sentence)
    wanted, path = (match[1], match[2]) if match else ("another shape", None)
    wanted = _PYTHON_WORD.sub(lambda word: _JSON_WORDS[word[0]], wanted)
    return Refusal(Reason.INVALID_FIELD, f"{_full(shape.root, _place(path))} has the wrong type: expected {wanted}.")


def _unknown(name: str, place: str, shape: Shape) -> Refusal:
    where = _full(shape.root, place)
    if name in shape.reserved:
        return Refusal(
            Reason.NOT_SUPPORTED, f"{echo(name)} in {where} is reserved for a later release: leave it out for now."
        )
    known = shape.known.get(re.sub(r"\[[^]]*\]", "", place), ())
    return Refusal(Reason.UNKNOWN_FIELD, f"{where} has no field {echo(name)}{suggestion(name, known)}")


def _place(path: str | None) -> str:
    return "" if path is None else path.removeprefix("$")


def _full(root: str, place: str) -> str:
    return f"{root}{place}".removeprefix(".") or "the event"
