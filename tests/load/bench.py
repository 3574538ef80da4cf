"""`python -m tests.load.bench`: a campaign as fast as it goes, one at its number's pace, and codes beside campaigns.

1. One campaign to many recipients, request to last charge, against a raw copy loop on the same Kafka, one after the other. The
   loop consumes 200-byte records and sends each on (aiokafka, acks=all, linger 5 ms): one Kafka record a message, while the
   pipeline writes columns; the ratio says how much that is worth. The end is when the ledger has posted every delivered message.
2. A list of 20,000 at 1,000 a second: seconds against the ideal, lost, the busiest second against its bound.
3. Codes alone and beside ten campaigns, alternating (:mod:`tests.load.beside`).

Every limit is on, at the broker and at the gateway: the first campaign's number is registered with a million a second. Phones are
online, so that everybody is charged. The last line is JSON.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import uuid
from collections import Counter
from pathlib import Path
from typing import Final

import psutil
from pyroaring import BitMap

from schemas import topics
from schemas.lanes import HOUR_MS, Lane
from schemas.request import Notification, To
from schemas.topics import Topic
from streams.client import Client
from streams.client.events import Head, notification
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.kafka.provision import provision
from streams.ledger.database import whole_ledger
from streams.ledger.service import path_of
from streams.operate.audit import audit_system
from streams.operate.scrape import processes, scrape_all
from streams.runtime import clock, log
from tests.load.beside import BULK, codes_beside
from tests.load.codes import SENDER as CODES
from tests.load.copy_loop import copy_rate
from tests.load.crowd import write_list
from tests.load.gauges import cpu_by_process
from tests.load.paced import figures_of, publish, until_calm, until_through, write_lists
from tests.load.promises import switched_off
from tests.load.scenarios import SCENARIOS
from tests.load.senders import registry_with, sender
from tests.load.through import Through

_BUSINESS: Final = "airline-ua"
_LIST: Final = "everybody"
_UNBOUND: Final = sender(_BUSINESS, 1_000_000, campaign=100)
"""A number that no machine is faster than: its limit is on, and does not bind."""
_PACED: Final = SCENARIOS[0]
_DEADLINE_S: Final = 300
_SETTLE_S: Final = 5


async def campaign_s(stack: Stack, count: int) -> float:
    """Seconds from publishing one request until everything is posted."""
    before, charged = posted(stack), 0
    async with Client(stack.bootstrap) as client:
        content = Notification(template="offer", params={"offer": "Miles", "until": "Sunday"}, to=To(list=_LIST))
        head = Head(source=f"//{_BUSINESS}/bench", id=uuid.uuid4().hex, lifetime_ms=3_600_000)
        begun_ms = clock.monotonic_ms()
        await client.publish(Lane.CAMPAIGN, notification(head, content))
        while clock.monotonic_ms() - begun_ms < _DEADLINE_S * 1000:
            await asyncio.sleep(0.25)
            charged = posted(stack) - before
            if charged >= count:
                break
    print(f"{charged:,} of {count:,} charged", file=sys.stderr)
    return (clock.monotonic_ms() - begun_ms) / 1000


def posted(stack: Stack) -> int:
    """Messages in the book."""
    path = path_of(stack.settings)
    return sum(len(BitMap.deserialize(row.ranks)) for row in whole_ledger(path).rows) if path.exists() else 0


def written(folder: Path) -> Counter[str]:
    """Bytes of Kafka's segments, by the topic's name up to its lane."""
    sizes: Counter[str] = Counter()
    for path in folder.glob("kafka/**/*.log"):
        topic = path.parent.name.rpartition("-")[0]
        if topic and not topic.startswith("__"):
            sizes[topic.partition(".")[0]] += path.stat().st_size
    return sizes


def rss(stack: Stack) -> int:
    """Resident bytes of the worker that holds the list."""
    return psutil.Process(stack.processes["worker-campaign-0"].pid).memory_info().rss


async def bench(folder: Path, count: int) -> dict[str, object]:
    """The whole of it."""
    senders = (_UNBOUND, _PACED.sender, CODES, *(scenario.sender for scenario in BULK))
    plan = StackPlan(
        data=folder,
        free_ports=True,
        registry=registry_with(folder / "registry", *senders),
        gateway_options=("--profile", "online"),
        fields={"heartbeat_ms": 60_000},
    )
    async with running(plan, say=_say) as stack:
        figures = await _unbound(stack, folder, count)
        _say(json.dumps(figures))
        await write_lists(stack, (_PACED, *BULK), first=count)
        await until_calm(stack, list(Lane), longest_s=_DEADLINE_S)
        paced = await _paced(stack)
        _say(json.dumps(paced))
        otp = await codes_beside(stack)
        off = switched_off(stack.settings, plan.gateway_options)
    return {**figures, "switched_off": off, "paced": paced, "otp": otp}


async def _unbound(stack: Stack, folder: Path, count: int) -> dict[str, object]:
    """The copy loop, and a campaign to ``count`` people whose number is faster than the machine."""
    names = ("bench.in", "bench.out")
    topics_of_loop = [Topic(name, "none", 4, HOUR_MS, "the copy loop") for name in names]
    await provision(stack.bootstrap, topics_of_loop, shards=stack.settings.shards, dev=True, say=_say)
    copied = await copy_rate(stack.bootstrap, min(count, 1_000_000))
    _say(f"copy loop: {copied:,.0f} records/s")
    held, before_people = rss(stack), written(folder)
    await write_list(stack.settings, _BUSINESS, _LIST, count)
    _say(f"{count:,} people opted in")
    await _caught_up(stack)
    held = rss(stack) - held
    await scrape_all(stack.settings, processes(stack.settings))
    before, bytes_before = cpu_by_process(stack), written(folder)
    seconds = await campaign_s(stack, count)
    after, bytes_after = cpu_by_process(stack), written(folder)
    rate = count / seconds
    used = {name: round((after[name] - before[name]) / count, 2) for name in after}
    kept = {topic: round((size - bytes_before.get(topic, 0)) / count, 2) for topic, size in bytes_after.items()}
    person = round(held / count), round((bytes_before["audience"] - before_people["audience"]) / count)
    _say(
        f"bytes a message by topic: {json.dumps({topic: size for topic, size in sorted(kept.items()) if size >= 0.01})}"
    )
    _say(f"a person on a list: {person[0]} bytes of memory in the worker, {person[1]} on disk")
    return {
        "copy_ratio": round(rate / copied, 2),
        "messages_per_s": round(rate),
        "cpu_us": {name: value for name, value in used.items() if value >= 0.01},
    }


async def _caught_up(stack: Stack) -> None:
    """Until every worker has read all who have joined, and is not busy with it any more."""
    calm = 0
    async with asyncio.timeout(_DEADLINE_S):
        while calm < _SETTLE_S:
            await asyncio.sleep(1)
            scrapes = await scrape_all(stack.settings, processes(stack.settings))
            ages = [one.highest("fanfare_tail_age_seconds", topic=topics.AUDIENCE) for one in scrapes]
            calm = calm + 1 if all(age is None or age < 1 for age in ages) else 0


async def _paced(stack: Stack) -> dict[str, object]:
    """A list whose number's limit binds."""
    before = await audit_system(stack.settings)
    log_of = Through(stack.settings.data_dir, Lane.CAMPAIGN)
    begun_ms = clock.now_ms()
    (request,) = await publish(stack, _PACED)
    await until_through(stack, _PACED)
    log_of.look()
    after = await audit_system(stack.settings)
    seconds = (log_of.last_ms.get(request, begun_ms) - begun_ms) / 1000
    figures = figures_of(_PACED, after, before, seconds=seconds)
    for violation in after.violations:
        _say(f"{violation.invariant} {violation.name} {violation.where}: {violation.sentence}")
    second = next(one for one in after.busiest if (one.sender, one.seconds) == (_PACED.sender.id, 1))
    kept = {key: figures[key] for key in ("people", "seconds", "ideal_s", "lost")}
    return {**kept, "worst_1s": second.messages, "bound_1s": second.bound}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.bench", description=__doc__)
    parser.add_argument("--recipients", type=int, default=1_000_000, help="people in the campaign (1,000,000)")
    asked = parser.parse_args()
    log.configure(level="error", program="load")
    with tempfile.TemporaryDirectory(prefix="fanfare-bench-") as folder:
        print(json.dumps(asyncio.run(bench(Path(folder), asked.recipients))))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
