"""Golden bytes: what is on a disk today is read tomorrow, and today's records are written as they were yesterday."""

import inspect

import msgspec
import pytest

from schemas import controls, delivery_journal, facts, plan_journal
from schemas.wire.header import (
    FORMAT,
    READABLE_FORMATS,
    Kind,
    UnreadableRecordError,
    body_of,
    head_of,
    pack,
    unpack,
)
from tests.contract.golden.records import RECORDS, SHAPES, header_of, path_of

KINDS = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())


def golden(kind: Kind, version: int = FORMAT) -> bytes:
    """The bytes on disk."""
    return bytes.fromhex(path_of(kind, version).read_text())


@KINDS
def test_records_are_written_as_ever(kind: Kind) -> None:
    """A changed byte is a new format: raise FORMAT, keep these files, and teach the readers."""
    assert pack(header_of(kind), RECORDS[kind]) == golden(kind)


@KINDS
@pytest.mark.parametrize("version", sorted(READABLE_FORMATS))
def test_records_of_every_readable_format_are_read(kind: Kind, version: int) -> None:
    """Head and body, value for value."""
    assert unpack(golden(kind, version), SHAPES[kind]) == (header_of(kind), RECORDS[kind])


def test_every_field_of_every_shape_stands_somewhere() -> None:
    """Over all golden records together, each field of each internal type has a value that is not its default."""
    said: set[tuple[str, str]] = set()
    for body in RECORDS.values():
        _said(body, said)
    modules = (plan_journal, delivery_journal, facts, controls)
    shapes = [
        shape
        for module in modules
        for _, shape in inspect.getmembers(module, inspect.isclass)
        if issubclass(shape, msgspec.Struct) and shape.__module__ == module.__name__
    ]
    missing = [
        f"{shape.__name__}.{name}"
        for shape in shapes
        for name in shape.__struct_fields__
        if (shape.__name__, name) not in said
    ]
    assert missing == []


@KINDS
def test_a_newer_release_may_add_fields(kind: Kind) -> None:
    """Readers ignore what stands behind the fields that they know."""
    record = golden(kind)
    fields = msgspec.msgpack.decode(record[17:])
    longer = record[:17] + msgspec.msgpack.encode([*fields, "from the next release"])
    assert body_of(longer, SHAPES[kind]) == RECORDS[kind]


BROKEN = {
    "nothing": b"",
    "half a head": golden(Kind.CLAIM)[:16],
    "another format": b"\x63" + golden(Kind.CLAIM)[1:],
    "another kind": b"\x01\x63" + golden(Kind.CLAIM)[2:],
    "another lane": b"\x01\x01\x63" + golden(Kind.CLAIM)[3:],
    "JSON": b'{"specversion":"1.0"}',
}


@pytest.mark.parametrize("record", BROKEN.values(), ids=BROKEN.keys())
def test_foreign_heads_are_refused(record: bytes) -> None:
    """One error for everything that is not ours."""
    with pytest.raises(UnreadableRecordError):
        head_of(record)


@KINDS
def test_a_body_that_is_cut_is_refused(kind: Kind) -> None:
    """Never half a record."""
    record = golden(kind)
    for end in range(17, len(record)):
        with pytest.raises(UnreadableRecordError):
            body_of(record[:end], SHAPES[kind])


def _said(value: object, said: set[tuple[str, str]]) -> None:
    if isinstance(value, msgspec.Struct):
        for field in msgspec.structs.fields(value):
            held = getattr(value, field.name)
            if held not in (None, 0, "", b"", (), {}, False):
                said.add((type(value).__name__, field.name))
            _said(held, said)
    elif isinstance(value, tuple):
        for each in value:
            _said(each, said)
