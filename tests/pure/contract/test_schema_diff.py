"""What a change of a schema is called, and whom it breaks: a table, and the properties that make the table plausible."""

import copy
from typing import Any, Final

import msgspec
import pytest

from schemas.contract.compatibility import differences
from schemas.contract.json_schema import documents

Schema = dict[str, Any]

OBJECT: Final[Schema] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 10},
        "state": {"enum": ["on", "off"]},
        "size": {"type": "integer"},
    },
    "required": ["name"],
    "additionalProperties": False,
}
OPEN: Final[Schema] = {key: value for key, value in OBJECT.items() if key != "additionalProperties"}


def field(**changed: Any) -> Schema:
    """The closed object with these properties replaced; None removes one."""
    properties = OBJECT["properties"] | changed
    return OBJECT | {"properties": {name: held for name, held in properties.items() if held is not None}}


W, R, BOTH, NOBODY = {"writer"}, {"reader"}, {"writer", "reader"}, set[str]()

ROWS: Final[dict[str, tuple[Schema, Schema, list[tuple[str, str, set[str]]]]]] = {
    "the same": (OBJECT, OBJECT, []),
    "another description": (OBJECT, OBJECT | {"description": "x", "title": "y", "$comment": "z"}, []),
    "a field that is required now": (OBJECT, OBJECT | {"required": ["name", "size"]}, [("size", "is required now", W)]),
    "a field that may be missing now": (OBJECT, OBJECT | {"required": []}, [("name", "may be missing now", R)]),
    "a new required field": (
        OBJECT,
        field(age={"type": "integer"}) | {"required": ["name", "age"]},
        [("age", "is new and unknown to the old schema", R), ("age", "is required now", W)],
    ),
    "a new field of a closed object": (OBJECT, field(x={}), [("x", "is new and unknown to the old schema", R)]),
    "a new field of an open object": (
        OPEN,
        OPEN | {"properties": OPEN["properties"] | {"x": {}}},
        [("x", "is new", NOBODY)],
    ),
    "a field that is gone, closed": (
        OBJECT,
        field(size=None),
        [("size", "is gone, and unknown fields are refused", BOTH)],
    ),
    "a field that is gone, open": (
        OPEN,
        OPEN | {"properties": {"name": OPEN["properties"]["name"]}},
        [("size", "is gone", R), ("state", "is gone", R)],
    ),
    "a required field that is gone": (
        OPEN,
        OPEN | {"properties": {k: v for k, v in OPEN["properties"].items() if k != "name"}, "required": []},
        [("name", "is gone", R)],
    ),
    "closed": (OPEN, OBJECT, [("", "takes no fields any more but those that are named", W)]),
    "opened": (OBJECT, OPEN, [("", "takes fields that are not named", R)]),
    "an enum that shrinks": (OBJECT, field(state={"enum": ["on"]}), [("state", 'may not be "off" any more', W)]),
    "an enum that grows": (OBJECT, field(state={"enum": ["on", "off", "x"]}), [("state", 'may be "x" now', R)]),
    "an enum that becomes a const": (OBJECT, field(state={"const": "on"}), [("state", 'may not be "off" any more', W)]),
    "an enum that is new": (
        OBJECT,
        field(name={"type": "string", "maxLength": 10, "enum": ["a"]}),
        [("name", 'must be one of "a" now', W)],
    ),
    "an enum that is gone": (
        OBJECT,
        field(state={"type": "string"}),
        [("state", 'may be anything now, not only "on", "off"', R)],
    ),
    "a limit that falls": (
        OBJECT,
        field(name={"type": "string", "maxLength": 9}),
        [("name", "maxLength falls from 10 to 9", W)],
    ),
    "a limit that rises": (
        OBJECT,
        field(name={"type": "string", "maxLength": 11}),
        [("name", "maxLength rises from 10 to 11", R)],
    ),
    "a limit that is new": (OBJECT, field(size={"type": "integer", "minimum": 0}), [("size", "minimum 0 is new", W)]),
    "a limit that is gone": (OBJECT, field(name={"type": "string"}), [("name", "maxLength 10 is gone", R)]),
    "a lower limit that rises": ({"minItems": 1}, {"minItems": 2}, [("", "minItems rises from 1 to 2", W)]),
    "a lower limit that falls": ({"minItems": 2}, {"minItems": 1}, [("", "minItems falls from 2 to 1", R)]),
    "another type": (
        OBJECT,
        field(size={"type": "string"}),
        [("size", "may be string now", R), ("size", "may not be integer any more", W)],
    ),
    "a wider number": (OBJECT, field(size={"type": "number"}), [("size", "may be number now", R)]),
    "a narrower number": ({"type": "number"}, {"type": "integer"}, [("", "may not be number any more", W)]),
    "nullable": (
        OBJECT,
        field(size={"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        [("size", "may be null now", R)],
    ),
    "no longer nullable": ({"type": ["string", "null"]}, {"type": "string"}, [("", "may not be null any more", W)]),
    "two ways to write nullable": ({"type": ["string", "null"]}, {"anyOf": [{"type": "null"}, {"type": "string"}]}, []),
    "a type that is new": ({}, {"type": "string"}, [("", "must be string now, it could be anything", W)]),
    "a type that is gone": ({"type": "string"}, {}, [("", "may be anything now, not only string", R)]),
    "a pattern that is new": (
        {"type": "string"},
        {"type": "string", "pattern": "^a"},
        [("", 'pattern "^a" is new', W)],
    ),
    "a pattern that is gone": (
        {"type": "string", "pattern": "^a"},
        {"type": "string"},
        [("", 'pattern "^a" is gone', R)],
    ),
    "another pattern": (
        {"type": "string", "pattern": "^a"},
        {"type": "string", "pattern": "^b"},
        [("", 'pattern changes from "^a" to "^b"', BOTH)],
    ),
    "another default": ({"default": 1}, {"default": 2}, [("", "means 2 where it is left out, it meant 1", BOTH)]),
    "a first default": ({}, {"default": 2}, [("", "means 2 where it is left out", NOBODY)]),
    "a default that its limit refuses": ({"default": [], "minItems": 1}, {"minItems": 1}, []),
    "deprecated": ({}, {"deprecated": True}, [("", "is deprecated", NOBODY)]),
    "items": (
        {"type": "array", "items": {"type": "string", "maxLength": 5}},
        {"type": "array", "items": {"type": "string", "maxLength": 4}},
        [("[]", "maxLength falls from 5 to 4", W)],
    ),
    "values by any name": (
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        [("*", "may be integer now", R), ("*", "may not be string any more", W)],
    ),
    "a keyword that is not compared": (
        {"oneOf": [{"required": ["a"]}]},
        {"oneOf": [{"required": ["b"]}]},
        [("", "oneOf differs: it is not compared in detail, so take it for a break", BOTH)],
    ),
    "behind a reference": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "string", "maxLength": 5}}},
        {"$ref": "#/$defs/B", "$defs": {"B": {"type": "string", "maxLength": 4}}},
        [("", "maxLength falls from 5 to 4", W)],
    ),
    "an alternative that is new": (
        {"anyOf": [{"type": "object", "title": "A"}, {"type": "object", "title": "B"}]},
        {
            "anyOf": [
                {"type": "object", "title": "A"},
                {"type": "object", "title": "B"},
                {"type": "object", "title": "C"},
            ]
        },
        [("", "may be object C now", R)],
    ),
    "a reference in a circle": (
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A", "maxLength": 2}}},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A", "maxLength": 1}}},
        [("", "maxLength falls from 2 to 1", W)],
    ),
    "a tree": (
        {
            "$ref": "#/$defs/T",
            "$defs": {
                "T": {"type": "object", "properties": {"left": {"$ref": "#/$defs/T"}, "size": {"type": "integer"}}}
            },
        },
        {
            "$ref": "#/$defs/T",
            "$defs": {
                "T": {"type": "object", "properties": {"left": {"$ref": "#/$defs/T"}, "size": {"type": "string"}}}
            },
        },
        [
            ("size", "may be string now", R),
            ("size", "may not be integer any more", W),
        ],
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_change_has_a_sentence_and_breaks_who_it_breaks(
    row: tuple[Schema, Schema, list[tuple[str, str, set[str]]]],
) -> None:
    """Place, sentence, and who has to do something."""
    old, new, wanted = row
    assert [(found.place, found.sentence, set(found.breaks)) for found in differences(old, new)] == wanted


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_who_breaks_one_way_is_safe_the_other(row: tuple[Schema, Schema, list[tuple[str, str, set[str]]]]) -> None:
    """What takes less forwards takes more backwards; a field that comes or goes is the exception, and so are sentences."""
    old, new, _ = row
    forwards = {
        (found.place, end) for found in differences(old, new) for end in found.breaks if "gone" not in found.sentence
    }
    backwards = {(found.place, end) for found in differences(new, old) for end in found.breaks}
    other = {"writer": "reader", "reader": "writer"}
    fields = {found.place for found in differences(old, new) if found.sentence.startswith("is ")}
    assert {(place, other[end]) for place, end in forwards if place not in fields} <= backwards


def test_our_own_schemas_are_what_they_are() -> None:
    """No document differs from itself, and each field that is taken away from one is missed at its place."""
    for name, text in documents().items():
        document = msgspec.json.decode(text)
        if "$defs" not in document:
            continue
        assert differences(document, copy.deepcopy(document)) == [], name
    old = msgspec.json.decode(documents()["notification.v1.json"])
    new = copy.deepcopy(old)
    del new["$defs"]["Recipient"]["properties"]["locale"]
    new["$defs"]["NotificationEvent"]["required"].append("subject")
    assert [(found.place, found.sentence) for found in differences(old, new)] == [
        ("data.to.recipients[].locale", "is gone, and unknown fields are refused"),
        ("subject", "is required now"),
    ]
