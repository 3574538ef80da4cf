"""Reads JSON that a newer release may have written into a type that refuses unknown fields in what people write.

People make spelling mistakes, and machines do not: a field that a person writes and nobody knows is a fault, one that a newer
release has written is one that this release does without (PROTOCOL.md section 9.2).
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

_T = TypeVar("_T")


def reader_of(shape: type[_T] | Any) -> Callable[[bytes], _T]:
    """Returns what decodes ``shape`` and leaves out fields that it does not have; that raises ``msgspec.MsgspecError``.

    Kinds of a tagged union that this release does not know are refused all the same: nothing is left of them.
    """
    described = inspect.type_info(shape)

    def read(value: bytes) -> _T:
        found: _T = msgspec.convert(_known(msgspec.json.decode(value), described), shape)
        return found

    return read


def _known(raw: Any, shape: inspect.Type) -> Any:
    match shape:
        case inspect.UnionType(types=types):
            return _known(raw, _tagged(raw, types)) if isinstance(raw, Mapping) else raw
        case inspect.StructType(fields=fields) if isinstance(raw, Mapping):
            known = {field.encode_name: field.type for field in fields}
            kept = {name: _known(value, known[name]) for name, value in raw.items() if name in known}
            return kept | ({shape.tag_field: raw.get(shape.tag_field)} if shape.tag_field else {})
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item) if isinstance(raw, list):
            return [_known(one, item) for one in raw]
        case _:
            return raw


def _tagged(raw: Mapping[str, Any], types: tuple[inspect.Type, ...]) -> inspect.Type:
    """Returns the member of a union that an object is by its tag; the first, which will refuse it, if it is none."""
    structs = [one for one in types if isinstance(one, inspect.StructType)]
    return next((one for one in structs if one.tag_field and raw.get(one.tag_field) == one.tag), types[0])
