"""Folders of other releases: an earlier one opens, a later one is refused and left as it is, with a sentence on what to do."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from schemas.wire.head import FORMAT, READABLE_FORMATS
from streams.dev.kafka.data_folder import holding, home_of, read_record, settle_identity
from streams.dev.kafka.errors import WrongFolderError
from streams.kafka.reader import LogRecord
from streams.ledger.database import FILE, Books, BooksForeignError
from streams.ledger.tables import LAYOUT
from streams.runtime.data_format import GATEWAY_LOG, MARK, STACK, Kept, KeptError, open_kept
from streams.runtime.settings import load

EARLIER = {"cluster_id": "xv64RKCDSc6EN4xL4iGJXA", "nodes": 1, "ports": [24672, 25414]}
"""As the first release wrote ``cluster.json``."""
KAFKA = "4.1.1"


def planted(folder: Path, name: str, content: object) -> bytes:
    """Write a JSON file; its bytes."""
    raw = content if isinstance(content, bytes) else msgspec.json.encode(content)
    (folder / name).write_bytes(raw)
    return raw


def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Folders and books are made with modes 0700 and 0600, whatever the umask says; a folder that is there stays as it is."""
    before = os.umask(0)
    try:
        open_kept(tmp_path / "stack", STACK)
        with Books(tmp_path / "books" / FILE) as books:
            books.post(0, [LogRecord(0, 0, None, b"no charge")])
            modes = {each.name: each.stat().st_mode & 0o777 for each in (tmp_path / "books").iterdir()}
        with holding(home_of(tmp_path / "kafka")):
            folders = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
        tmp_path.chmod(0o755)
        open_kept(tmp_path, STACK)
    finally:
        os.umask(before)
    assert folders == {"stack": 0o700, "books": 0o700, "kafka": 0o700}
    assert {name: mode for name, mode in modes.items() if "sqlite3" in name} == {
        FILE: 0o600,
        f"{FILE}-wal": 0o600,
        f"{FILE}-shm": 0o600,
    }
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("kept", [STACK, GATEWAY_LOG], ids=lambda kept: kept.what)
def test_a_folder_is_marked_and_opens_again(kept: Kept, tmp_path: Path) -> None:
    """New, without a mark as the first release left it, or marked: it opens, and says its format from then on."""
    folder = tmp_path / "new"
    for _ in range(2):
        open_kept(folder, kept)
        assert msgspec.json.decode((folder / MARK).read_bytes())["format"] == kept.format
    planted(tmp_path, "events.jsonl", b"{}\n")
    open_kept(tmp_path, kept)
    assert (tmp_path / "events.jsonl").read_bytes() == b"{}\n"
    assert [path.name for path in folder.iterdir()] == [MARK]


@pytest.mark.parametrize("kept", [STACK, GATEWAY_LOG], ids=lambda kept: kept.what)
@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        pytest.param({"format": 2, "by": "fanfare 9.0"}, "of a later release (fanfare 9.0, format 2.1)", id="later"),
        pytest.param({"format": 1, "records": 9}, "of a later release (an earlier release, format 1.9)", id="records"),
        pytest.param({"format": 0}, "of an earlier release (format 0.1); this release reads from 1.1 on", id="too old"),
        pytest.param(b"{", "cannot be read", id="torn"),
        pytest.param({"format": "new"}, "cannot be read", id="another shape"),
    ],
)
def test_what_cannot_be_read_is_refused_and_left_as_it_is(
    kept: Kept, mark: object, sentence: str, tmp_path: Path
) -> None:
    """The sentence ends with what to do if nothing of it is needed."""
    raw = planted(tmp_path, MARK, mark)
    with pytest.raises(KeptError) as refused:
        open_kept(tmp_path, kept)
    assert sentence in str(refused.value)
    assert str(refused.value).endswith(f"{kept.afresh}.")
    assert (tmp_path / MARK).read_bytes() == raw


def test_a_mark_says_the_newest_format_of_records_that_may_be_there(tmp_path: Path) -> None:
    """What may be written is in it before anything is, and a later start that writes an older format does not take it back."""
    marks = []
    for newest in (1, 2, 1):
        open_kept(tmp_path, STACK, records=newest)
        marks.append(msgspec.json.decode((tmp_path / MARK).read_bytes())["records"])
    assert marks == [1, 2, 2]
    assert load().record_format == max(READABLE_FORMATS) == FORMAT


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    planted(tmp_path, "data", b"")
    with pytest.raises(KeptError, match=r"cannot be (read|written)"):
        open_kept(tmp_path / "data", STACK)


def test_a_cluster_of_an_earlier_release_opens(tmp_path: Path) -> None:
    """With its id; the file says its format and the release of Kafka from then on."""
    planted(tmp_path, "cluster.json", EARLIER)
    cluster_id, (node,) = settle_identity(tmp_path, nodes=1, ports=None, kafka=KAFKA)
    assert cluster_id == EARLIER["cluster_id"]
    assert node.node_id == 1
    written = msgspec.json.decode((tmp_path / "cluster.json").read_bytes())
    assert (written["format"], written["kafka"]) == (1, KAFKA)
    assert settle_identity(tmp_path, nodes=1, ports=None, kafka=KAFKA)[0] == cluster_id


@pytest.mark.parametrize(
    ("identity", "sentence"),
    [
        pytest.param(
            {"format": 2, "nodes": "many"}, "is of format 2, written by a later release; this one", id="later"
        ),
        pytest.param(
            EARLIER | {"kafka": "4.2.0"}, "holds records of Kafka 4.2.0, and this release runs 4.1.1", id="kafka"
        ),
        pytest.param(EARLIER | {"kafka": "5.0.0"}, "holds records of Kafka 5.0.0", id="kafka, next major"),
        pytest.param({"cluster_id": "x"}, "is damaged", id="fields missing"),
        pytest.param(EARLIER | {"nodes": 3, "ports": [1] * 6}, "holds a cluster of 3 nodes", id="another size"),
    ],
)
def test_a_cluster_that_this_release_cannot_run_is_refused(identity: object, sentence: str, tmp_path: Path) -> None:
    """Before anything of it is touched."""
    raw = planted(tmp_path, "cluster.json", identity)
    with pytest.raises(WrongFolderError) as refused:
        settle_identity(tmp_path, nodes=1, ports=None, kafka=KAFKA)
    assert sentence in str(refused.value)
    assert (tmp_path / "cluster.json").read_bytes() == raw


@pytest.mark.parametrize("release", ["4.1.0", "4.1.9", "4.0.2", "3.9.1"])
def test_records_of_an_earlier_kafka_are_gone_on_with(release: str, tmp_path: Path) -> None:
    """And of a later patch of the same release."""
    planted(tmp_path, "cluster.json", EARLIER | {"kafka": release})
    assert settle_identity(tmp_path, nodes=1, ports=None, kafka=KAFKA)[0] == EARLIER["cluster_id"]


def test_a_cluster_that_another_release_runs_is_told_of(tmp_path: Path) -> None:
    """Its record has another shape: `down` and `status` say whose command stops it."""
    home = home_of(tmp_path)
    with holding(home):
        planted(home, "run.json", {"process": 4})
        with pytest.raises(WrongFolderError, match="Another release runs the Kafka of"):
            read_record(home)


@pytest.mark.parametrize("layout", [LAYOUT - 1, LAYOUT + 1, 99])
def test_books_of_another_release_are_refused(layout: int, tmp_path: Path) -> None:
    """They can be rebuilt from the charges, so the sentence says to move them away."""
    path = tmp_path / FILE
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {layout}")
    with pytest.raises(BooksForeignError, match="another release; move it away, and the books are rebuilt"):
        Books(path)
