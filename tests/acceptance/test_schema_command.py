"""`fanfare schema` as its users meet it: print one, list all, and say what a change breaks."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

GENERATED = Path(__file__).parents[2] / "schemas" / "generated"


def schema(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "streams.cli", "schema", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_all_are_listed_and_each_can_be_printed() -> None:
    """One line each; what is printed is the generated file."""
    done = schema()
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == sorted(path.stem for path in GENERATED.glob("*.json"))
    assert schema("notification").stdout == (GENERATED / "notification.v1.json").read_text("utf-8")
    assert schema("vectors.json").stdout == (GENERATED / "vectors.json").read_text("utf-8")


def test_a_break_of_producers_has_its_place_and_status_1(tmp_path: Path) -> None:
    """A longer list of required fields breaks who publishes; more room breaks nobody."""
    changed = msgspec.json.decode((GENERATED / "notification.v1.json").read_bytes())
    changed["$defs"]["NotificationEvent"]["required"].append("subject")
    changed["$defs"]["Notification"]["properties"]["labels"]["maxProperties"] = 8
    file = tmp_path / "new.json"
    file.write_bytes(msgspec.json.encode(changed))
    done = schema("diff", "notification.v1", str(file))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "compatible  data.labels  maxProperties rises from 4 to 8",
        "break       subject  is required now; who publishes it breaks",
    ]
    assert done.stderr == "2 changes, 1 of them a break\n"
    back = schema("diff", str(file), "notification.v1")
    assert [line.split()[:2] for line in back.stdout.splitlines()] == [
        ["break", "data.labels"],
        ["compatible", "subject"],
    ]


def test_what_fanfare_writes_breaks_its_readers(tmp_path: Path) -> None:
    """The other way round: a status may get stricter and grow, but lose nothing."""
    changed = msgspec.json.decode((GENERATED / "status.v1.json").read_bytes())
    properties = changed["$defs"]["Status"]["properties"]
    del properties["detail"]
    properties["place"] = {"type": "string"}
    changed["$defs"]["Status"]["required"].append("reason")
    file = tmp_path / "new.json"
    file.write_bytes(msgspec.json.encode(changed))
    done = schema("diff", "status", str(file))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "break       detail  is gone; who reads it breaks",
        "compatible  place  is new",
        "compatible  reason  is required now",
    ]
    assert schema("diff", "status", str(file), "--written-by", "business").returncode == 1


def test_the_page_is_written(tmp_path: Path) -> None:
    """One file to send around; a place that cannot be written is said."""
    file = tmp_path / "contract.html"
    assert schema("page", "-o", str(file)).returncode == 0
    assert file.read_bytes() == (GENERATED / "asyncapi.html").read_bytes()
    done = schema("page", "-o", str(tmp_path / "no" / "folder"))
    assert (done.returncode, "cannot be written: No such file" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("status",), 0, ""),
        (("diff", "status", "status.v1.json"), 0, "no change"),
        (("statues",), 1, "there is no schema 'statues'; there are: "),
        (("diff", "status", "nothing"), 2, "nothing is neither a file nor one of "),
        (("diff", "status", __file__), 2, "holds no JSON Schema"),
        (("diff", "vectors", "status"), 2, "holds no JSON Schema: none of "),
    ],
)
def test_each_end_has_its_status(arguments: tuple[str, ...], status: int, says: str) -> None:
    """0 and 1 are verdicts of a comparison, 2 is none."""
    done = schema(*arguments)
    assert done.returncode == status
    assert says in done.stderr
