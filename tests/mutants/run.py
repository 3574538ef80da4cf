"""`python -m tests.mutants.run [NAME ...]`: plants each bug in a copy of the sources and runs the command that must catch it.

A patch begins with two lines, ``Promise:`` (what it breaks) and ``Caught-by:`` (arguments for Python); the diff follows. Prints a
table, and one line of JSON at the end; exits with 1 if a bug survives or no longer fits the sources.
"""

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
PATCHES: Final = Path(__file__).parent
_COPIED: Final = ("broker", "schemas", "streams", "tests", "deploy", "pyproject.toml", "README.md", "Makefile")
_PATIENCE_S: Final = 600


class Mutant(NamedTuple):
    """A planted bug."""

    name: str
    promise: str
    caught_by: tuple[str, ...]
    patch: Path


def mutants() -> Iterator[Mutant]:
    """Yields every planted bug, by name; ``ValueError`` for a patch that does not say what it breaks and what catches it."""
    for patch in sorted(PATCHES.glob("*.patch")):
        promise, caught_by = (line.partition(": ") for line in patch.read_text("utf-8").splitlines()[:2])
        if (promise[0], caught_by[0]) != ("Promise", "Caught-by"):
            raise ValueError(f"{patch.name} does not begin with Promise: and Caught-by:")
        yield Mutant(patch.stem, promise[2], tuple(caught_by[2].split()), patch)


def verdict_of(mutant: Mutant, sound: dict[tuple[str, ...], bool]) -> str:
    """Plants a bug and returns ``caught``, ``survived``, or why it could not be tried.

    ``sound`` remembers of each command whether it succeeds without a bug: one that fails anyway catches nothing.
    """
    if mutant.caught_by not in sound:
        with _sources() as copy:
            sound[mutant.caught_by] = _ended(copy, mutant.caught_by) == 0
    if not sound[mutant.caught_by]:
        return "fails anyway"
    with _sources() as copy:
        planting = ["patch", "-p1", "--quiet", "--input", str(mutant.patch)]
        if subprocess.run(planting, cwd=copy, check=False, capture_output=True).returncode:
            return "does not fit"
        code = _ended(copy, mutant.caught_by)
    return {0: "survived", 1: "caught"}.get(code, f"ended with {code}")


def _ended(copy: Path, command: tuple[str, ...]) -> int:
    """Returns the exit code of a command in a copy; -1 if it takes too long."""
    try:
        ran = subprocess.run(
            [sys.executable, *command], cwd=copy, check=False, capture_output=True, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        return -1
    return ran.returncode


@contextlib.contextmanager
def _sources() -> Iterator[Path]:
    """A copy of the sources, which goes away again."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        for name in _COPIED:
            _copy(ROOT / name, Path(folder) / name)
        yield Path(folder)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    else:
        shutil.copy(source, target)


def main() -> int:
    """Try them all, or those that are named."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="planted bugs to try (all)")
    asked = parser.parse_args()
    survivors: list[str] = []
    sound: dict[tuple[str, ...], bool] = {}
    tried = 0
    for mutant in mutants():
        if asked.names and mutant.name not in asked.names:
            continue
        begun_s = time.monotonic()
        verdict = verdict_of(mutant, sound)
        tried += 1
        survivors += [mutant.name] * (verdict != "caught")
        print(f"{verdict:12} {time.monotonic() - begun_s:5.0f} s  {mutant.name:34} {mutant.promise}", flush=True)
    print(json.dumps({"planted": tried, "caught": tried - len(survivors), "survived": survivors}))
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
