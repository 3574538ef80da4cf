"""Prepares the programs of Kafka on this machine: a Java and a checked class path, and the formatting of a node's storage."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.dev.kafka.errors import NodeFailedError
from streams.dev.kafka.jars import obtain_jars, read_lock
from streams.dev.kafka.java import find_java
from streams.dev.kafka.properties import NodePlan
from streams.runtime.settings import cache_folder, java_home

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
