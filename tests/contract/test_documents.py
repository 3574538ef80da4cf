"""The generated documents: no drift, and a schema says of an event what plan says of its form."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from broker.plan.decode import Malformed
from broker.validation.all_errors import form_of_record
from schemas.contract.__main__ import written
from schemas.contract.json_schema import documents
from schemas.lanes import Lane
from schemas.registry import Entry
from schemas.request import CONTROL_TYPE, OPTIN_TYPE
from schemas.status import DeadLetter, RecipientStatus, Status
from schemas.wire.cloudevents import encode_status
from tests.support.plan_bench import ENTRIES, address, event, given, policy

FOLDER = Path(__file__).parents[2] / "schemas" / "generated"


def test_the_generated_documents_are_those_of_the_types() -> None:
    """Run ``python -m schemas.contract`` after changing a type."""
    kept = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert kept == written()


@pytest.mark.parametrize("name", [name for name in documents() if name != "vectors.json"])
def test_every_schema_is_one(name: str) -> None:
    """Valid JSON Schema 2020-12."""
    jsonschema_rs.meta.validate(schema(name))


def with_default(value: Any) -> Iterator[dict[str, Any]]:
    """Every schema in a document that has a default."""
    if isinstance(value, dict) and "default" in value and isinstance(value.get("type"), str):
        yield value
    for held in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from with_default(held)


@pytest.mark.parametrize("name", [name for name in documents() if name != "vectors.json"])
def test_every_default_fits_its_own_schema(name: str) -> None:
    """Generators put defaults into what they send."""
    document = schema(name)
    for held in with_default(document["$defs"]):
        assert jsonschema_rs.validator_for({**held, "$defs": document["$defs"]}).is_valid(held["default"]), held


def schema(name: str) -> dict[str, Any]:
    """A generated schema."""
    found: dict[str, Any] = msgspec.json.decode(documents()[name])
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    return found


MEMBER = {"address": address(1)}
JOIN = {"list": "l", "op": "join", "members": [MEMBER], "evidence": {"method": "app", "wording": "w", "source": "s"}}


def control(action: str = "pause", **target: Any) -> dict[str, Any]:
    """A control event about ``target``."""
    return event(type=CONTROL_TYPE, expirytime=None) | {"data": {"action": action, **target}}


EVENTS: dict[str, tuple[str, dict[str, Any], bool]] = {
    "an update": ("notification.v1.json", event(), True),
    "a code": ("notification.v1.json", event(Lane.OTP), True),
    "a list": ("notification.v1.json", event(data={"to": {"list": "l"}}), True),
    "1,000 recipients": ("notification.v1.json", event(people=range(1000)), True),
    "1,001 recipients": ("notification.v1.json", event(people=range(1001)), False),
    "an unknown attribute": ("notification.v1.json", event(expirytme="x"), False),
    "an unknown field": ("notification.v1.json", event(data={"x": 1}), False),
    "a reserved field": ("notification.v1.json", event(data={"quiet": "hold"}), False),
    "no template": ("notification.v1.json", event(data={"template": None}), False),
    "no time": ("notification.v1.json", event(time=None), False),
    "a time without offset": ("notification.v1.json", event(time="2026-11-22T06:40:00"), False),
    "another version": ("notification.v1.json", event(specversion="0.3"), False),
    "nobody": ("notification.v1.json", event(data={"to": {}}), False),
    "both": ("notification.v1.json", event(data={"to": {"list": "l", "recipients": [MEMBER]}}), False),
    "a local number": ("notification.v1.json", event(data={"to": {"recipients": [{"address": "0170"}]}}), False),
    "33 parameters": ("notification.v1.json", event(data={"params": {str(n): "" for n in range(33)}}), False),
    "5 labels": ("notification.v1.json", event(data={"labels": {str(n): "x" for n in range(5)}}), False),
    "a source without system": ("notification.v1.json", event(source="//airline"), False),
    "an opt-in": ("optin.v1.json", event(type=OPTIN_TYPE) | {"data": JOIN}, True),
    "an opt-in of nobody": ("optin.v1.json", event(type=OPTIN_TYPE) | {"data": JOIN | {"members": []}}, False),
    "another operation": ("optin.v1.json", event(type=OPTIN_TYPE) | {"data": JOIN | {"op": "add"}}, False),
    "a pause by name": ("control.v1.json", control(request="a" * 26), True),
    "a cancel by event": ("control.v1.json", control("cancel", of={"source": "//airline/ops", "id": "1"}), True),
    "a resume by subject": ("control.v1.json", control("resume", subject="flight/UA1"), True),
    "another action": ("control.v1.json", control("stop", subject="flight/UA1"), False),
    "a control of nothing": ("control.v1.json", control(), False),
    "a control of two things": ("control.v1.json", control(subject="s", request="a" * 26), False),
    "a name that is none": ("control.v1.json", control(request="offer-1"), False),
    "an event without an id": ("control.v1.json", control(of={"source": "//airline/ops", "id": ""}), False),
}


@pytest.mark.parametrize("row", EVENTS.values(), ids=EVENTS.keys())
def test_schema_and_plan_say_the_same(row: tuple[str, dict[str, Any], bool]) -> None:
    """What the schema admits has a sound form for plan, what it refuses has none."""
    name, whole, sound = row
    assert jsonschema_rs.validator_for(schema(name)).is_valid(whole) == sound
    lane = Lane.OTP if whole["data"].get("template") == "code" else Lane.UPDATE
    assert isinstance(form_of_record(given(whole, key=None), policy(lane)), Malformed) != sound


def test_what_we_write_fits_its_schema() -> None:
    """Statuses, dead letters and registry entries."""
    person = RecipientStatus("a", 0, "delivered", 1)
    status = Status(request="x", source="//a/b", id="1", state="closed", seq=1, at_ms=1, recipients=(person,))
    written = msgspec.json.decode(encode_status(status))
    assert written["type"] == "fanfare.status.v1"
    assert jsonschema_rs.validator_for(schema("status.v1.json")).is_valid(written["data"])
    letter = DeadLetter("requests.otp", 0, 1, "poison", "x", "plan", 1, "00")
    assert jsonschema_rs.validator_for(schema("dead-letter.json")).is_valid(
        msgspec.json.decode(msgspec.json.encode(letter))
    )
    entries = jsonschema_rs.validator_for(schema("registry.json"))
    for entry in ENTRIES:
        assert entries.is_valid(msgspec.json.decode(msgspec.json.encode(entry)))
        assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(entry)), Entry) == entry
    assert not entries.is_valid({"kind": "business"})
