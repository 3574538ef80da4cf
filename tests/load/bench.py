"""How fast a campaign goes the whole way: ``python -m tests.load.bench [--recipients 1000000]``.

One request to a list of people whose phones are all online, limits off, one worker of the campaign lane, Kafka with one node,
everything on this machine. The time runs from the publish until the ledger has charged every message. Then, with the
pipeline stopped, the same Kafka copies as many records of 200 bytes one by one (``copy_loop``). Ends with one line of JSON:
``{"copy_ratio","messages_per_s","cpu_us"}``; ``cpu_us`` is CPU per message by process, microseconds.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import uvloop

from broker.ledger.post import RECEIVABLE
from schemas.names import Lane
from schemas.request import Notification
from schemas.topics import HOUR_MS
from streams import clock
from streams.books import balances
from streams.client.client import Client
from streams.client.events import Head, notification, to_list
from streams.ledger import path_of
from streams.scraping import Process, scrape_all
from streams.stack import Stack, StackPlan, running
from tests.load import copy_loop, crowd
from tests.load.gauges import cpu_by_process, end, say

BUSINESS = "shop-parcelo"
LIST = "load"

_READ_S = 180
_STALLED_S = 60
_LOOK_EVERY_S = 0.05
_KEPT = ("ledger", "webhook", "gateway-campaign", "worker-campaign-0")


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=1_000_000)
    parser.add_argument("--hold-s", type=float, default=0, help="Wait before the publish, to attach a profiler.")
    options = parser.parse_args()
    uvloop.run(_measure(options.recipients, options.hold_s))


async def _measure(recipients: int, hold_s: float) -> None:
    with tempfile.TemporaryDirectory(prefix="fanfare-bench-") as folder:
        plan = StackPlan(
            data=Path(folder),
            free_ports=True,
            gateway_options=("--profile", "online", "--no-limits"),
            fields={"limits": False, "heartbeat_ms": 600_000},
        )
        async with running(plan, say=say) as stack:
            await _stop_others(stack)
            await _people(stack, recipients)
            await asyncio.sleep(hold_s)
            before = cpu_by_process(stack)
            seconds, charged = await _campaign(stack, recipients)
            used = cpu_by_process(stack)
            rate = charged / seconds
            say(f"  {charged:,} messages charged after {seconds:.2f} s: {rate:,.0f}/s")
            await asyncio.gather(*(process.stop() for process in stack.processes.values()))
            copied = await copy_loop.messages_per_s(stack.bootstrap, recipients, partitions=stack.settings.shards)
            say(f"  raw copy loop: {copied:,.0f}/s, one Kafka record a message, which the pipeline does not write")
    spent = {name: round((used[name] - before[name]) / max(charged, 1), 2) for name in used}
    spent["all"] = round(sum(spent.values()), 2)
    end({"copy_ratio": round(rate / copied, 2), "messages_per_s": round(rate), "cpu_us": spent})


async def _stop_others(stack: Stack) -> None:
    """One lane is measured; the other two would only idle beside it."""
    await asyncio.gather(*(each.stop() for name, each in stack.processes.items() if name not in _KEPT))


async def _people(stack: Stack, recipients: int) -> None:
    """Write the list and wait until the worker has read all of it."""
    started_s = time.perf_counter()
    written_ms = await crowd.write_list(stack.settings, BUSINESS, LIST, recipients)
    worker = Process("worker", stack.settings.worker_metrics(Lane.CAMPAIGN))
    async with asyncio.timeout(_READ_S):
        while True:
            now_ms = clock.now_ms()
            (said,) = await scrape_all(stack.settings, [worker])
            age_s = said.highest("fanfare_tail_age_seconds", lane=Lane.CAMPAIGN.word)
            if age_s is not None and now_ms - age_s * 1000 > written_ms:
                break
            await asyncio.sleep(0.2)
    say(f"  {recipients:,} people on the list and read after {time.perf_counter() - started_s:.1f} s")


async def _campaign(stack: Stack, recipients: int) -> tuple[float, int]:
    """Seconds from the publish to the last charge, and how many were charged; gives up after a minute without one."""
    body = Notification(
        "offer", to_list(LIST), sender=f"{BUSINESS}/main", params={"offer": "Two for one", "until": "Sunday"}
    )
    event = notification(Head(source=f"//{BUSINESS}/load", id="bench", lifetime_ms=HOUR_MS), body)
    async with Client(stack.bootstrap) as client:
        started_s = time.perf_counter()
        await client.publish(Lane.CAMPAIGN, event)
        charged, moved_s = 0, started_s
        while charged < recipients and (now_s := time.perf_counter()) - moved_s < _STALLED_S:
            await asyncio.sleep(_LOOK_EVERY_S)
            if (found := _charged(stack)) > charged:
                charged, moved_s = found, now_s
    return (time.perf_counter() if charged == recipients else moved_s) - started_s, charged


def _charged(stack: Stack) -> int:
    rows = balances(path_of(stack.settings), BUSINESS)
    return sum(row.messages for row in rows if row.account == RECEIVABLE)


if __name__ == "__main__":
    main()
