"""How long `fanfare explain` takes over a day of traffic: ``python -m tests.load.explain_bench [--data DIR] [--stories N]``.

The day is the one that `fanfare demo` leaves behind, 100,000 messages; with ``--data`` it is kept, and asked again without being
played once more. Each story is asked as an operator asks it, by a command of its own: by source and id, by the request's name,
and about one person. Ends with one line of JSON: seconds of wall time by the way of asking, and CPU seconds of one command.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from schemas import topics
from schemas.status import Status
from schemas.wire import cloudevents
from streams.dev.kafka.cluster import start_cluster
from streams.kafka.scan import scan
from streams.registry.read import read_registry
from tests.load.gauges import say

BOUND_S = 2.0
PERSON = "tel:+12125550123"
"""Nobody of the day: the whole way is gone all the same, audience and suppressions included."""


class Asked(NamedTuple):
    """One command: how it asks, its arguments, its time and its lines."""

    way: str
    seconds: float
    cpu_s: float
    lines: int


def play(data: Path) -> None:
    """Let the demo leave its day in ``data``."""
    say("playing the day of the demo, which takes two minutes")
    command = [sys.executable, "-m", "streams.cli", "demo", "--plain", "--free-ports", "--data", str(data)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"the demo ended with {ended.returncode}: {ended.stderr[-500:]}")
    say(ended.stdout.splitlines()[-1])


async def closed(bootstrap: str) -> dict[tuple[str, int], Status]:
    """The last word about every part of a request that is over: by request and shard."""
    found: dict[tuple[str, int], Status] = {}
    for business in (await read_registry(bootstrap)).businesses:
        async for bite in scan(bootstrap, topics.status(business)):
            for record in bite:
                told = cloudevents.decode_status(record.value or b"")
                if told is not None and told.state == "closed":
                    found[told.request, told.shard] = told
    return found


def ask(bootstrap: str, way: str, *arguments: str) -> Asked:
    """Run one command to its end."""
    command = [sys.executable, "-m", "streams.cli", "explain", *arguments, "--bootstrap", bootstrap]
    before, started = os.times(), time.perf_counter()
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    return Asked(way, time.perf_counter() - started, cpu_s, len(ended.stdout.splitlines()))


async def measure(data: Path, stories: int, seed: int) -> dict[str, object]:
    """Ask about requests spread over the day."""
    cluster = await start_cluster(data=data / "kafka", say=say)
    try:
        parts = await closed(cluster.bootstrap)
        told = {part.request: part for part in parts.values()}
        chosen = random.Random(seed).sample(list(told.values()), min(stories, len(told)))
        asked = [
            ask(cluster.bootstrap, way, *arguments)
            for one in chosen
            for way, arguments in (
                ("source_id", (one.source, one.id)),
                ("name", (one.request,)),
                ("person", (one.source, one.id, PERSON)),
            )
        ]
    finally:
        await cluster.stop()
    times_ms = {way: sorted(int(each.seconds * 1000) for each in asked if each.way == way) for way in _ways(asked)}
    return {
        "requests": len(told),
        "messages": sum(sum(part.counts.values()) for part in parts.values()),
        "asked": len(asked),
        "lines_max": max(each.lines for each in asked),
        "seconds": {
            way: {"p50": spent[(len(spent) - 1) // 2] / 1000, "max": spent[-1] / 1000}
            for way, spent in times_ms.items()
        },
        "cpu_s_p50": round(sorted(each.cpu_s for each in asked)[len(asked) // 2], 2),
        "bound_s": BOUND_S,
        "over": sum(each.seconds > BOUND_S for each in asked),
    }


def _ways(asked: list[Asked]) -> list[str]:
    return list(dict.fromkeys(each.way for each in asked))


def main() -> int:
    """Play the day if it is not there, ask, say how long it took; 1 if a story took too long."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.explain_bench", description=__doc__)
    parser.add_argument("--data", type=Path, help="where the day lies or is to be kept; else a temporary folder")
    parser.add_argument("--stories", type=int, default=10, help="how many requests to ask about (10)")
    parser.add_argument("--seed", type=int, default=1, help="decides which")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fanfare-explain-") as folder:
        data = chosen.data or Path(folder)
        if not (data / "kafka").exists():
            play(data)
        figures = asyncio.run(measure(data, chosen.stories, chosen.seed))
    print(json.dumps(figures))
    return int(bool(figures["over"]))


if __name__ == "__main__":
    sys.exit(main())
