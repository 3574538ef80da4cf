"""Test vectors: inputs and results of every id and of the seal, by which a port to another language proves itself.

The seal of a vector has a known ephemeral key, so that it can be recomputed byte for byte; that is why HPKE (RFC 9180) is written
out here. What seals and opens in earnest is ``schemas/wire/sealed.py``; a test lets it open these.
"""

import base64
import hashlib
import hmac
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from schemas import topics
from schemas.ids import Lane, fact_key, murmur2, partition_of, recipient_id, request_name, shard_of, text_of
from schemas.wire.sealed import info_of

Document = dict[str, Any]

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


def vectors() -> Document:
    """Inputs and results for everything that a producer or a port may have to compute."""
    return {
        "murmur2": [{"key": key, "hash": murmur2(key.encode())} for key in _KEYS],
        "partition": {
            "partitions": topics.SHARDS,
            "rows": [{"key": key, "partition": partition_of(key.encode(), topics.SHARDS)} for key in _KEYS],
        },
        "request_name": [
            {"lane": lane.word, "source": source, "id": id_, "name": text_of(request_name(lane, source, id_))}
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


def _person(address: str) -> Document:
    recipient = recipient_id(_PEPPER, address)
    return {"address": address, "recipient": text_of(recipient), "shard": shard_of(recipient, topics.SHARDS)}


def _sealed(number: int, lane: Lane, source: str, event_id: str, *what: str) -> Document:
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
