"""What is run is what the lock names, by a Java that is new enough; anything else is refused with a sentence."""

import dataclasses
import gc
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from streams.dev.kafka.distribution import obtain_jars, read_lock
from streams.dev.kafka.errors import JarsUnavailableError, NoJavaError, WrongChecksumError
from streams.dev.kafka.java import OLDEST_JAVA, PACKAGED_JAVA, find_java, java_version

SMALL = next(jar for jar in read_lock() if jar.artifact == "kafka-tools-api")
"""The smallest of Kafka's own jars: 9 kB from the registry."""


def test_the_lock_names_every_jar_once() -> None:
    """45 jars, each with a SHA-256, each file name once, so none hides another in the cache."""
    jars = read_lock()
    assert len(jars) == len({jar.file_name for jar in jars}) == 45
    assert {len(bytes.fromhex(jar.sha256)) for jar in jars} == {32}


async def test_a_jar_is_fetched_once_and_checked_each_time(tmp_path: Path) -> None:
    """The first call fetches and says so; the second finds the file and is silent."""
    said: list[str] = []
    cache = tmp_path / "cache"
    (path,) = await obtain_jars([SMALL], cache=cache, say=said.append)
    assert path == cache / SMALL.file_name
    assert said == [f"fetching Kafka jars, once, into {cache}", "fetching Kafka jars 1/1"]
    said.clear()
    assert await obtain_jars([SMALL], cache=cache, say=said.append) == (path,)
    assert said == []


async def test_a_changed_jar_in_the_cache_is_not_run(tmp_path: Path) -> None:
    """One changed byte is refused with the file, what it should be, and what to do."""
    (path,) = await obtain_jars([SMALL], cache=tmp_path, say=lambda _: None)
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(WrongChecksumError, match=r"kafka-tools-api-.*\.jar is not .*will not be run\. Delete it"):
        await obtain_jars([SMALL], cache=tmp_path, say=lambda _: None)


async def test_a_jar_that_arrives_wrong_is_not_kept(tmp_path: Path) -> None:
    """What the registry sends is checked before it gets its name in the cache."""
    expected_other = dataclasses.replace(SMALL, sha256="00" * 32)
    with pytest.raises(WrongChecksumError, match=f"expected {'00' * 32}"):
        await obtain_jars([expected_other], cache=tmp_path, say=lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:.*SSLSocket")  # jgo leaves the refused answer to the garbage collector
async def test_a_jar_that_nobody_has_is_refused(tmp_path: Path) -> None:
    """A coordinate that the registry does not know ends in one sentence that names it."""
    unknown = dataclasses.replace(SMALL, artifact="no-such-artifact-of-kafka")
    with pytest.raises(JarsUnavailableError, match=f"{unknown.coordinate} cannot be fetched"):
        await obtain_jars([unknown], cache=tmp_path, say=lambda _: None)
    gc.collect()


async def test_a_cache_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file where the cache folder should be is named, with the variable that moves the cache."""
    (tmp_path / "cache").write_text("a file", "utf-8")
    with pytest.raises(JarsUnavailableError, match="set XDG_CACHE_HOME"):
        await obtain_jars([SMALL], cache=tmp_path / "cache", say=lambda _: None)


def test_without_a_network_the_command_says_so(tmp_path: Path) -> None:
    """`fanfare kafka up` without network and cache prints one sentence, no stack, and exits 1."""
    unreachable = "http://127.0.0.1:9"
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(tmp_path),
        "HTTPS_PROXY": unreachable,
        "https_proxy": unreachable,
    }
    command = [sys.executable, "-m", "streams.cli", "kafka", "up", "--data", str(tmp_path / "records")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("fanfare: Kafka's jar ")
    assert "is the network there?" in done.stderr
    assert done.stderr.count("\n") == 1


def executable(path: Path, says: str) -> Path:
    """A program that answers `-version` as some Java does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}' >&2\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ('java version "1.8.0_452"', 8),
        ('openjdk version "11.0.27" 2025-04-15', 11),
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "26-ea" 2026-03-17', 26),
        ("command not found", None),
    ],
)
def test_a_java_tells_its_version(tmp_path: Path, says: str, version: int | None) -> None:
    """Old and new ways of writing it are understood; anything else is no Java."""
    assert java_version(executable(tmp_path / "java", says)) == version


def test_the_first_java_that_is_new_enough_is_taken(tmp_path: Path) -> None:
    """JAVA_HOME comes before the path, and one that is too old is passed over."""
    old = executable(tmp_path / "old" / "bin" / "java", 'openjdk version "11.0.27"')
    new = executable(tmp_path / "new" / "bin" / "java", 'openjdk version "21.0.7"')
    assert find_java(java_home=tmp_path / "new", search_path=str(old.parent)) == new
    assert find_java(java_home=tmp_path / "old", search_path=str(new.parent)) == new
    assert find_java(java_home=None, search_path=str(old.parent)) == PACKAGED_JAVA


def test_the_packaged_java_runs_kafka() -> None:
    """On a machine without Java the packaged runtime is new enough."""
    assert PACKAGED_JAVA is not None
    version = java_version(PACKAGED_JAVA)
    assert version is not None
    assert version >= OLDEST_JAVA


def test_without_any_java_a_sentence_says_what_was_tried(tmp_path: Path) -> None:
    """Each candidate is named with its version, and both ways out."""
    old = executable(tmp_path / "bin" / "java", 'openjdk version "11.0.27"')
    gone = tmp_path / "gone"
    with pytest.raises(
        NoJavaError, match=r"Java 17 or later; tried .*\(Java 11\), .*gone \(does not run\)\. Set JAVA_HOME"
    ):
        find_java(java_home=None, search_path=str(old.parent), packaged=gone)


def test_without_a_java_it_says_that_there_is_none(tmp_path: Path) -> None:
    """An installation for a server has no packaged one."""
    with pytest.raises(NoJavaError, match=r"Java 17 or later; found none\. Set JAVA_HOME"):
        find_java(java_home=None, search_path=str(tmp_path), packaged=None)


def test_a_java_that_is_slow_is_not_said_to_be_broken(tmp_path: Path) -> None:
    """On a crowded machine the sentence names the time that was not enough."""
    slow = tmp_path / "bin" / "java"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    with pytest.raises(NoJavaError, match=r"java \(did not say its version within 0\.1 s\), .*gone \(does not run\)"):
        find_java(java_home=None, search_path=str(slow.parent), packaged=tmp_path / "gone", timeout_s=0.1)
