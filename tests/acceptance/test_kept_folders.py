"""Commands that are given a data folder of a later release: refused at once, in one sentence, with the folder left as it is."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from streams.ledger.tables import LAYOUT
from streams.runtime.data_format import MARK
from streams.runtime.exits import Exit
from streams.runtime.settings import child_environment
from tests.acceptance.terminal import FANFARE

DEV = Path(__file__).parents[2] / "deploy" / "dev"
LATER = b'{"format":2,"records":1,"by":"fanfare 9.0"}\n'


def marked(folder: Path) -> None:
    """A development folder of a later release."""
    (folder / MARK).write_bytes(LATER)


def logged(folder: Path) -> None:
    """A gateway's log of a later release."""
    (folder / "gateway" / "otp").mkdir(parents=True)
    (folder / "gateway" / "otp" / MARK).write_bytes(LATER)


def clustered(folder: Path) -> None:
    """A Kafka of a later release."""
    (folder / "cluster.json").write_bytes(b'{"format":2}\n')


def booked(folder: Path) -> None:
    """Books of a later release."""
    with closing(sqlite3.connect(folder / "ledger.sqlite3")) as db:
        db.execute(f"PRAGMA user_version = {LAYOUT + 1}")


@pytest.mark.parametrize(
    ("plant", "command", "sentence"),
    [
        (marked, ("dev", "--free-ports", "--data", "{}"), "holds a deployment on one machine of a later release"),
        (marked, ("demo", "--plain", "--free-ports", "--data", "{}"), "of a later release (fanfare 9.0, format 2.1)"),
        (
            logged,
            ("gateway", "--lane", "otp", "--registry", str(DEV), "--data", "{}"),
            "holds the log of a simulated gateway of a later release",
        ),
        (clustered, ("kafka", "up", "--data", "{}"), "is of format 2, written by a later release"),
    ],
    ids=["dev", "demo", "gateway", "kafka up"],
)
def test_a_folder_of_a_later_release_is_refused(
    plant: Callable[[Path], None], command: tuple[str, ...], sentence: str, tmp_path: Path
) -> None:
    """What to do instead; a process is not to be started again as it is."""
    plant(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    filled = [part.format(tmp_path) for part in command]
    ended = subprocess.run([*FANFARE, *filled], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == (Exit.REFUSED_START if command[0] == "gateway" else 1), ended.stderr
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_books_of_a_later_release_are_not_shown(tmp_path: Path) -> None:
    """`ledger --show` needs no Kafka, so it is told before one is looked for."""
    booked(tmp_path)
    ended = subprocess.run(
        [*FANFARE, "ledger", "--show"],
        env={"PATH": "", "FANFARE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert "is no ledger of this release" in ended.stderr


@pytest.mark.parametrize(
    ("plant", "line"),
    [
        (marked, "missing  data      {} holds a deployment on one machine of a later release"),
        (logged, "missing  data      {}/gateway/otp holds the log of a simulated gateway of a later release"),
        (booked, "ok       data      {} can be opened by this release"),
    ],
    ids=["stack", "gateway", "books, which the ledger looks at"],
)
def test_the_doctor_looks_at_the_folder(plant: Callable[[Path], None], line: str, tmp_path: Path) -> None:
    """Without opening or marking anything."""
    plant(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    ended = subprocess.run(
        [*FANFARE, "doctor", "--bootstrap", "127.0.0.1:1"],
        env=child_environment(data_dir=tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert line.format(tmp_path) in ended.stdout
    assert sorted(tmp_path.rglob("*")) == before
