"""The events under ``deploy/dev/examples``: sound, complete for their templates, and publishable without Python."""

import re
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from broker.registry.fold import Registry
from schemas.ids import business_of
from schemas.lanes import Category, Lane, lane_for
from schemas.request import CONTROL_TYPE, OPTIN_TYPE
from schemas.wire import timestamps
from streams.client import Client, SealKey
from streams.client.sealing import seal_codes
from streams.commands.event_file import freshened, read_events
from streams.registry.apply import changes, read_files
from streams.runtime.settings import DEV_SEAL_KID, DEV_SEAL_PUBLIC

DEV = Path(__file__).parents[2] / "deploy" / "dev"
EXAMPLES = sorted((DEV / "examples").glob("*.json"))
KEY = SealKey(DEV_SEAL_KID, bytes.fromhex(DEV_SEAL_PUBLIC))
README = (DEV / "examples" / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def registry() -> Registry:
    """What ``deploy/dev`` registers."""
    registry = Registry()
    changes(read_files(sorted(DEV.glob("*.yaml"))), registry)
    return registry


def only(file: Path) -> dict[str, Any]:
    """The one event of a file."""
    (event,) = read_events(str(file))
    return event


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_would_be_accepted(file: Path, registry: Registry) -> None:
    """Its business is registered, its form is sound in the lane of its template, and no parameter is missing."""
    event = only(file)
    assert business_of(event["source"]) in registry.businesses
    if event["type"] in (OPTIN_TYPE, CONTROL_TYPE):
        Client("nowhere:1").validate(Lane.CAMPAIGN, event)
        return
    template = registry.template_for("*", event["data"]["template"])
    assert template is not None
    lane = lane_for(Category[template.category.upper()])
    sealed = {parameter.name for parameter in template.parameters if parameter.sealed}
    given = set(event["data"]["params"]) | sealed
    assert given == {parameter.name for parameter in template.parameters}
    Client("nowhere:1").validate(lane, seal_codes(event, lane, dict.fromkeys(sealed, "123456"), KEY))


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_a_fresh_example_is_new_and_now(file: Path) -> None:
    """Another id, ``time`` is now, and it lives as long as it did."""
    old, new = only(file), freshened(only(file))
    moved_ms = timestamps.ms_of(new["time"]) - timestamps.ms_of(old["time"])
    assert new["id"] != old["id"]
    assert moved_ms > 0
    if "expirytime" in old:
        assert timestamps.ms_of(new["expirytime"]) - timestamps.ms_of(old["expirytime"]) == moved_ms
    assert new["data"] == old["data"]


def test_the_readme_names_every_example_and_each_command_fits() -> None:
    """Nothing is shown that is not there."""
    named = re.findall(r"fanfare publish -f deploy/dev/examples/(\S+) --lane (\w+)", README)
    assert {name for name, _ in named} <= {file.name for file in EXAMPLES}
    for name, lane in named:
        event = only(DEV / "examples" / name)
        codes = {"code": "123456"} if lane == "otp" else {}
        Client("nowhere:1").validate(Lane.of(lane), seal_codes(event, Lane.of(lane), codes, KEY))


def shell_line() -> bytes:
    """What the README's shell lines put on the console producer's input."""
    block = re.search(r"\$ (now=.*?) \|\n\s+kafka-console-producer", README, re.DOTALL)
    assert block is not None
    script = re.sub(r"^\$ ", "", block[1], flags=re.MULTILINE)
    done = subprocess.run(["bash", "-c", script], cwd=DEV.parents[1], capture_output=True, timeout=20, check=True)
    return done.stdout


def test_without_python_a_shell_makes_key_and_event_of_one_line() -> None:
    """The README's lines, run as they stand: one line, the key before the bar is the business, the event is sound and new."""
    (line,) = shell_line().splitlines()
    key, _, value = line.partition(b"|")
    event = msgspec.json.decode(value)
    assert key.decode() == business_of(event["source"])
    assert event["id"] != only(DEV / "examples" / "parcel-delivered.json")["id"]
    assert timestamps.ms_of(event["expirytime"]) - timestamps.ms_of(event["time"]) == 3_600_000
    Client("nowhere:1").validate(Lane.UPDATE, event)


ONE, TWO = b'{"id":"1"}', b'{"id":"2"}'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ONE + b"\n\n" + TWO + b"\n", id="one a line, as fanfare source --print writes"),
        pytest.param(b"[" + ONE + b", " + TWO + b"]", id="an array on one line"),
        pytest.param(b"[\n  " + ONE + b",\n" + TWO + b"\n]\n", id="an array over several lines"),
    ],
)
def test_a_file_may_hold_many_events(tmp_path: Path, text: bytes) -> None:
    """However they stand there."""
    file = tmp_path / "events"
    file.write_bytes(text)
    assert [event["id"] for event in read_events(str(file))] == ["1", "2"]


def test_an_event_may_stand_over_several_lines(tmp_path: Path) -> None:
    """As people write JSON."""
    file = tmp_path / "event.json"
    file.write_bytes(b'{\n  "id": "1",\n  "data": {\n  }\n}\n')
    assert [event["id"] for event in read_events(str(file))] == ["1"]


@pytest.mark.parametrize(
    ("text", "events", "sentence"),
    [
        pytest.param(
            ONE + b'\n{"id"\n', 1, r"events:2: ", id="a broken line is said with its number, once it is reached"
        ),
        pytest.param(b'{"id"\n' + TWO + b"\n", 0, r"events:1: ", id="also the first"),
        pytest.param(b"nothing", 0, "no JSON object, and no array", id="no JSON"),
        pytest.param(b"", 0, "no JSON object, and no array", id="nothing"),
        pytest.param(b"[1, 2]", 0, "no JSON object, and no array", id="an array of something else"),
        pytest.param(b'{\n  "id": 1,\n  "data": \n}\n', 0, "no JSON object, and no array", id="one broken event"),
    ],
)
def test_what_is_no_event_is_said(tmp_path: Path, text: bytes, events: int, sentence: str) -> None:
    """What stood before it was given: a long file is read as it is asked for."""
    file = tmp_path / "events"
    file.write_bytes(text)
    reading = read_events(str(file))
    assert [next(reading)["id"] for _ in range(events)] == ["1"] * events
    with pytest.raises(ValueError, match=sentence):
        next(reading)
