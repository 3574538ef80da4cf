"""HTTP intake under load: ``python -m tests.load.intake [--per-second 200] [--seconds 20] [--batch 1] [--people 1]``.

A Kafka and one intake of its own, nothing else. Open loop: requests at the instants of a Poisson process over kept connections,
each timed from the call of the client to the end of its answer. Ends with one line of JSON:
``{"requests","events","answers","p50_ms","p99_ms","max_ms","cpu_us_an_event"}``.
"""

import argparse
from collections import Counter
from typing import Final

import aiohttp
import uvloop

from schemas.lanes import Lane
from streams.dev.recordings.playback import Latencies
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from tests.acceptance.http_inputs import Call, call_of, send
from tests.kafka.registered import SHARDS, registered_kafka
from tests.load.gauges import at_pace, cpu_us_of, end
from tests.support.programs import Program

_SEED: Final = 4


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.intake", description=__doc__)
    parser.add_argument("--per-second", type=int, default=200, help="requests a second (200)")
    parser.add_argument("--seconds", type=int, default=20, help="how long (20)")
    parser.add_argument("--batch", type=int, default=1, help="events of a request (1)")
    parser.add_argument("--people", type=int, default=1, help="recipients of an event (1)")
    asked = parser.parse_args()
    with registered_kafka() as bootstrap:
        end(uvloop.run(_measure(bootstrap, asked)))


async def _measure(bootstrap: Address, asked: argparse.Namespace) -> dict[str, object]:
    program = Program("intake")
    await program.start("intake", bootstrap=bootstrap, intake_metrics_port=0, shards=SHARDS)
    try:
        return await _load(program, asked)
    finally:
        await program.kill()


async def _load(program: Program, asked: argparse.Namespace) -> dict[str, object]:
    answers: Counter[int] = Counter()
    took = Latencies()

    async def one(number: int) -> None:
        call = _call(number, asked.batch, asked.people)
        begun_ms = clock.monotonic_ms()
        answers[(await send(session, program.url, call)).status] += 1
        if number >= 0:
            took.add(clock.monotonic_ms() - begun_ms)

    count = asked.per_second * asked.seconds
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await one(-1)
        answers.clear()
        before_us = cpu_us_of(program.pid)
        await at_pace(one, per_s=asked.per_second, count=count, seed=_SEED)
        used_us = cpu_us_of(program.pid) - before_us
    shares = {f"{name}_ms": took.quantile(share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1))}
    events = count * asked.batch
    return {"requests": count, "events": events, "answers": answers, **shares, "cpu_us_an_event": used_us // events}


def _call(number: int, batch: int, people: int) -> Call:
    """A request with so many sound events."""
    calls = [call_of(f"load-{number}-{each}", clock.now_ms(), lane=Lane.UPDATE) for each in range(batch)]
    for call in calls:
        call.event["data"]["to"]["recipients"] = [{"address": f"tel:+4471{n:08d}"} for n in range(people)]
    if batch > 1:
        calls[0].batch(*(call.event for call in calls))
    return calls[0]


if __name__ == "__main__":
    main()
