"""Compares two JSON Schemas (2020-12) and tells whom each change breaks: a sentence for each, with its place. Pure.

A schema is a promise with two ends. Who *writes* documents (a producer of events) breaks when fewer are taken than before; who
*reads* them (a consumer of statuses) breaks when more may come than before. Properties are the exception: readers ignore what
they do not know, so a new one breaks nobody unless the old schema closed the object, and one that is gone breaks its readers.

Keywords that are not compared here (``oneOf``, ``not``, ``if``, ...) break both ends if they differ at all.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from schemas.contract.compatibility_rules import (
    Change,
    both,
    defaults,
    limits,
    nobody,
    opaque,
    patterns,
    reader,
    values,
    writer,
)

Schema: TypeAlias = dict[str, Any]


class _Pair(NamedTuple):
    """Two schemas for the same place."""

    place: str
    old: Schema
    new: Schema


_EVERYTHING: Final[Schema] = {}
_NOTHING: Final[Schema] = {"not": {}}


def differences(old: Schema, new: Schema) -> list[Change]:
    """Every change from ``old`` to ``new``, in the order of places. ``$ref`` is followed within each document."""
    return sorted(_Comparison(old, new).changes(), key=lambda change: (change.place, change.sentence))


class _Comparison:
    """Walks two documents side by side; a pair of references is not walked again inside itself."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        self._inside: set[tuple[str, str]] = set()

    def changes(self) -> Iterator[Change]:
        """All of them."""
        yield from self._compare("", self._old, self._new)

    def _compare(self, place: str, old: Any, new: Any) -> Iterator[Change]:
        refs = (_ref(old) or "", _ref(new) or "")
        if all(refs) and refs in self._inside:
            return
        self._inside.add(refs)
        befores, afters = _variants(old, self._old), _variants(new, self._new)
        yield from _kinds(place, befores, afters)
        for kind in befores.keys() & afters.keys():
            yield from self._same_kind(_Pair(place, befores[kind], afters[kind]))
        self._inside.discard(refs)

    def _same_kind(self, pair: _Pair) -> Iterator[Change]:
        for keywords in (values, limits, patterns, defaults, opaque):
            yield from keywords(pair.place, pair.old, pair.new)
        yield from self._properties(pair)
        yield from _required(pair)
        yield from self._rest(pair)
        if "items" in pair.old or "items" in pair.new:
            items = (pair.old.get("items", _EVERYTHING), pair.new.get("items", _EVERYTHING))
            yield from self._compare(f"{pair.place}[]", *items)

    def _properties(self, pair: _Pair) -> Iterator[Change]:
        old, new = pair.old.get("properties", {}), pair.new.get("properties", {})
        for name in old.keys() | new.keys():
            place = f"{pair.place}.{name}".removeprefix(".")
            if name in old and name in new:
                yield from self._compare(place, old[name], new[name])
            elif name in new:
                closed = pair.old.get("additionalProperties") is False
                yield (reader if closed else nobody)(
                    place, f"is new{' and unknown to the old schema' if closed else ''}"
                )
            elif pair.new.get("additionalProperties") is False:
                yield both(place, "is gone, and unknown fields are refused")
            else:
                yield reader(place, "is gone")

    def _rest(self, pair: _Pair) -> Iterator[Change]:
        """Fields that are not named."""
        old = pair.old.get("additionalProperties", True)
        new = pair.new.get("additionalProperties", True)
        if old == new and not isinstance(old, dict):
            return
        if new is False:
            yield writer(pair.place, "takes no fields any more but those that are named")
        elif old is False:
            yield reader(pair.place, "takes fields that are not named")
        else:
            yield from self._compare(f"{pair.place}.*".removeprefix("."), _schema(old), _schema(new))


def _required(pair: _Pair) -> Iterator[Change]:
    old, new = set(pair.old.get("required", ())), set(pair.new.get("required", ()))
    for name in old ^ new:
        place = f"{pair.place}.{name}".removeprefix(".")
        if name in new:
            yield writer(place, "is required now")
        elif name in pair.new.get("properties", {}):
            yield reader(place, "may be missing now")


def _kinds(place: str, old: dict[str, Schema], new: dict[str, Schema]) -> Iterator[Change]:
    """Types, or alternatives, that came or went. No type stands for all."""
    if old.keys() == new.keys():
        return
    if "anything" in new:
        yield reader(place, f"may be anything now, not only {_listed(old)}")
    elif "anything" in old:
        yield writer(place, f"must be {_listed(new)} now, it could be anything")
    else:
        for kind in sorted(old.keys() - new.keys()):
            wider = kind == "integer" and "number" in new
            if not wider:
                yield writer(place, f"may not be {kind} any more")
        for kind in sorted(new.keys() - old.keys()):
            narrower = kind == "integer" and "number" in old
            if not narrower:
                yield reader(place, f"may be {kind} now")


def _listed(kinds: dict[str, Schema]) -> str:
    return " or ".join(sorted(kinds))


def _variants(schema: Any, root: Schema) -> dict[str, Schema]:
    """The alternatives of a schema by the type that each takes; by title, too, where two are of one type."""
    flat = list(_flattened(schema, root))
    types = [kind for kind, _ in flat]
    return {
        f"{kind} {each.get('title', position)}" if types.count(kind) > 1 else kind: each
        for position, (kind, each) in enumerate(flat)
    }


def _flattened(schema: Any, root: Schema) -> Iterator[tuple[str, Schema]]:
    schema = _followed(_schema(schema), root)
    if "anyOf" in schema:
        beside = {keyword: held for keyword, held in schema.items() if keyword != "anyOf"}
        for alternative in schema["anyOf"]:
            yield from _flattened({**beside, **_schema(alternative)}, root)
        return
    kinds = schema.get("type", _implied(schema))
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield kind, schema


def _followed(schema: Schema, root: Schema) -> Schema:
    """The schema with what its ``$ref`` points to; a reference in a circle says nothing."""
    seen: set[str] = set()
    while (ref := _ref(schema)) is not None and ref not in seen:
        seen.add(ref)
        beside = {keyword: held for keyword, held in schema.items() if keyword != "$ref"}
        schema = {**beside, **_schema(_resolved(ref, root))}
    return schema


def _implied(schema: Schema) -> list[str]:
    """The types of the values that are listed, for a schema that names none."""
    if "const" not in schema and "enum" not in schema:
        return ["anything"]
    held = [schema["const"]] if "const" in schema else schema["enum"]
    return sorted({_TYPES[type(value)] for value in held})


_TYPES: Final = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}


def _ref(schema: Any) -> str | None:
    return schema.get("$ref") if isinstance(schema, dict) else None


def _resolved(ref: str, root: Schema) -> Any:
    """Returns the schema that a reference within the document points to; an empty one where it points to nothing."""
    here: Any = root
    for step in ref.removeprefix("#").split("/")[1:]:
        here = here.get(step.replace("~1", "/").replace("~0", "~"), _NOTHING) if isinstance(here, dict) else _NOTHING
    return here


def _schema(value: Any) -> Schema:
    if isinstance(value, dict):
        return value
    return _NOTHING if value is False else _EVERYTHING
