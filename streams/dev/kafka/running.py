"""Runs a cluster until somebody ends it, by Ctrl-C, SIGTERM or the death of its last node: here, or in the background."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Final

from streams.dev.kafka.cluster import Cluster, start_cluster
from streams.dev.kafka.data_folder import RunRecord, holding, home_of, is_held, read_record, write_record
from streams.dev.kafka.errors import ClusterError, NodeFailedError
from streams.dev.kafka.node import STOP_GRACE_S
from streams.dev.kafka.security import Secured
from streams.runtime.child import FANFARE

_WATCH_S: Final = 0.5


async def run_until_ended(
    *,
    nodes: int,
    data: Path | None,
    ports: Sequence[int] | None,
    say: Callable[[str], None],
    ready: Callable[[RunRecord], None],
    secured: Secured | None = None,
) -> None:
    """Start a cluster, call `ready` with its record, and return when it was asked to end and has stopped.

    Raises a ClusterError when it cannot start, and NodeFailedError when its last node exits unasked.
    """
    home = home_of(data)
    with holding(home):
        task = asyncio.current_task()
        assert task is not None
        ending = _end_on_signals(task)
        try:
            cluster = await start_cluster(nodes=nodes, data=data, ports=ports, say=say, secured=secured)
            try:
                secure = "" if cluster.security is None else str(cluster.security.folder)
                record = RunRecord(
                    os.getpid(),
                    cluster.bootstrap,
                    nodes,
                    str(cluster.folder),
                    temporary=data is None,
                    secure=secure,
                )
                write_record(home, record)
                ready(record)
                await _watch(cluster, nodes, say)
            finally:
                say("stopping Kafka")
                await cluster.stop()
        except asyncio.CancelledError:
            if not ending.is_set():
                raise
            task.uncancel()


def _end_on_signals(task: asyncio.Task[None]) -> asyncio.Event:
    """Cancel `task` at the first SIGINT or SIGTERM; later ones change nothing, as stopping has a deadline."""
    ending = asyncio.Event()

    def end() -> None:
        if not ending.is_set():
            ending.set()
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    return ending


async def _watch(cluster: Cluster, nodes: int, say: Callable[[str], None]) -> None:
    """Say when a node exits; raise NodeFailedError when none is left."""
    alive = nodes
    while alive:
        await asyncio.sleep(_WATCH_S)
        now_alive = len(cluster.java_pids)
        if now_alive < alive:
            say(f"a node exited; {now_alive} of {nodes} run")
        alive = now_alive
    raise NodeFailedError(f"Every node of the Kafka in {cluster.folder} exited unasked; see server.log there.")


_POLL_S: Final = 0.1
REFUSAL_PREFIX: Final = "fanfare: "
"""Prefix of a command's sentence of refusal."""

_LOG: Final = "run.log"
_STOP_DEADLINE_S: Final = 2 * STOP_GRACE_S


async def start_detached(
    *,
    nodes: int,
    data: Path | None,
    ports: Sequence[int] | None,
    say: Callable[[str], None],
    secured: Secured | None = None,
) -> RunRecord:
    """Start a cluster that outlives this process; return when it is ready. `say` gets its lines meanwhile.

    Raises a ClusterError, with nothing left running, when it cannot start or the caller gives up.
    """
    home = home_of(data)
    with holding(home):
        log_path = home / _LOG
        log_path.write_bytes(b"")
    process = _spawn(_options(nodes, data, ports, secured), log_path)
    try:
        with log_path.open(encoding="utf-8") as log:
            return await _follow(process, home, log=log, say=say)
    except asyncio.CancelledError:
        process.terminate()
        raise


async def stop_detached(home: Path) -> bool:
    """End the cluster of `home`, whoever runs it; False if none does.

    Raises NodeFailedError if its process does not go even when killed.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        record = read_record(home)
        if record is None and not is_held(home):
            return number is signal.SIGKILL
        if record is not None:
            os.kill(record.pid, number)
        if await _released(home):
            return True
    raise NodeFailedError(f"The process that runs the Kafka of {home} does not end.")


def _options(nodes: int, data: Path | None, ports: Sequence[int] | None, secured: Secured | None) -> list[str]:
    options = ["--nodes", str(nodes)]
    if data is not None:
        options += ["--data", str(data.absolute())]
    for port in ports or ():
        options += ["--port", str(port)]
    if secured is not None:
        options += ["--secure", *(word for each in secured.businesses for word in ("--business", each))]
    return options


def _spawn(options: Sequence[str], log_path: Path) -> subprocess.Popen[bytes]:
    with log_path.open("ab") as log:
        return subprocess.Popen(
            [*FANFARE, "kafka", "up", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def _follow(
    process: subprocess.Popen[bytes], home: Path, *, log: IO[str], say: Callable[[str], None]
) -> RunRecord:
    last = ""
    while True:
        record = read_record(home)
        ended = process.poll() is not None
        for line in log.read().splitlines():
            last = line or last
            # A refusal is raised below, so it is not said here as well.
            if record is None and not ended and not line.startswith(REFUSAL_PREFIX):
                say(line)
        if record is not None:
            return record
        if ended:
            raise ClusterError(
                last.removeprefix(REFUSAL_PREFIX) or f"The background process ended at once; see {home / _LOG}."
            )
        await asyncio.sleep(_POLL_S)


async def _released(home: Path) -> bool:
    try:
        async with asyncio.timeout(_STOP_DEADLINE_S):
            while is_held(home):
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        return False
    return True
