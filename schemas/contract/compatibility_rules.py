"""Changes of single keywords of a JSON Schema: values, limits, patterns, defaults, and what is not compared."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

Schema = dict[str, Any]

WRITER: Final = "writer"
READER: Final = "reader"

_LOWER: Final = ("minLength", "minItems", "minProperties", "minContains", "minimum", "exclusiveMinimum")
_UPPER: Final = ("maxLength", "maxItems", "maxProperties", "maxContains", "maximum", "exclusiveMaximum")
_PATTERNS: Final = ("pattern", "format", "multipleOf", "contentEncoding", "contentMediaType")
_COMPARED: Final = frozenset(
    {*_LOWER, *_UPPER, *_PATTERNS, "type", "const", "enum", "default", "properties", "required", "items", "anyOf"}
    | {"additionalProperties", "$ref", "$defs", "$schema", "$id", "$comment"}
    | {"title", "description", "examples", "deprecated", "readOnly", "writeOnly"}
)


class Change(msgspec.Struct, frozen=True):
    """Holds one change. ``place`` is a dotted path (``data.to.recipients[].address``), empty for the whole document."""

    place: str
    sentence: str
    breaks: frozenset[str]
    """``writer``, ``reader``, both or none."""


def writer(place: str, sentence: str) -> Change:
    """Fewer documents are taken."""
    return Change(place, sentence, frozenset({WRITER}))


def reader(place: str, sentence: str) -> Change:
    """More documents may come."""
    return Change(place, sentence, frozenset({READER}))


def both(place: str, sentence: str) -> Change:
    """Other documents than before."""
    return Change(place, sentence, frozenset({WRITER, READER}))


def nobody(place: str, sentence: str) -> Change:
    """Nobody has to do anything."""
    return Change(place, sentence, frozenset())


def values(place: str, old: Schema, new: Schema) -> Iterator[Change]:
    """``const`` and ``enum``."""
    before, after = _listed(old), _listed(new)
    if before is None and after is not None:
        yield writer(place, f"must be one of {_said(after)} now")
    elif before is not None and after is None:
        yield reader(place, f"may be anything now, not only {_said(before)}")
    elif before is not None and after is not None:
        yield from _members(place, before, after)


def _members(place: str, before: list[Any], after: list[Any]) -> Iterator[Change]:
    if gone := [value for value in before if value not in after]:
        yield writer(place, f"may not be {_said(gone)} any more")
    if came := [value for value in after if value not in before]:
        yield reader(place, f"may be {_said(came)} now")


def limits(place: str, old: Schema, new: Schema) -> Iterator[Change]:
    """Everything with a number: a lower one that rises and an upper one that falls take less."""
    for keyword in (*_LOWER, *_UPPER):
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        if after is None:
            yield reader(place, f"{keyword} {before} is gone")
        elif before is None:
            yield writer(place, f"{keyword} {after} is new")
        elif (after > before) == (keyword in _LOWER):
            yield writer(place, f"{keyword} {_moves(before, after)}")
        else:
            yield reader(place, f"{keyword} {_moves(before, after)}")


def patterns(place: str, old: Schema, new: Schema) -> Iterator[Change]:
    """Conditions on a value of which it cannot be said which takes more; ``uniqueItems`` counts as one."""
    for keyword in (*_PATTERNS, "uniqueItems"):
        before, after = old.get(keyword) or None, new.get(keyword) or None
        if before == after:
            continue
        if after is None:
            yield reader(place, f"{keyword} {_one(before)} is gone")
        elif before is None:
            yield writer(place, f"{keyword} {_one(after)} is new")
        else:
            yield both(place, f"{keyword} changes from {_one(before)} to {_one(after)}")


def defaults(place: str, old: Schema, new: Schema) -> Iterator[Change]:
    """Yields the changes of defaults: what is meant by leaving a field out."""
    before, after = _default(old), _default(new)
    if before and before != after:
        yield both(
            place, f"means {_one(after.get('default'))} where it is left out, it meant {_one(before['default'])}"
        )
    elif after and not before:
        yield nobody(place, f"means {_one(after['default'])} where it is left out")
    if new.get("deprecated") and not old.get("deprecated"):
        yield nobody(place, "is deprecated")


def _default(schema: Schema) -> Schema:
    """Returns the default under its keyword; nothing if the schema's own limit refuses it, for nobody can mean that."""
    held = schema.get("default")
    refused = isinstance(held, list) and len(held) < schema.get("minItems", 0)
    return {} if refused or "default" not in schema else {"default": held}


def opaque(place: str, old: Schema, new: Schema) -> Iterator[Change]:
    """Keywords that are not compared: any difference breaks everybody."""
    for keyword in sorted((old.keys() | new.keys()) - _COMPARED - {"uniqueItems"}):
        if old.get(keyword) != new.get(keyword):
            yield both(place, f"{keyword} differs: it is not compared in detail, so take it for a break")


def _listed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    held: list[Any] | None = schema.get("enum")
    return held


def _moves(before: float, after: float) -> str:
    return f"{'rises' if after > before else 'falls'} from {before} to {after}"


def _said(held: list[Any]) -> str:
    return ", ".join(map(_one, held))


def _one(value: Any) -> str:
    return msgspec.json.encode(value).decode()
