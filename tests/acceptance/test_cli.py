"""The command `fanfare` as a newcomer meets it: help that teaches, quickly, and a table that is true."""

import importlib
import signal
import socket
import subprocess
import sys

import pytest

from streams import __version__
from streams.cli import COMMANDS
from streams.commands.completion import candidates
from streams.commands.group import command_of
from streams.commands.terminal import INTERRUPTED

HEAVY = ("aiokafka", "faust", "aiohttp", "numpy", "typer")


def fanfare(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_every_command(arguments: tuple[str, ...]) -> None:
    """However it is asked for, the overview names each command with what it is for, and exits 0."""
    done = fanfare(*arguments)
    assert done.returncode == 0
    for name, _, text in COMMANDS:
        assert any(line.split() == [name, *text.split()] for line in done.stdout.splitlines())


def test_help_imports_nothing_heavy() -> None:
    """The overview comes at once: no library of Kafka, HTTP or numbers is loaded for it."""
    script = (
        f"import sys; from streams.cli import main; main(['--help']); sys.exit(bool(set(sys.modules) & {set(HEAVY)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0


def test_an_unknown_command_is_refused_with_the_known_ones() -> None:
    """A typing error ends with status 2 and the list."""
    done = fanfare("kafak")
    assert done.returncode == 2
    assert done.stderr.startswith("fanfare: there is no command 'kafak'; did you mean kafka? There are: ")
    assert all(name in done.stderr for name, _, _ in COMMANDS)
    assert done.stdout == ""


@pytest.mark.parametrize(("name", "module", "text"), COMMANDS)
def test_every_row_of_the_table_can_be_called(name: str, module: str, text: str) -> None:
    """Each module holds a typer application, and its own help works."""
    assert hasattr(importlib.import_module(module), "app")
    done = fanfare(name, "--help")
    assert done.returncode == 0
    assert f"Usage: fanfare {name}" in done.stdout
    assert text


@pytest.mark.parametrize(
    "arguments", [("ledger", "items", "-h"), ("help", "ledger", "items"), ("-h", "ledger", "items")]
)
def test_help_is_had_as_fingers_ask_for_it(arguments: tuple[str, ...]) -> None:
    """Behind a command, before it, in one letter."""
    done = fanfare(*arguments)
    assert done.returncode == 0
    assert "Usage: fanfare ledger items" in done.stdout


def test_the_version_is_told() -> None:
    """That of the sources, which is that of the distribution."""
    assert fanfare("--version").stdout == f"fanfare {__version__}\n"


COMPLETED = {
    "a command": (("pu",), ["publish"]),
    "any command": (("",), [*(name for name, _, _ in COMMANDS), "help"]),
    "a command that is asked about": (("help", "pub"), ["publish"]),
    "a sub-command": (("registry", ""), ["apply", "show"]),
    "an option": (("publish", "--fo"), ["--follow"]),
    "an option of a sub-command": (("ledger", "items", "--mo"), ["--month"]),
    "a lane": (("publish", "--lane", "u"), ["update"]),
    "a file": (("publish", "-f", "x"), []),
    "a command that is none": (("nothing", ""), []),
}


@pytest.mark.parametrize(("words", "found"), COMPLETED.values(), ids=COMPLETED.keys())
def test_the_tab_key_offers_what_may_follow(words: tuple[str, ...], found: list[str]) -> None:
    """Commands, options and lanes that begin so; nothing where the shell knows better."""
    assert list(candidates(list(words))) == found


def test_bash_completes() -> None:
    """The printed script, loaded into a real bash."""
    script = fanfare("completion", "bash").stdout
    asking = "COMP_WORDS=(fanfare registry sh); COMP_CWORD=2; _fanfare; echo ${COMPREPLY[*]}"
    called = f'fanfare() {{ "{sys.executable}" -m streams.cli "$@"; }}'
    done = subprocess.run(
        ["bash", "-c", f"{called}\n{script}\n{asking}"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "show\n"


@pytest.mark.parametrize("arguments", [("--help",), ("publish", "--help"), ("schema",), ("schema", "vectors.json")])
def test_a_reader_that_stops_reading_is_no_accident(arguments: tuple[str, ...]) -> None:
    """`| head` and a pager that is closed: the program ends, and says nothing about it."""
    command = [sys.executable, "-m", "streams.cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""


@pytest.mark.parametrize("ignored", [False, True], ids=["in the foreground", "before & in a script"])
def test_an_interrupt_is_heard(*, ignored: bool) -> None:
    """A shell without job control starts what stands before ``&`` with SIGINT ignored; whoever sends it means it all the same."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bootstrap = f"127.0.0.1:{silent.getsockname()[1]}"
        command = ["sh", "-c", 'trap "" INT; exec "$@"' if ignored else 'exec "$@"', "sh", sys.executable]
        with subprocess.Popen([*command, "-m", "streams.cli", "registry", "show", "--bootstrap", bootstrap]) as running:
            silent.settimeout(60)
            asked, _ = silent.accept()
            with asked:
                running.send_signal(signal.SIGINT)
                assert running.wait(30) == INTERRUPTED


@pytest.mark.parametrize(("name", "meaning"), [("gateway", "How people behave"), ("publish", "[profile.NAME]")])
def test_an_option_of_all_commands_hides_none_of_their_own(name: str, meaning: str) -> None:
    """The simulated gateway has profiles of people; a profile of settings is chosen by FANFARE_PROFILE there."""
    (profile,) = (each for each in command_of(name).params if "--profile" in each.opts)
    assert meaning in profile.help
