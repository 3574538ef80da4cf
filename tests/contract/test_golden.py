"""Golden bytes: what is on a disk today is read tomorrow, and today's records are written as they were yesterday."""

import inspect

import msgspec
import pytest

from schemas import delivery_journal, facts, plan_journal
from schemas.wire.head import FORMAT, READABLE_FORMATS
from schemas.wire.header import Kind, UnreadableRecordError, body_of, head_of, pack, unpack
from tests.contract.golden.records import RECORDS, SCATTERED, SHAPES, WRITTEN, header_of, path_of

KINDS = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
EVERY = pytest.mark.parametrize(
    ("version", "kind"), [(version, kind) for version, bodies in WRITTEN.items() for kind in bodies]
)


def golden(kind: Kind, version: int = 1) -> bytes:
    """The bytes on disk."""
    return bytes.fromhex(path_of(kind, version).read_text())


@EVERY
def test_records_are_written_as_ever(version: int, kind: Kind) -> None:
    """A changed byte is a new format: raise FORMAT, keep these files, and teach the readers."""
    assert pack(header_of(kind), WRITTEN[version][kind]) == golden(kind, version)
    assert golden(kind, version)[0] == version


@EVERY
def test_records_of_every_readable_format_are_read(version: int, kind: Kind) -> None:
    """Head and body, value for value."""
    assert set(WRITTEN) == READABLE_FORMATS
    assert unpack(golden(kind, version), SHAPES[kind]) == (header_of(kind), WRITTEN[version][kind])


@pytest.mark.parametrize("kind", SCATTERED)
def test_records_can_be_written_for_an_older_release(kind: Kind) -> None:
    """What format 2 makes shorter says the same in format 1, which is all that the first release reads."""
    plain, short = pack(header_of(kind), SCATTERED[kind], 1), golden(kind, FORMAT)
    assert plain[0] == 1
    assert len(short) < len(plain)
    assert unpack(plain, SHAPES[kind]) == unpack(short, SHAPES[kind])


@pytest.mark.parametrize("broken", ["another extension", "no bitmap"])
def test_a_column_of_ranks_that_is_none_is_refused(broken: str) -> None:
    """As everything else that cannot be read."""
    record = golden(Kind.RECEIPT, FORMAT)
    at = record.index(b"\x01\x3a\x30")  # the type, and the first bytes of a bitmap without runs
    head, rest = (b"\x02", record[at + 1 :]) if broken == "another extension" else (b"\x01\0", record[at + 2 :])
    with pytest.raises(UnreadableRecordError):
        body_of(record[:at] + head + rest, SHAPES[Kind.RECEIPT])


def test_every_field_of_every_shape_stands_somewhere() -> None:
    """Over all golden records together, each field of each packed type has a value that is not its default."""
    said: set[tuple[str, str]] = set()
    for body in RECORDS.values():
        _said(body, said)
    modules = (plan_journal, delivery_journal, facts)
    shapes = [
        shape
        for module in modules
        for _, shape in inspect.getmembers(module, inspect.isclass)
        if issubclass(shape, msgspec.Struct)
        and shape.__module__ == module.__name__
        and shape.__struct_config__.array_like
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


@EVERY
def test_a_body_that_is_cut_is_refused(version: int, kind: Kind) -> None:
    """Never half a record."""
    record = golden(kind, version)
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
