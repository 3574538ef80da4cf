"""Reads JSON that somebody else wrote: within limits, and as a closed type with everything that does not fit at its place.

*Limits.* Every parser lets something through: the standard one keeps the last of duplicate keys and takes NaN and lone
surrogates, msgspec recurses without a bound of its own (observed on msgspec 0.22). So a text passes, in this order: size,
strict UTF-8, nesting, syntax with duplicate keys and numbers, surrogates. Only then a typed decoder sees it. A text that a typed
decoder proves to be within the limits need not be looked at again (``schemas/wire/envelope.py``).

*Shape.* A sound value costs one typed decode. Only where that fails is the untyped value walked beside the type, in the order in
which it was written: an unknown field, a value of another type, and at the end of an object the fields that it lacks.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar

import msgspec
from msgspec import inspect

from schemas.reasons import Reason, Refusal
from schemas.wire.text import echo, suggestion

MAX_DEPTH: Final = 32
"""Levels of objects and arrays. The deepest request of ours has eight."""

I64: Final = range(-(2**63), 2**63)
"""Integers that a text may hold."""
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
    if too_deep(raw):
        return _invalid(f"it nests deeper than {MAX_DEPTH} levels")
    try:
        _STRICT.decode(text)
        if "\\u" in text:
            msgspec.json.decode(raw)
    except _RefusedError as error:
        return _invalid(str(error))
    except json.JSONDecodeError as error:
        # From Python 3.13 on, the place of a comma too many is the comma's own, and no more that of what follows it.
        after_comma = error.msg.startswith("Illegal trailing comma")
        return _invalid(f"it breaks off at character {error.pos + after_comma}")
    except msgspec.DecodeError:
        return _invalid("it holds half of a surrogate pair")
    return None


def too_large(size: int, max_bytes: int) -> Refusal:
    """The refusal of a text of ``size`` bytes."""
    return Refusal(Reason.TOO_LARGE, f"{size} bytes; at most {max_bytes} are taken: split it into several events.")


def _invalid(what: str) -> Refusal:
    return Refusal(Reason.INVALID_JSON, f"This is not JSON that can be read: {what}; send strict JSON in UTF-8.")


def too_deep(raw: bytes) -> bool:
    """Return whether brackets outside strings nest deeper than allowed; counts first, because that nearly always suffices."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    outside = b"".join(raw.split(b'"')[::2]) if b"\\" not in raw else _STRINGS.sub(b"", raw)
    brackets = outside.translate(None, _ALL_BUT_BRACKETS)
    rest = brackets
    # Each round takes away the innermost pairs, two levels at the most: what is used up by then is not too deep.
    for _ in range(MAX_DEPTH // 2):
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
    return bool(rest) and _is_beyond(brackets)


def _is_beyond(brackets: bytes) -> bool:
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _no_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) != len(pairs):
        raise _RefusedError("a key stands twice in one object")


def _integer(digits: str) -> int:
    if len(digits) > _NUMBER_CHARS or (number := int(digits)) not in I64:
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


_T = TypeVar("_T")

_WORDS: Final = (
    (inspect.StrType, str, "string"),
    (inspect.BoolType, bool, "boolean"),
    (inspect.IntType, int, "integer"),
    (inspect.FloatType, float, "number"),
    (inspect.NoneType, type(None), "null"),
    (inspect.VarTupleType, list, "array"),
    (inspect.StructType, dict, "object"),
    (inspect.DictType, dict, "object"),
)
"""Types as msgspec knows them, the Python type of their JSON, and the word that producers have for it."""


class Place(NamedTuple):
    """Where something stands in an event. It is put into words where something is wrong: every recipient has a place."""

    holder: "Place | None" = None
    """None: this is the whole event."""
    step: str | int = ""
    """The field of an object, or the position in an array."""
    is_own: bool = False
    """The field is a producer's own name, which a sentence does not repeat."""

    def field(self, name: str) -> "Place":
        """Return the place of a field of the object here."""
        return Place(self, name)

    def item(self, position: int) -> "Place":
        """Return the place of an element of the array here."""
        return Place(self, position)

    def named(self, name: str) -> "Place":
        """Return the place of a value under a producer's own name."""
        return Place(self, name, is_own=True)

    @property
    def pointer(self) -> str:
        """Return the place as a JSON pointer (RFC 6901)."""
        return "" if self.holder is None else f"{self.holder.pointer}/{_escaped(str(self.step))}"

    @property
    def dotted(self) -> str:
        """Return the place as sentences write it (``data.to.list``)."""
        if self.holder is None:
            return ""
        if self.is_own:
            return f"{self.holder.dotted}[...]"
        if isinstance(self.step, int):
            return f"{self.holder.dotted}[{self.step}]"
        return f"{self.holder.dotted}.{self.step}".removeprefix(".")

    def __str__(self) -> str:
        return self.dotted or "the event"


DATA: Final = Place().field("data")


class Shape(Generic[_T]):
    """A closed type and where its values stand."""

    def __init__(self, kind: type[_T], root: Place, reserved: tuple[str, ...] = ()) -> None:
        self._kind = kind
        self._type = inspect.type_info(kind)
        self._decoder = msgspec.json.Decoder(kind)
        self._root = root
        self._reserved = reserved
        """Names that mean something in a later release, wherever they stand."""

    def decode(self, raw: bytes | msgspec.Raw) -> _T:
        """Return the value in ``raw``; raises ``msgspec.ValidationError``: then :meth:`faults` says everything about it."""
        return self._decoder.decode(raw)

    def read(self, raw: bytes | msgspec.Raw) -> Iterator[_T | Refusal]:
        """Yield the value in ``raw``, or everything that does not fit. ``raw`` must be JSON within the limits."""
        try:
            yield self._decoder.decode(raw)
        except msgspec.ValidationError:
            yield from self.faults(msgspec.json.decode(raw))

    def convert(self, fields: Mapping[str, Any]) -> Iterator[_T | Refusal]:
        """Yield a mapping (headers) as the type, or everything that does not fit."""
        try:
            yield msgspec.convert(fields, self._kind)
        except msgspec.ValidationError:
            yield from self.faults(dict(fields))

    def faults(self, value: Any) -> Iterator[Refusal]:
        """Yield everything in an untyped value that does not fit, in the order in which it stands there."""
        return self._walk(value, self._type, self._root)

    def _walk(self, value: Any, kind: inspect.Type, place: Place) -> Iterator[Refusal]:
        kind = kind.type if isinstance(kind, inspect.Metadata) else kind
        kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
        match next((one for one in kinds if _fits(value, one)), None):
            case None:
                yield _wrong_type(place, kinds, value)
            case inspect.StructType() as struct:
                yield from self._fields(value, struct, place)
            case inspect.DictType() as mapping:
                for name, held in value.items():
                    yield from self._walk(held, mapping.value_type, place.named(name))
            case inspect.VarTupleType() as array:
                for position, held in enumerate(value):
                    yield from self._walk(held, array.item_type, place.item(position))
            case _:
                pass

    def _fields(self, value: dict[str, Any], struct: inspect.StructType, place: Place) -> Iterator[Refusal]:
        known = {field.encode_name: field for field in struct.fields}
        for name, held in value.items():
            if name in known:
                yield from self._walk(held, known[name].type, place.field(name))
            else:
                yield self._unknown(name, place, known)
        for name, field in known.items():
            if field.required and name not in value:
                where = place.field(name)
                yield Refusal(Reason.MISSING_FIELD, f"{where} is missing: it is required.", place=where.pointer)

    def _unknown(self, name: str, holder: Place, known: Mapping[str, object]) -> Refusal:
        pointer = holder.named(name).pointer
        if name in self._reserved:
            sentence = f"{echo(name)} in {holder} is reserved for a later release: leave it out for now."
            return Refusal(Reason.NOT_SUPPORTED, sentence, place=pointer)
        sentence = f"{holder} has no field {echo(name)}{suggestion(name, known)}"
        return Refusal(Reason.UNKNOWN_FIELD, sentence, place=pointer)


def _fits(value: Any, kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.RawType | inspect.AnyType):
        return True
    return any(isinstance(kind, held) and type(value) is native for held, native, _ in _WORDS)


def _wrong_type(place: Place, kinds: tuple[inspect.Type, ...], value: Any) -> Refusal:
    wanted = " | ".join(word for one in kinds for held, _, word in _WORDS if isinstance(one, held))
    got = next(word for _, native, word in _WORDS if type(value) is native)
    sentence = f"{place} has the wrong type: expected `{wanted}`, got `{got}`."
    return Refusal(Reason.INVALID_FIELD, sentence, place=place.pointer)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
