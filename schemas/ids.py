"""Every identifier of Fanfare, and how it is computed.

Owns the derivation of request names, recipient ids, shards, partitions, fact keys and fingerprints. All are pure functions
of what the producer wrote, so that any process, in any language, computes the same (test vectors:
``schemas/generated/vectors.json``). Rules: PROTOCOL.md section 7.
"""

import base64
import hashlib
import hmac
from typing import NewType

from schemas.lanes import Lane

RequestName = NewType("RequestName", bytes)
RecipientId = NewType("RecipientId", bytes)

NAME_BYTES = 16
"""Length of a request name and of a recipient id."""

HEARTBEAT_BUSINESS = "fanfare"
"""The business that heartbeats belong to: it owns no sender that costs anything and is counted apart."""

_NAME_LETTERS = 26
_BASE32 = b"abcdefghijklmnopqrstuvwxyz234567"
_DIGITS = bytes.maketrans(_BASE32 + _BASE32.upper(), 2 * b"0123456789abcdefghijklmnopqrstuv")
_DIGITS = bytes(
    digit if bytes((byte,)) in _BASE32 + _BASE32.upper() else ord("!") for byte, digit in enumerate(_DIGITS)
)
"""A letter of :func:`text_of` to Python's digit of base 32, everything else to what is no digit."""

_MURMUR2_SEED = 0x9747B28C
_MURMUR2_M = 0x5BD1E995
_U32 = 0xFFFFFFFF


def request_name(lane: Lane, source: str, event_id: str) -> RequestName:
    """The 16 bytes that name a request: SHA-256 over lane, source and id, each ended by NUL, cut to 16."""
    digest = hashlib.sha256(f"{lane.word}\0{source}\0{event_id}\0".encode()).digest()
    return RequestName(digest[:NAME_BYTES])


def recipient_id(pepper: bytes, address: str) -> RecipientId:
    """The 16 bytes that name a person: HMAC-SHA256(pepper, ``tel:+49…``) cut to 16. The address must be normal form."""
    return RecipientId(hmac.digest(pepper, address.encode(), "sha256")[:NAME_BYTES])


def text_of(name: bytes) -> str:
    """A name or recipient id as people and JSON see it: lower-case base32 without padding (26 characters)."""
    return base64.b32encode(name).decode().rstrip("=").lower()


def name_of(text: str) -> bytes:
    """The inverse of :func:`text_of`; ``ValueError`` if it is no such text."""
    if len(text) != _NAME_LETTERS:
        raise ValueError(f"a name has {_NAME_LETTERS} letters of base32, this one {len(text)}")
    try:
        number = int(text.encode("ascii").translate(_DIGITS), 32)
    except ValueError as error:
        raise ValueError("a name has no letters but those of base32") from error
    return (number >> 2).to_bytes(NAME_BYTES)  # five bits a letter are 130: the last two are nothing


def murmur2(key: bytes) -> int:
    """Java's ``Utils.murmur2`` (the hash of Kafka's default partitioner), as an unsigned 32-bit integer."""
    h = (_MURMUR2_SEED ^ len(key)) & _U32
    whole = len(key) & ~3
    for i in range(0, whole, 4):
        k = (int.from_bytes(key[i : i + 4], "little") * _MURMUR2_M) & _U32
        k = ((k ^ (k >> 24)) * _MURMUR2_M) & _U32
        h = ((h * _MURMUR2_M) & _U32) ^ k
    rest = key[whole:]
    if rest:
        h = ((h ^ int.from_bytes(rest, "little")) * _MURMUR2_M) & _U32
    h = ((h ^ (h >> 13)) * _MURMUR2_M) & _U32
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Java's default partitioner gives to ``key``."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def shard_of(recipient: bytes, shards: int) -> int:
    """The shard (partition of the recipients) of one recipient id."""
    return partition_of(recipient, shards)


def fact_key(business: str, entity: str, facet: str) -> bytes:
    """The 8 bytes that name a fact: what newer versions supersede. SHA-256 over the three, each ended by NUL, cut to 8."""
    return hashlib.sha256(f"{business}\0{entity}\0{facet}\0".encode()).digest()[:8]


def fingerprint(content: bytes) -> bytes:
    """The 8 bytes by which a repeated request is told from a conflicting one: SHA-256 of its canonical content, cut to 8."""
    return hashlib.sha256(content).digest()[:8]


def business_of(source: str) -> str:
    """The business in ``//<business>/<system>``; ``ValueError`` if ``source`` is not of that form."""
    if not source.startswith("//"):
        raise ValueError("source must look like //<business>/<system>")
    business, slash, system = source[2:].partition("/")
    if not business or not slash or not system:
        raise ValueError("source must look like //<business>/<system>")
    return business
