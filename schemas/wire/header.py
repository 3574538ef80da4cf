"""The fixed head of every internal record, and how a body follows it.

Layout, big-endian: format u8, kind u8, lane u8, shard u16, epoch u32, at_ms i64 (17 bytes), then the body as MessagePack.
The epoch stands at a fixed place so that the fold rule (PROTOCOL.md section 1.2) never needs the body. Readers take format
n and n-1; deploy readers first. Golden bytes of each format: ``tests/contract/golden``.
"""

import struct
from enum import IntEnum
from typing import Any, TypeVar

import msgspec

from schemas.ids import Lane

FORMAT = 1
"""The format version that is written."""
READABLE_FORMATS = frozenset({1})

RECORD_LIMIT_BYTES = 900_000
"""Every Kafka record stays below this. Kafka refuses above 1,048,588; the rest is room for headers and batch."""

_HEAD = struct.Struct(">BBBHIq")
_T = TypeVar("_T")


class Kind(IntEnum):
    """Numbers the types of body. A number is for ever and is never reused."""

    CLAIM = 1
    PLANNED = 2
    PLAN_RESTATED = 3
    WORK = 4
    OUTCOME = 5
    OUTCOME_RESTATED = 6
    RECEIPT = 7
    CHARGE = 8
    SUPPRESSION = 9
    AUDIENCE = 10
    INBOUND = 11
    TRYING = 12
    LIMITS_RESTATED = 13
    CONTROL = 14


class UnreadableRecordError(Exception):
    """An internal record that this release cannot read: foreign bytes, an unknown kind or format, a broken body."""


class Header(msgspec.Struct, frozen=True, gc=False):
    """The head of an internal record. ``epoch`` is 0 where no journal is meant."""

    kind: Kind
    lane: Lane
    shard: int
    epoch: int
    at_ms: int
    """When the writer decided, by its clock, milliseconds since the epoch."""


_KINDS = {kind.value: kind for kind in Kind}
_LANES = {lane.value: lane for lane in Lane}

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {}


def pack(header: Header, body: object) -> bytes:
    """Encodes a record: the head, then ``body`` as MessagePack."""
    head = _HEAD.pack(FORMAT, header.kind, header.lane, header.shard, header.epoch, header.at_ms)
    return head + _encoder.encode(body)


def head_of(record: bytes) -> Header:
    """The head alone; raises :class:`UnreadableRecordError`."""
    try:
        version, kind, lane, shard, epoch, at_ms = _HEAD.unpack_from(record)
        if version not in READABLE_FORMATS:
            raise UnreadableRecordError(f"format {version} is not readable by this release")
        return Header(_KINDS[kind], _LANES[lane], shard, epoch, at_ms)
    except struct.error as error:
        raise UnreadableRecordError(str(error)) from error
    except KeyError as error:
        raise UnreadableRecordError(f"there is no kind or lane of number {error}") from error


def body_of(record: bytes, shape: type[_T]) -> _T:
    """The body as ``shape``; raises :class:`UnreadableRecordError`."""
    decoder = _decoders.get(shape)
    if decoder is None:
        decoder = _decoders[shape] = msgspec.msgpack.Decoder(shape)
    try:
        body: _T = decoder.decode(record[_HEAD.size :])
    except msgspec.MsgspecError as error:
        raise UnreadableRecordError(str(error)) from error
    return body


def unpack(record: bytes, shape: type[_T]) -> tuple[Header, _T]:
    """Head and body of one record."""
    return head_of(record), body_of(record, shape)
