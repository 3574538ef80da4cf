"""`python -m tests.load.bench`: one campaign to many recipients, request to last charge, against a raw copy loop.

Both run on the same Kafka, one after the other. The copy loop consumes 200-byte records and sends each on (aiokafka, acks=all,
linger 5 ms): one Kafka record a message, while the pipeline writes columns; the ratio says how much that is worth. Phones are
online, limits off; the end is when the ledger has posted every delivered message. The last line is JSON.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import uuid
from collections import Counter
from pathlib import Path

from pyroaring import BitMap

from schemas import topics
from schemas.facts import AudienceChange
from schemas.names import Lane, recipient_id, shard_of
from schemas.request import Notification, To
from schemas.topics import Topic
from schemas.wire.columns import i64s, u16s
from schemas.wire.header import Header, Kind, pack
from schemas.wire.sealed import AddressBook
from streams import clock, log
from streams.client import Client
from streams.client.events import Head, notification
from streams.kafka.producer import ConfirmedProducer, Outgoing
from streams.kafka.provision import provision
from streams.ledger.books import whole_ledger
from streams.ledger.program import path_of
from streams.local.stack import Stack, StackPlan, running
from streams.scraping import processes, scrape_all
from streams.settings import raw
from tests.load.copy_loop import copy_rate

_BUSINESS = "airline-ua"
_LIST = "everybody"
_COLUMN = 4_096
_DEADLINE_S = 300


async def opt_in(stack: Stack, count: int) -> None:
    """Write ``count`` people into the list, as plan would; not measured."""
    settings, now_ms = stack.settings, clock.now_ms()
    pepper, book = raw(settings.pepper), AddressBook(settings.address_book)
    shards: list[list[tuple[bytes, bytes]]] = [[] for _ in range(settings.shards)]
    for number in range(count):
        address = f"tel:+1{2_000_000_000 + number}"
        recipient = recipient_id(pepper, address)
        shards[shard_of(recipient, settings.shards)].append((recipient, book.seal(address)))
    producer = ConfirmedProducer(settings.bootstrap, "bench", deadline_ms=60_000)
    await producer.start()
    for shard, people in enumerate(shards):
        for at in range(0, len(people), _COLUMN):
            some = people[at : at + _COLUMN]
            change = AudienceChange(
                business=_BUSINESS,
                list=_LIST,
                join=True,
                recipients=b"".join(recipient for recipient, _ in some),
                addresses=b"".join(address for _, address in some),
                locales=b"en" * len(some),
                markets=u16s([1] * len(some)),
                evidence_ms=i64s([now_ms] * len(some)),
                received_ms=now_ms,
            )
            value = pack(Header(Kind.AUDIENCE, Lane.CAMPAIGN, shard, 0, now_ms), change)
            await producer.confirm([Outgoing(topics.AUDIENCE, value, partition=shard)])
    await producer.stop()


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


def cpu_s(stack: Stack) -> dict[str, float]:
    """CPU seconds used so far, by process."""
    used = {name: _cpu(process.pid) for name, process in stack.processes.items()}
    pids = stack.cluster.java_pids if stack.cluster is not None else ()
    return used | {"kafka": sum(_cpu(pid) for pid in pids)}


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
    status = Path(f"/proc/{stack.processes['worker-campaign-0'].pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def bench(folder: Path, count: int) -> dict[str, object]:
    """The whole of it."""
    plan = StackPlan(
        data=folder,
        free_ports=True,
        gateway_options=("--profile", "online", "--no-limits"),
        fields={"limits": False, "heartbeat_ms": 60_000},
    )
    async with running(plan, say=_say) as stack:
        await provision(
            stack.bootstrap,
            [Topic(name, "none", 4, topics.HOUR_MS, "the copy loop") for name in ("bench.in", "bench.out")],
            shards=stack.settings.shards,
            dev=True,
            say=_say,
        )
        copied = await copy_rate(stack.bootstrap, min(count, 1_000_000))
        _say(f"copy loop: {copied:,.0f} records/s")
        held, before_people = rss(stack), written(folder)
        await opt_in(stack, count)
        _say(f"{count:,} people opted in")
        await asyncio.sleep(5)
        held = rss(stack) - held
        await scrape_all(stack.settings, processes(stack.settings))
        before, bytes_before = cpu_s(stack), written(folder)
        seconds = await campaign_s(stack, count)
        after, bytes_after = cpu_s(stack), written(folder)
    rate = count / seconds
    used = {name: round((after[name] - before[name]) * 1e6 / count, 2) for name in after}
    kept = {topic: round((size - bytes_before.get(topic, 0)) / count, 2) for topic, size in bytes_after.items()}
    return {
        "copy_ratio": round(rate / copied, 2),
        "messages_per_s": round(rate),
        "cpu_us": {name: value for name, value in used.items() if value >= 0.01},
        "copy_per_s": round(copied),
        "recipients": count,
        "bytes": {topic: size for topic, size in sorted(kept.items()) if size >= 0.01},
        "person": {
            "memory": round(held / count),
            "disk": round((bytes_before["audience"] - before_people["audience"]) / count),
        },
    }


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
