"""Whatever ends the process that wanted a Kafka ends the Kafka too: Ctrl-C, SIGTERM, kill -9, at any moment."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.dev.kafka.data_folder import read_record
from tests.support.programs import processes_naming, until

HOLD_A_TEMPORARY_CLUSTER = """
import asyncio
from streams.dev.kafka.cluster import start_cluster

async def main():
    cluster = await start_cluster(say=lambda line: print(line, flush=True))
    print(cluster.folder, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""

pytestmark = pytest.mark.plain_kafka("the command starts a plain Kafka of its own")


@contextlib.contextmanager
def fanfare_kafka_up(data: Path) -> Iterator[subprocess.Popen[str]]:
    """`fanfare kafka up` as a shell runs it: a process group of its own, which Ctrl-C reaches as a whole."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "kafka", "up", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGINT, 0, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 0, id="SIGTERM"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="kill -9"),
    ],
)
async def test_no_broker_outlives_the_command(tmp_path: Path, number: signal.Signals, status: int) -> None:
    """However the whole group of `fanfare kafka up` is ended, no process of the cluster is left."""
    with fanfare_kafka_up(tmp_path) as process:
        await until(lambda: read_record(tmp_path) is not None, deadline_s=60)
        assert len(processes_naming(tmp_path)) >= 2
        os.killpg(process.pid, number)
        assert process.wait(30) == status
        await until(lambda: processes_naming(tmp_path) == [])
        assert read_record(tmp_path) is None


async def test_ctrl_c_during_the_start_leaves_nothing(tmp_path: Path) -> None:
    """A start that is given up half-way ends with status 0 and no process."""
    with fanfare_kafka_up(tmp_path) as process:
        await until(lambda: processes_naming(tmp_path / "n1") != [], deadline_s=60)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 0
        await until(lambda: processes_naming(tmp_path) == [])


async def test_a_temporary_cluster_is_removed_when_its_owner_is_killed() -> None:
    """After kill -9 of the owner its broker goes and takes the temporary records along."""
    command = [sys.executable, "-c", HOLD_A_TEMPORARY_CLUSTER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = next(Path(line.strip()) for line in owner.stdout if line.startswith("/"))
        assert processes_naming(folder)
        owner.kill()
    await until(lambda: processes_naming(folder) == [])
    await until(lambda: not folder.exists())


async def test_a_broker_dies_with_its_guard(tmp_path: Path) -> None:
    """Even the guard may be killed: the kernel then ends the broker (PR_SET_PDEATHSIG)."""
    with fanfare_kafka_up(tmp_path) as process:
        await until(lambda: read_record(tmp_path) is not None, deadline_s=60)
        guard, *_ = (pid for pid in processes_naming("guard.py") if pid in processes_naming(tmp_path))
        os.kill(guard, signal.SIGKILL)
        assert process.wait(30) == 1
        await until(lambda: processes_naming(tmp_path) == [])
