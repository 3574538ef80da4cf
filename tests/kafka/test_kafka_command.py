"""`fanfare kafka`: up in the background, status, down, and what each says and exits with."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.runtime.ports import free_ports
from tests.support.programs import processes_naming

pytestmark = pytest.mark.plain_kafka("the command starts a plain Kafka of its own")


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder whose cluster is stopped in the end, whatever the test did."""
    folder = tmp_path / "records"
    yield folder
    fanfare_kafka("down", "--data", str(folder))


def fanfare_kafka(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without a Kafka of the surroundings."""
    environment = {name: value for name, value in os.environ.items() if name != "FANFARE_KAFKA_BOOTSTRAP"}
    command = [sys.executable, "-m", "streams.cli", "kafka", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_up_in_the_background_then_status_then_down(data: Path) -> None:
    """The addresses are told, a second start is refused, status is well, and down leaves no process."""
    port = free_ports(1)[0]
    option = ("--data", str(data))
    begun = fanfare_kafka("up", "--detach", "--port", str(port), *option)
    assert begun.returncode == 0, begun.stderr
    assert f"export FANFARE_KAFKA_BOOTSTRAP=127.0.0.1:{port} " in begun.stdout
    assert f"fanfare kafka down --data {data}" in begun.stdout

    again = fanfare_kafka("up", *option)
    assert again.returncode == 1
    assert f"Kafka is up already at 127.0.0.1:{port}" in again.stderr

    state = fanfare_kafka("status", *option)
    assert state.returncode == 0
    assert [line.split() for line in state.stdout.splitlines()[:2]] == [
        ["bootstrap", f"127.0.0.1:{port}"],
        ["brokers", "1"],
    ]

    assert fanfare_kafka("down", *option).stdout == "Kafka has stopped.\n"
    assert processes_naming(data) == []


def test_nothing_runs(data: Path) -> None:
    """Status says so and exits 1; down says so and exits 0, as what it is for is the case."""
    state = fanfare_kafka("status", "--data", str(data))
    assert (state.returncode, state.stdout) == (1, "No Kafka is running; `fanfare kafka up` starts one.\n")
    ended = fanfare_kafka("down", "--data", str(data))
    assert (ended.returncode, ended.stdout) == (0, "No Kafka was running.\n")


def test_status_of_a_kafka_that_does_not_answer(data: Path) -> None:
    """An address where nothing listens is one sentence and exit 1."""
    state = fanfare_kafka("status", "--bootstrap", f"127.0.0.1:{free_ports(1)[0]}", "--data", str(data))
    assert state.returncode == 1
    assert state.stderr.startswith("fanfare: No Kafka answers at 127.0.0.1:")


def test_a_refusal_in_the_background_reaches_the_terminal(data: Path) -> None:
    """What the background process refuses is said, once, by the one who asked."""
    refused = fanfare_kafka("up", "--detach", "--nodes", "3", "--port", "19092", "--data", str(data))
    assert (refused.returncode, refused.stderr) == (1, "fanfare: 3 nodes need 3 ports, not 1.\n")
