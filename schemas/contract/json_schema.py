"""Generates JSON Schema 2020-12 for every JSON that crosses the border, and test vectors, for producers in other languages.

Generated from the types that decode and encode, so that they cannot say something else; ``python -m schemas.contract`` writes
them to ``schemas/generated`` and a test refuses drift. A schema is what to *write*: whatever it admits has a sound form for plan,
which also takes ``data_base64`` and judges what no schema can say (tenant, template, time).
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.billing import BILLING_TYPE, BilledCharge
from schemas.contract.descriptions import DESCRIPTIONS
from schemas.contract.vectors import vectors
from schemas.registry import PLANS, Entry
from schemas.request import (
    CONTROL_TYPE,
    MAX_ATTRIBUTE_CHARS,
    MAX_PARAM_CHARS,
    NOTIFICATION_TYPE,
    OPTIN_TYPE,
    STATUS_TYPE,
    Control,
    Notification,
    Optin,
)
from schemas.status import DeadLetter, Status
from schemas.wire.envelope import Envelope

Schema = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Final = {"minLength": 1, "maxLength": MAX_ATTRIBUTE_CHARS}
_INSTANT: Final = {"format": "date-time", "pattern": r"[0-9][Tt][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2})$"}

EVENT_NAMES: Final[Mapping[str, str]] = {
    NOTIFICATION_TYPE: "NotificationEvent",
    OPTIN_TYPE: "OptinEvent",
    CONTROL_TYPE: "ControlEvent",
}
"""Names of the envelope with the data of each type: generators make one class of definitions with one title."""

_ENVELOPE: Final[Mapping[str, Schema]] = {
    "id": _TEXT,
    "source": {**_TEXT, "pattern": "^//[^/]+/.+$"},
    "specversion": {"const": "1.0"},
    "time": _INSTANT,
}
_BOUNDS: Final[Mapping[tuple[str, str], Schema]] = {
    **{(name, field): bounds for name in EVENT_NAMES.values() for field, bounds in _ENVELOPE.items()},
    ("Business", "plan"): {"enum": list(PLANS)},
}
"""Bounds that the types do not state, by type and field; those of requests stand on their fields."""


_TARGETS: Final[Mapping[str, Schema]] = {
    "request": {"pattern": "^[A-Za-z2-7]{26}$"},
    "of": {},
    "subject": _TEXT,
}
"""Fields that say what a control event is about: exactly one of them is set."""

DEAD_LETTER_TITLE: Final = "fanfare dead letter"
WRITTEN_BY_FANFARE: Final = frozenset({STATUS_TYPE, BILLING_TYPE, DEAD_LETTER_TITLE})
"""Titles of the schemas of what Fanfare writes and others read; all else is written by businesses and operators."""


def documents() -> dict[str, bytes]:
    """Every generated document by its file name."""
    found = {
        "notification.v1.json": _event(NOTIFICATION_TYPE, Notification),
        "optin.v1.json": _event(OPTIN_TYPE, Optin),
        "control.v1.json": _event(CONTROL_TYPE, Control),
        "status.v1.json": _plain(STATUS_TYPE, Status),
        "charge.v1.json": _plain(BILLING_TYPE, BilledCharge),
        "dead-letter.json": _plain(DEAD_LETTER_TITLE, DeadLetter),
        "registry.json": _plain("fanfare registry entry", Entry),
        "vectors.json": vectors(),
    }
    return {name: text_of(document) for name, document in found.items()}


def _event(kind: str, body: type) -> Schema:
    """The structured event of one type: the envelope with its ``data``."""
    (_, data), parts = msgspec.json.schema_components([Envelope, body], ref_template="#/$defs/{name}")
    envelope = parts["Envelope"]
    envelope["properties"]["type"] = {"const": kind}
    envelope["properties"]["data"] = data
    del envelope["properties"]["data_base64"]
    envelope["required"] = [*envelope["required"], "data"]
    name = EVENT_NAMES[kind]
    parts[name] = parts.pop("Envelope") | {"title": name}
    return _finished(kind, {"$ref": f"#/$defs/{name}"}, parts)


def _plain(title: str, kind: Any) -> Schema:
    (whole,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return _finished(title, whole, parts)


def _finished(title: str, whole: Schema, parts: Schema) -> Schema:
    for (part, field), bounds in _BOUNDS.items():
        if part in parts:
            parts[part]["properties"][field].update(bounds)
    for part, sentences in DESCRIPTIONS.items():
        for field in parts.get(part, {}).get("properties", {}).keys() & sentences.keys():
            parts[part]["properties"][field]["description"] = sentences[field]
    for part, field in (("Notification", "params"), ("Recipient", "params")):
        if part in parts:
            parts[part]["properties"][field]["additionalProperties"]["anyOf"][0]["maxLength"] = MAX_PARAM_CHARS
    if "To" in parts:
        parts["To"]["properties"]["list"] |= {"type": "string", "minLength": 1}
        del parts["To"]["properties"]["list"]["anyOf"]
        for field in ("recipients", "list"):  # what may be absent, and has no value that could stand for that
            del parts["To"]["properties"][field]["default"]
        parts["To"]["oneOf"] = [{"required": ["recipients"]}, {"required": ["list"]}]
    if "Control" in parts:
        _require_one(parts["Control"], _TARGETS)
    return {"$schema": _DIALECT, "title": title, **whole, "$defs": parts}


def _require_one(part: Schema, bounds: Mapping[str, Schema]) -> None:
    """Exactly one of these optional fields must be said."""
    for field, bound in bounds.items():
        held = part["properties"][field]
        (said,) = (kind for kind in held.pop("anyOf") if kind != {"type": "null"})
        del held["default"]
        held |= said | bound
    part["oneOf"] = [{"required": [field]} for field in bounds]


def text_of(document: Schema) -> bytes:
    """A document as it is written: keys in order, two spaces."""
    compact = msgspec.json.encode(document, order="deterministic")
    return msgspec.json.format(compact, indent=2) + b"\n"
