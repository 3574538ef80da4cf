"""Limits on JSON that somebody else wrote, checked before it is taken apart.

Every parser lets something through: the standard one keeps the last of duplicate keys and takes NaN and lone surrogates,
msgspec recurses without a bound of its own (observed on msgspec 0.22). So a text passes, in this order: size,
strict UTF-8, nesting, syntax with duplicate keys and numbers, surrogates. Only then a typed decoder sees it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from schemas.reasons import Reason, Refusal
from schemas.wire.text import echo, suggestion

MAX_DEPTH: Final = 32
"""Levels of objects and arrays. The deepest request of ours has eight."""

_I64: Final = range(-(2**63), 2**63)
_NUMBER_CHARS: Final = 32
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class _RefusedError(Exception):
    """Raised by the hooks of the standard parser, caught in :func:`refusal`."""


def refusal(raw: bytes, max_bytes: int) -> Refusal | None:
    """Why ``raw`` is not taken as JSON, or None. Costs about 10 µs a kilobyte; the sentence never repeats content."""
    if len(raw) > max_bytes:
        return too_large(len(raw), max_bytes)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return _invalid(f"byte {error.start} is not UTF-8")
    if _too_deep(raw):
        return _invalid(f"it nests deeper than {MAX_DEPTH} levels")
    try:
        _STRICT.decode(text)
        if "\\u" in text:
            msgspec.json.decode(raw)
    except _RefusedError as error:
        return _invalid(str(error))
    except json.JSONDecodeError as error:
        return _invalid(f"it breaks off at character {error.pos}")
    except msgspec.DecodeError:
        return _invalid("it holds half of a surrogate pair")
    return None


def too_large(size: int, max_bytes: int) -> Refusal:
    """The refusal of a text of ``size`` bytes."""
    return Refusal(Reason.TOO_LARGE, f"{size} bytes; at most {max_bytes} are taken: split it into several events.")


def _invalid(what: str) -> Refusal:
    return Refusal(Reason.INVALID_JSON, f"This is not JSON that can be read: {what}; send strict JSON in UTF-8.")


def _too_deep(raw: bytes) -> bool:
    """Returns whether brackets outside strings nest deeper than allowed; counts first, because that nearly always suffices."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _STRINGS.sub(b"", raw).translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _no_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) != len(pairs):
        raise _RefusedError("a key stands twice in one object")


def _integer(digits: str) -> int:
    if len(digits) > _NUMBER_CHARS or (number := int(digits)) not in _I64:
        raise _RefusedError("it holds an integer beyond 64 bits")
    return number


def _number(digits: str) -> float:
    if len(digits) > _NUMBER_CHARS or (number := float(digits)) in (float("inf"), float("-inf")):
        raise _RefusedError("it holds a number that is too long or too large")
    return number


def _constant(_name: str) -> NoReturn:
    raise _RefusedError("NaN and Infinity are no JSON")


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


# Typed decoding of what producers write: closed, and with refusals that name the place and the nearest known name.
#
# msgspec's sentences are translated here, once and totally: an unknown field, a missing field, or a field of another shape.

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
