"""The fixed head of every internal record, and how a body follows it.

Layout, big-endian: format u8, kind u8, lane u8, shard u16, epoch u32, at_ms i64 (17 bytes), then the body as MessagePack.
The epoch stands at a fixed place so that the fold rule (PROTOCOL.md section 1.2) never needs the body. Readers take format
n and n-1; deploy readers first. Golden bytes of each format: ``tests/contract/golden``.

Format 2 is format 1 but for columns of ranks, which may be Roaring bitmaps (``arrays.py``). Only records that are shorter so
are of format 2.
"""

import struct
from typing import Any, TypeVar

import msgspec

from schemas.lanes import Lane
from schemas.wire.arrays import shortened, widened
from schemas.wire.head import FORMAT, READABLE_FORMATS, RESERVED_FORMATS, RESERVED_KINDS, RESERVED_LANES, Header, Kind

__all__ = ("Header", "Kind", "NewerRecordError", "UnreadableRecordError", "body_of", "head_of", "pack", "unpack")

_HEAD = struct.Struct(">BBBHIq")
_T = TypeVar("_T")


class UnreadableRecordError(Exception):
    """An internal record that this release cannot read: foreign bytes, an unknown kind or format, a broken body."""


class NewerRecordError(UnreadableRecordError):
    """A record whose format, kind or lane only a newer release can have written, so other readers may be able to read it."""


_KINDS = {kind.value: kind for kind in Kind}
_LANES = {lane.value: lane for lane in Lane}

_encoder = msgspec.msgpack.Encoder()
_plain_decoder = msgspec.msgpack.Decoder(ext_hook=widened)
"""Of format 2: a type that wants bytes takes no extension, so these are widened before the body gets its shape."""
_decoders: dict[type, msgspec.msgpack.Decoder[Any]] = {}


def pack(header: Header, body: object, newest: int = FORMAT) -> bytes:
    """Encodes a record: the head, then ``body`` as MessagePack; in the lowest format that is shortest, at most ``newest``."""
    written = shortened(body) if newest > 1 else body
    version = 1 if written is body else 2
    head = _HEAD.pack(version, header.kind, header.lane, header.shard, header.epoch, header.at_ms)
    return head + _encoder.encode(written)


def head_of(record: bytes) -> Header:
    """The head alone; raises :class:`UnreadableRecordError`."""
    try:
        version, kind, lane, shard, epoch, at_ms = _HEAD.unpack_from(record or b"")
    except struct.error as error:
        raise UnreadableRecordError(str(error)) from error
    _demand_readable(version)
    try:
        return Header(_KINDS[kind], _LANES[lane], shard, epoch, at_ms)
    except KeyError as error:
        unknown = NewerRecordError if kind in RESERVED_KINDS and lane in RESERVED_LANES else UnreadableRecordError
        raise unknown(f"there is no kind or lane of number {error}") from error


def body_of(record: bytes, shape: type[_T]) -> _T:
    """The body as ``shape``; raises :class:`UnreadableRecordError`."""
    decoder = _decoders.get(shape)
    if decoder is None:
        decoder = _decoders[shape] = msgspec.msgpack.Decoder(shape)
    _demand_readable(record[0] if record else 0)
    try:
        if record[0] == 1:
            body: _T = decoder.decode(record[_HEAD.size :])
        else:
            body = msgspec.convert(_plain_decoder.decode(record[_HEAD.size :]), shape)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UnreadableRecordError(str(error)) from error
    return body


def _demand_readable(version: int) -> None:
    if version in READABLE_FORMATS:
        return
    error = NewerRecordError if version in RESERVED_FORMATS else UnreadableRecordError
    raise error(f"format {version} is not readable by this release")


def unpack(record: bytes, shape: type[_T], kind: Kind | None = None) -> tuple[Header, _T]:
    """Head and body of one record; :class:`UnreadableRecordError` for one of another kind than ``kind``, if it is given."""
    header = head_of(record)
    if kind is not None and header.kind is not kind:
        raise UnreadableRecordError(f"a record of kind {header.kind.name.lower()} where {kind.name.lower()} belongs")
    return header, body_of(record, shape)
