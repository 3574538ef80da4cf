"""A cluster that runs until somebody ends it: Ctrl-C, SIGTERM, or the death of its last node."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from streams.dev.kafka.cluster import Cluster, start_cluster
from streams.dev.kafka.data_folder import RunRecord, holding, home_of, write_record
from streams.dev.kafka.errors import NodeFailedError
from streams.dev.kafka.security import Secured

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
