"""An older reader beside a newer writer: fields that it does not know change nothing; people's spelling mistakes are refused."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml
from msgspec import inspect

from broker.audience.sizes import ListSizes
from broker.registry.fold import Registry
from schemas.facts import ListSize
from schemas.gateway_api import Epoch, Frame, FrameAnswer, GatewayEvent, Hello, Reports
from schemas.registry import (
    ApiKey,
    Business,
    Deployment,
    Entry,
    Key,
    Keywords,
    Parameter,
    PriceCard,
    Sender,
    Template,
    key_of,
)
from schemas.status import BilledCharge, DeadLetter, Status
from schemas.wire.head import FORMAT
from schemas.wire.header import Kind, NewerRecordError, UnreadableRecordError, head_of, pack, unpack
from streams.registry.apply import RegistrationError, read_files
from streams.simulator.registry import Registered
from tests.contract.golden.records import SHAPES, WRITTEN, header_of

EVERY = pytest.mark.parametrize(
    ("version", "kind"), [(version, kind) for version, bodies in WRITTEN.items() for kind in bodies]
)
ENTRIES: list[Entry] = [
    Business("shop", "Shop", test_numbers=("+12025550101",)),
    Sender("shop/main", "shop", "+12025550100", shares={"update": 50}),
    Template("hello", "utility", (Parameter("name"), Parameter("code", sealed=True)), {"en": "{name}"}),
    PriceCard(3, "EUR", {"utility": {"*": 5}}),
    Key("k1", "seal", "00"),
    ApiKey("a1", "shop", "00"),
    Keywords("en", ("stop",)),
    Deployment("here", 8),
]
OPEN = (ListSize, DeadLetter, Status, BilledCharge, Frame, FrameAnswer, Hello, Epoch, Reports, GatewayEvent)
"""JSON that machines write for machines, or for businesses, who are told to ignore what they do not know."""


def lengthened(raw: Any, shape: inspect.Type) -> Any:
    """What a newer release would have written: each object and each array of fields has one field more."""
    match shape:
        case inspect.StructType(array_like=True, fields=fields) if isinstance(raw, list):
            return [*(lengthened(one, field.type) for one, field in zip(raw, fields, strict=False)), {"newer": [1]}]
        case inspect.StructType(fields=fields) if isinstance(raw, dict):
            types = {field.encode_name: field.type for field in fields}
            return {name: lengthened(one, types.get(name, inspect.AnyType())) for name, one in raw.items()} | {
                "newer": [1]
            }
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item) if isinstance(raw, list):
            return [lengthened(one, item) for one in raw]
        case inspect.TupleType(item_types=items) if isinstance(raw, list):
            return [lengthened(one, item) for one, item in zip(raw, items, strict=True)]
        case inspect.UnionType(types=types):
            return lengthened(raw, _member(raw, types))
        case _:
            return raw


def _member(raw: Any, types: tuple[inspect.Type, ...]) -> inspect.Type:
    structs = [one for one in types if isinstance(one, inspect.StructType)]
    tagged = (one for one in structs if isinstance(raw, dict) and one.tag_field and raw.get(one.tag_field) == one.tag)
    return next(tagged, structs[0] if structs and isinstance(raw, list) else types[0])


def newer(entry: Entry) -> bytes:
    """An entry as a newer release writes it."""
    raw = msgspec.json.decode(msgspec.json.encode(entry))
    written = msgspec.json.encode(lengthened(raw, inspect.type_info(type(entry))))
    assert written.count(b"newer") == (3 if isinstance(entry, Template) else 1)
    return written


@EVERY
def test_a_record_with_more_fields_says_the_same(version: int, kind: Kind) -> None:
    """In both formats, at every level, of every kind."""
    header, body = header_of(kind), WRITTEN[version][kind]
    packed = pack(header, body, version)
    longer = lengthened(msgspec.msgpack.decode(packed[17:]), inspect.type_info(SHAPES[kind]))
    record = packed[:17] + msgspec.msgpack.encode(longer)
    assert len(record) > len(packed)
    assert unpack(record, SHAPES[kind]) == (header, body)


@pytest.mark.parametrize(
    ("at", "number", "error"),
    [
        pytest.param(0, FORMAT + 1, NewerRecordError, id="the next format"),
        pytest.param(0, 8, NewerRecordError, id="the last format that there may be"),
        pytest.param(0, 9, UnreadableRecordError, id="a format that will never be"),
        pytest.param(0, ord("{"), UnreadableRecordError, id="JSON"),
        pytest.param(1, max(Kind) + 1, NewerRecordError, id="the next kind"),
        pytest.param(1, 200, UnreadableRecordError, id="a kind that will never be"),
        pytest.param(2, 7, NewerRecordError, id="a lane to come"),
        pytest.param(2, 200, UnreadableRecordError, id="a lane that will never be"),
    ],
)
def test_what_a_newer_release_wrote_is_told_from_what_none_wrote(at: int, number: int, error: type[Exception]) -> None:
    """The first three bytes say it: format, kind and lane."""
    record = bytearray(pack(header_of(Kind.WORK), WRITTEN[1][Kind.WORK], 1))
    record[at] = number
    with pytest.raises(UnreadableRecordError) as raised:
        head_of(bytes(record))
    assert raised.type is error


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_with_more_fields_is_the_same_entry(entry: Entry) -> None:
    """For workers, webhook and intake, and for the simulated gateway, which folds by itself."""
    registry, registered, key = Registry(), Registered(), key_of(entry)
    registry.apply(key, newer(entry))
    registered.apply_one(key, newer(entry))
    assert registry.entries() == [entry]
    if isinstance(entry, Template):
        assert registered.template("shop", "hello", 1) == entry


def test_every_kind_of_entry_is_tried() -> None:
    """Whoever adds a kind adds an example."""
    assert {type(entry) for entry in ENTRIES} == set(get_args(Entry))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_a_field_that_people_write_and_nobody_knows_is_refused(entry: Entry, tmp_path: Path) -> None:
    """In registry files, at every level: a misspelt `active: false` must not leave a sender open."""
    raw = msgspec.json.decode(newer(entry))
    file = tmp_path / "entries.yaml"
    for written in [raw] if not isinstance(entry, Template) else [raw, {**raw, "newer": None}]:
        file.write_text(yaml.safe_dump([written]))
        with pytest.raises(RegistrationError, match="unknown field"):
            read_files([file])
    file.write_text(yaml.safe_dump([msgspec.json.decode(msgspec.json.encode(entry))]))
    assert [located.entry for located in read_files([file])] == [entry]


@pytest.mark.parametrize("shape", OPEN, ids=lambda shape: shape.__name__)
def test_json_of_machines_is_open(shape: type[msgspec.Struct]) -> None:
    """No type of it, nor of what it holds, refuses a field that it does not know."""
    seen: set[str] = set()
    _demand_open(inspect.type_info(shape), seen)
    assert seen


def _demand_open(shape: Any, seen: set[str]) -> None:
    match shape:
        case inspect.StructType(cls=cls, fields=fields):
            assert not shape.forbid_unknown_fields, cls.__name__
            if cls.__name__ not in seen:
                seen.add(cls.__name__)
                for field in fields:
                    _demand_open(field.type, seen)
        case inspect.UnionType(types=types):
            for one in types:
                _demand_open(one, seen)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            _demand_open(item, seen)
        case inspect.DictType(value_type=value):
            _demand_open(value, seen)
        case _:
            pass


def test_the_size_of_a_list_is_read_with_more_fields() -> None:
    """As an example of the others."""
    sizes = ListSizes()
    sizes.read(b'{"business":"shop","list":"offers","shard":1,"count":5,"upto":9,"newer":[1]}')
    assert sizes.people("shop", "offers") == 5
