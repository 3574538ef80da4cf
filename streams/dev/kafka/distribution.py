"""Prepares the programs of Kafka: jars from a lock file with a SHA-256 for each, a Java, and the formatting of storage.

Jars are fetched by exact coordinate, never by a resolver: resolvers disagree on transitive versions
(one picked jackson 2.17.2 where Maven takes 2.19.0), and a class path that depends on the day is not
a dependency. Every jar is checked at every start, the cached ones too.
"""

import asyncio
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jgo.maven import MavenContext
from requests import RequestException

from streams.dev.kafka.errors import JarsUnavailableError, NodeFailedError, WrongChecksumError
from streams.dev.kafka.java import find_java
from streams.dev.kafka.properties import NodePlan
from streams.runtime.settings import cache_folder, java_home

LOCK_PATH: Final = Path(__file__).with_name("jars.lock")

_FETCHERS: Final = 8
"""Downloads at a time: enough to hide the round trips of 45 small files, few enough to be polite."""

_TRIES: Final = 3
_TIMEOUT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Jar:
    """Holds a line of the lock file."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """`group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """Its name in the cache, which is also its name in every repository."""
        return f"{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK_PATH) -> tuple[Jar, ...]:
    """Every jar of the lock file, in its order. `#` starts a comment line."""
    lines = (line for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#"))
    return tuple(_jar(line) for line in lines)


async def obtain_jars(jars: Sequence[Jar], *, cache: Path, say: Callable[[str], None]) -> tuple[Path, ...]:
    """Fetch what the folder `cache` lacks and return the class path, in the order of `jars`.

    Raises JarsUnavailableError when one cannot be fetched and WrongChecksumError when one, fetched or
    cached, is not the file that the lock names.
    """
    return await asyncio.to_thread(_obtain, jars, cache, say)


def _jar(line: str) -> Jar:
    sha256, coordinate = line.split()
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256)


def _obtain(jars: Sequence[Jar], cache: Path, say: Callable[[str], None]) -> tuple[Path, ...]:
    missing = [jar for jar in jars if not (cache / jar.file_name).exists()]
    if missing:
        _fetch_all(missing, cache, say)
    for jar in jars:
        _check(cache / jar.file_name, jar)
    return tuple(cache / jar.file_name for jar in jars)


def _fetch_all(missing: Sequence[Jar], cache: Path, say: Callable[[str], None]) -> None:
    _make_folder(cache)
    say(f"fetching Kafka jars, once, into {cache}")
    # jgo writes to the final name while it downloads; a folder of our own and a rename keep the cache whole
    # when this process is killed, and let two processes fetch side by side.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as scratch, ThreadPoolExecutor(_FETCHERS) as pool:
        context = MavenContext(repo_cache=Path(scratch), timeout=_TIMEOUT_S)
        fetches = [pool.submit(_fetch, context, jar, cache) for jar in missing]
        try:
            for done, fetch in enumerate(as_completed(fetches), start=1):
                fetch.result()
                if done % 6 == 0 or done == len(missing):
                    say(f"fetching Kafka jars {done}/{len(missing)}")
        finally:
            _cancel(fetches)


def _make_folder(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JarsUnavailableError(
            f"The folder for Kafka's jars, {cache}, cannot be made ({error.strerror}); set XDG_CACHE_HOME."
        ) from error


def _cancel(fetches: Iterable[Future[None]]) -> None:
    for fetch in fetches:
        fetch.cancel()


def _fetch(context: MavenContext, jar: Jar, cache: Path) -> None:
    fetched = _download(context, jar)
    _check(fetched, jar)
    fetched.replace(cache / jar.file_name)


def _download(context: MavenContext, jar: Jar) -> Path:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    reason: Exception | None = None
    for _ in range(_TRIES):
        try:
            return Path(artifact.resolve())
        except (RequestException, RuntimeError, OSError) as error:
            reason = error
            artifact.cached_path.unlink(missing_ok=True)
    raise JarsUnavailableError(
        f"Kafka's jar {jar.coordinate} cannot be fetched from the Maven registry (is the network there?): {reason}. "
        "To use a Kafka of your own, set FANFARE_KAFKA_BOOTSTRAP."
    ) from reason


def _check(path: Path, jar: Jar) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise WrongChecksumError(
            f"{path} is not the {jar.coordinate} that {LOCK_PATH.name} names (SHA-256 {found}, expected {jar.sha256}); "
            "it will not be run. Delete it to have it fetched again."
        )


_FORMAT_TIMEOUT_S: Final = 60
_MARK: Final = "formatted"

_FLAGS: Final = (
    "-Xms128m",
    "-Xmx512m",
    # Two cores and small heaps: the simplest collector and the quick compiler start fastest and use least.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    # No shared file in /tmp for each process.
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Holds a version of Kafka, ready to run."""

    version: str
    java: Path
    class_path: tuple[Path, ...]

    def command(self, main_class: str, *arguments: str | Path) -> list[str]:
        """The command line that runs `main_class`."""
        jars = os.pathsep.join(map(str, self.class_path))
        return [str(self.java), *_FLAGS, "-cp", jars, main_class, *map(str, arguments)]


async def obtain_distribution(say: Callable[[str], None]) -> Distribution:
    """Find Java and the jars, fetching what the cache lacks; see `find_java` and `obtain_jars` for refusals."""
    java = await asyncio.to_thread(find_java, java_home=java_home())
    jars = read_lock()
    version = next(jar.version for jar in jars if jar.artifact == "kafka-server")
    class_path = await obtain_jars(jars, cache=cache_folder() / f"kafka-{version}", say=say)
    return Distribution(version, java, class_path)


async def format_storage(
    distribution: Distribution, plans: Sequence[NodePlan], cluster_id: str, *, users: Sequence[str] = ()
) -> None:
    """Gives each node that has none a formatted log folder; one that has records keeps them, and its users."""
    fresh = [plan for plan in plans if not (plan.folder / _MARK).exists()]
    await asyncio.gather(*(asyncio.to_thread(_format, distribution, plan, (cluster_id, *users)) for plan in fresh))


def _format(distribution: Distribution, plan: NodePlan, given: Sequence[str]) -> None:
    # `--ignore-formatted`: an earlier attempt may have been killed before it left its mark.
    options: tuple[str | Path, ...] = ("format", "--ignore-formatted", "-c", plan.properties_path, "-t", *given)
    command = distribution.command("kafka.tools.StorageTool", *options)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NodeFailedError(f"Kafka's storage tool did not finish in {_FORMAT_TIMEOUT_S} s.") from error
    if done.returncode != 0:
        raise NodeFailedError(f"Kafka's storage tool refused {plan.folder}: {(done.stderr or done.stdout).strip()}")
    (plan.folder / _MARK).touch()
