"""The fields of a JSON Schema as rows of a table: path, type, limits, and what it means."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from schemas.contract.descriptions import DESCRIPTIONS

Document = dict[str, Any]

_LIMITS: Final = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} fields",
    "minimum": "from {}",
    "maximum": "to {}",
    "pattern": "matches {}",
}


class Field(msgspec.Struct, frozen=True):
    """One row. ``path`` is dotted, with ``[]`` after an array and ``*`` for any name."""

    path: str
    type: str
    required: bool
    limits: tuple[str, ...]
    about: str


def fields(schema: Document, root: Document) -> Iterator[Field]:
    """Every field below ``schema``, in the order of the types. References point into ``root``."""
    yield from _below(schema, root, "", frozenset())


def _below(schema: Document, root: Document, path: str, inside: frozenset[str]) -> Iterator[Field]:
    for alternative in _alternatives(schema, root):
        if alternative.get("title", "") in inside:
            continue
        deeper = inside | {alternative["title"]} if "title" in alternative else inside
        yield from _named(alternative, root, path, deeper)
        rest = alternative.get("additionalProperties")
        if isinstance(rest, dict):
            yield from _below(rest, root, f"{path}.*".removeprefix("."), deeper)
        if "items" in alternative:
            yield from _below(alternative["items"], root, f"{path}[]", deeper)


def _named(schema: Document, root: Document, path: str, inside: frozenset[str]) -> Iterator[Field]:
    required = set(schema.get("required", ()))
    properties = schema.get("properties", {})
    for name in sorted(properties, key=_order(schema)):
        held, here = properties[name], f"{path}.{name}".removeprefix(".")
        limits = tuple(_limits(held, root))
        yield Field(here, type_of(held, root), name in required, limits, _about(held, root))
        yield from _below(held, root, here, inside)


def _order(schema: Document) -> Callable[[str], tuple[int, str]]:
    """As the type has its fields: the schemas have theirs by the alphabet."""
    known = list(DESCRIPTIONS.get(schema.get("title", ""), ()))
    return lambda name: (known.index(name) if name in known else -1, name)


def _about(schema: Document, root: Document) -> str:
    """Its own sentence, else that of what it refers to."""
    own: str = schema.get("description", "")
    return own or next((str(each["description"]) for each in _alternatives(schema, root) if "description" in each), "")


def type_of(schema: Document, root: Document) -> str:
    """The type as people say it: ``string or null``, ``array of object``."""
    return " or ".join(dict.fromkeys(_type(each, root) for each in _alternatives(schema, root)))


def _type(schema: Document, root: Document) -> str:
    kind = schema.get("type", "string" if "const" in schema or "enum" in schema else "anything")
    if kind == "array" and "items" in schema:
        return f"array of {type_of(schema['items'], root)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'], root)}"
    return str(kind)


def _limits(schema: Document, root: Document) -> Iterator[str]:
    for each in _alternatives(schema, root):
        if "const" in each:
            yield f"always {_said(each['const'])}"
        if "enum" in each:
            yield "one of " + ", ".join(map(_said, each["enum"]))
        yield from (_plural(text, each[keyword]) for keyword, text in _LIMITS.items() if keyword in each)
    if schema.get("default") not in (None, "", {}, []):
        yield f"{_said(schema['default'])} if left out"


def _plural(text: str, count: Any) -> str:
    return text.format(count).removesuffix("s" if count == 1 else "")


def _alternatives(schema: Document, root: Document) -> Iterator[Document]:
    schema = _followed(schema, root)
    if "anyOf" not in schema:
        yield schema
        return
    for alternative in schema["anyOf"]:
        yield from _alternatives(alternative, root)


def _followed(schema: Document, root: Document) -> Document:
    while "$ref" in schema:
        here: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            here = here[step]
        schema = here
    return schema


def _said(value: Any) -> str:
    return msgspec.json.encode(value).decode()
