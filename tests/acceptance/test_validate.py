"""`fanfare validate` as a producer meets it: every mistake with its place, and the examples without any."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
DEV = ROOT / "deploy" / "dev"
LANES = {
    "parcel-delivered": ("update",),
    "flight-delay": ("update",),
    "flight-optin": ("campaign",),
    "offer": ("campaign",),
    "login-code": ("otp", "--seal", "code=123456"),
}


def validate(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "streams.cli", "validate", *arguments]
    return subprocess.run(command, input=stdin, cwd=ROOT, capture_output=True, timeout=60, check=False)


def example(name: str) -> dict[str, Any]:
    """One of the examples."""
    return msgspec.json.decode((DEV / "examples" / f"{name}.json").read_bytes(), type=dict[str, Any])


@pytest.mark.parametrize("name", LANES)
def test_a_fresh_example_is_sound(name: str) -> None:
    """Also against the development registry."""
    file = str(DEV / "examples" / f"{name}.json")
    done = validate("-f", file, "--lane", *LANES[name], "--registry", str(DEV), "--fresh")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().split()[:2] == ["sound", example(name)["id"]]


def test_a_list_tells_at_what_rate_it_would_go_out() -> None:
    """How many people can be told before it expires; single messages need no time and say nothing."""
    file = str(DEV / "examples" / "offer.json")
    done = validate("-f", file, "--lane", "campaign", "--registry", str(DEV), "--fresh")
    assert "It goes out at 800 a second: " in done.stdout.decode()


def test_every_mistake_is_told_with_its_place() -> None:
    """Form, parties, slots and times in one go; the same as JSON for programs."""
    event = example("parcel-delivered")
    event |= {"time": "2020-01-01T06:40:00.000Z", "expirytime": "2020-01-02T06:40:00.000Z"}
    event["subjekt"] = event.pop("subject")
    event["data"] |= {"template": "parcel_delivered", "params": {"parcel": 7, "event_tim": "noon"}, "labels": "winter"}
    event["data"]["to"]["recipients"][1]["address"] = "0170 1234567"
    arguments = ("-f", "-", "--lane", "update", "--registry", str(DEV))
    done = validate(*arguments, stdin=msgspec.json.encode(event))
    assert done.returncode == 1
    head, *lines = done.stdout.decode().splitlines()
    assert head == "refused    delivered-1  8 faults"
    places = [line.split()[0] for line in lines]
    told = [
        msgspec.json.decode(line)
        for line in validate(*arguments, "--json", stdin=msgspec.json.encode(event)).stdout.splitlines()
    ]
    assert [one["place"] for one in told] == places
    assert {one["place"]: one["reason"] for one in told} == {
        "/subjekt": "unknown_field",
        "/subject": "missing_field",
        "/data/params/parcel": "invalid_field",
        "/data/labels": "invalid_field",
        "/data/to/recipients/1/address": "invalid_recipient",
        "/data/params/event_tim": "unknown_parameter",
        "/data/params": "missing_parameter",
        "/time": "stale",
    }


def test_each_line_may_be_an_event() -> None:
    """One verdict a line; a broken one does not end it."""
    sound = msgspec.json.encode(example("parcel-delivered"))
    done = validate("-f", "-", "--lane", "update", "--fresh", stdin=sound + b'\n{"id" "x\n\n' + sound)
    assert done.returncode == 1
    words = [line.split()[:2] for line in done.stdout.decode().splitlines() if not line.startswith(" ")]
    assert words == [["sound", "delivered-1"], ["refused", "event"], ["sound", "delivered-1"]]


def test_a_file_may_hold_an_array(tmp_path: Path) -> None:
    """Written over lines as people do, too."""
    file = tmp_path / "events.json"
    events = [example("parcel-delivered"), example("flight-delay") | {"id": ""}]
    file.write_bytes(msgspec.json.format(msgspec.json.encode(events), indent=2))
    done = validate("-f", str(file), "--lane", "update", "--json")
    told = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert [(one["event"], one["place"]) for one in told] == [(1, "/time"), (2, "/id"), (2, "/time")]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-f", "nowhere.json", "--lane", "update"), "nowhere.json"),
        (("-f", "-", "--lane", "updates"), "there are: otp, update, "),
        (("-f", "-", "--lane", "otp", "--seal", "code=1"), "--seal needs --registry"),
        (("-f", "-", "--lane", "otp", "--registry", "tests"), "no registry files (*.yaml) in tests"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: tuple[str, ...], says: str) -> None:
    """And status 1."""
    done = validate(*arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert says in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
