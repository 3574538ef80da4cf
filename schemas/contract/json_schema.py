"""Generates JSON Schema 2020-12 for every JSON that crosses the border, and test vectors, for producers in other languages.

Generated from the types that decode and encode, so that they cannot say something else; ``python -m schemas.contract`` writes
them to ``schemas/generated`` and a test refuses drift. A schema is what to *write*: whatever it admits has a sound form for plan,
which also takes ``data_base64`` and judges what no schema can say (tenant, template, time).
"""

import base64
import hashlib
import hmac
import inspect
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from schemas import topics
from schemas.contract.descriptions import DESCRIPTIONS
from schemas.ids import fact_key, murmur2, partition_of, recipient_id, request_name, shard_of
from schemas.ids import text_of as id_text
from schemas.lanes import Lane
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
from schemas.status import BILLING_TYPE, BilledCharge, DeadLetter, Status
from schemas.wire.envelope import Envelope
from schemas.wire.sealed import info_of

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
    _unindent(parts)
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


def _unindent(parts: Schema) -> None:
    """Takes the indentation off descriptions, as Python 3.13 does with docstrings, so that each Python writes the same."""
    for part in parts.values():
        if "description" in part:
            part["description"] = inspect.cleandoc(part["description"])


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


# Test vectors: the seal of each has a known ephemeral key, so that it can be recomputed byte for byte; that is why HPKE
# (RFC 9180) is written out here. What seals and opens in earnest is schemas/wire/sealed.py; a test lets it open these.

_PEPPER: Final = bytes(range(32))
_KEYS: Final = ("21", "foobar", "abc", "airline-ua", "bank-meridian", "shop-kiste", "köln", "")
_NAMES: Final = (
    (Lane.OTP, "//bank-meridian/sign-in", "code-0000001"),
    (Lane.UPDATE, "//airline-ua/ops", "UA1545-2013-02-08-v3"),
    (Lane.CAMPAIGN, "//shop-kiste/crm/€", "ünïcode id"),
)
_ADDRESSES: Final = ("tel:+12015550100", "tel:+447100000000", "tel:+919800000000", "tel:+390612345678")
_FACTS: Final = (
    ("airline-ua", "flight/UA1545/2013-02-08/EWR", "departure"),
    ("airline-ua", "flight/UA1545/2013-02-08/EWR", "*"),
)

_KID: Final = "vectors"
_PRIVATE: Final = hashlib.sha256(b"fanfare vectors: gateway").digest()
"""Known to everybody, as is the ephemeral key of each row: for these rows alone. A real seal draws an ephemeral key each time."""
_PLACES: Final = (
    (Lane.OTP, "//bank-meridian/login", "login-1", "tel:+491701234567", "login_code", "code", "123456"),
    (Lane.OTP, "//bank-meridian/login", "login-2", "tel:+491701234567", "login_code", "code", "123456"),
    (Lane.OTP, "//bank-meridian/köln", "ünïcode id", "tel:+12125550123", "login_code", "code", "K-4711-ß"),
)


def vectors() -> Schema:
    """Inputs and results for everything that a producer or a port may have to compute."""
    return {
        "murmur2": [{"key": key, "hash": murmur2(key.encode())} for key in _KEYS],
        "partition": {
            "partitions": topics.SHARDS,
            "rows": [{"key": key, "partition": partition_of(key.encode(), topics.SHARDS)} for key in _KEYS],
        },
        "request_name": [
            {"lane": lane.word, "source": source, "id": id_, "name": id_text(request_name(lane, source, id_))}
            for lane, source, id_ in _NAMES
        ],
        "recipient_id": {
            "pepper": _PEPPER.hex(),
            "shards": topics.SHARDS,
            "rows": [_person(address) for address in _ADDRESSES],
        },
        "fact_key": [
            {"business": business, "entity": entity, "facet": facet, "key": fact_key(business, entity, facet).hex()}
            for business, entity, facet in _FACTS
        ],
        "seal": {
            "suite": "HPKE base mode (RFC 9180): DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305",
            "kid": _KID,
            "private": _PRIVATE.hex(),
            "public": _public(_PRIVATE).hex(),
            "rows": [_sealed(number, *place) for number, place in enumerate(_PLACES, start=1)],
        },
    }


def _person(address: str) -> Schema:
    recipient = recipient_id(_PEPPER, address)
    return {"address": address, "recipient": id_text(recipient), "shard": shard_of(recipient, topics.SHARDS)}


def _sealed(number: int, lane: Lane, source: str, event_id: str, *what: str) -> Schema:
    """Returns a code sealed under an ephemeral key that is known, with the values in between."""
    address, template, parameter, code = what
    ephemeral = hashlib.sha256(b"fanfare vectors: ephemeral %d" % number).digest()
    info = info_of(request_name(lane, source, event_id), address, template, parameter)
    shared, enc = _encapsulated(ephemeral, _public(_PRIVATE))
    key, nonce = _schedule(shared, info)
    blob = enc + ChaCha20Poly1305(key).encrypt(nonce, code.encode(), None)
    return {
        "lane": lane.word,
        "source": source,
        "id": event_id,
        "address": address,
        "template": template,
        "parameter": parameter,
        "code": code,
        "ephemeral_private": ephemeral.hex(),
        "info": info.hex(),
        "shared_secret": shared.hex(),
        "key": key.hex(),
        "nonce": nonce.hex(),
        "sealed": f"{_KID}.{base64.urlsafe_b64encode(blob).decode().rstrip('=')}",
    }


_KEM: Final = b"KEM" + (0x0020).to_bytes(2)
_SUITE: Final = b"HPKE" + (0x0020).to_bytes(2) + (0x0001).to_bytes(2) + (0x0003).to_bytes(2)


def _encapsulated(ephemeral: bytes, public: bytes) -> tuple[bytes, bytes]:
    """The shared secret and the encapsulated key (RFC 9180, section 4.1)."""
    enc = _public(ephemeral)
    dh = X25519PrivateKey.from_private_bytes(ephemeral).exchange(X25519PublicKey.from_public_bytes(public))
    prk = _extract(_KEM, b"", b"eae_prk", dh)
    return _expand(_KEM, prk, b"shared_secret", enc + public, 32), enc


def _schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of the only message (RFC 9180, section 5.1, mode base)."""
    context = b"\0" + _extract(_SUITE, b"", b"psk_id_hash", b"") + _extract(_SUITE, b"", b"info_hash", info)
    secret = _extract(_SUITE, shared, b"secret", b"")
    return _expand(_SUITE, secret, b"key", context, 32), _expand(_SUITE, secret, b"base_nonce", context, 12)


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, "sha256")


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """Expands a key (HKDF-Expand, RFC 5869) to at most one block of SHA-256, which is all that is needed here."""
    return hmac.digest(prk, length.to_bytes(2) + b"HPKE-v1" + suite + label + info + b"\1", "sha256")[:length]


def _public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
