"""How fast the producers' client publishes, and what it holds meanwhile: ``python -m tests.load.publishing [--count N]``.

Events are made as they are drawn and go to a Kafka of its own: through the asynchronous client, through the blocking one, and
through a plain aiokafka producer with as many of the same records under way, which is what the library itself can do. Growth is
by how much the peak memory of this process rose in each part; events that were held would be about a kilobyte each. Ends with
one line of JSON.
"""

import argparse
import asyncio
import json
import resource
from collections.abc import Awaitable, Callable, Iterator

import aiokafka
import msgspec

from schemas.ids import business_of, partition_of
from schemas.lanes import Lane
from schemas.request import Notification
from schemas.topics import catalogue, requests
from streams.client import Client, Head, Publication, Published, SyncClient, notification, to_people
from streams.dev.kafka.cluster import some_kafka
from streams.kafka.provision import provision
from streams.runtime import clock

BUSINESSES = 16
SHARDS = 8
IN_FLIGHT = 256

Part = Callable[[str, int], Awaitable[int]]
"""Address and count to how many were acknowledged."""


def events(count: int, run: str) -> Iterator[Publication]:
    """So many updates of several businesses, each made when it is asked for."""
    for number in range(count):
        content = Notification(
            "parcel_delivered", to_people("tel:+12125550123"), params={"parcel": str(number), "event_time": "noon"}
        )
        head = Head(source=f"//business-{number % BUSINESSES}/{run}", id=str(number), lifetime_ms=3_600_000)
        yield Publication(Lane.UPDATE, notification(head, content))


async def by_client(bootstrap: str, count: int) -> int:
    """The asynchronous client."""
    done = 0
    async with Client(bootstrap) as client:
        async for outcome in client.publish_many(events(count, "async"), in_flight=IN_FLIGHT):
            done += isinstance(outcome, Published)
    return done


async def by_sync_client(bootstrap: str, count: int) -> int:
    """The blocking one, in a thread beside this loop."""

    def publish() -> int:
        with SyncClient(bootstrap) as client:
            outcomes = client.publish_many(events(count, "sync"), in_flight=IN_FLIGHT)
            return sum(isinstance(outcome, Published) for outcome in outcomes)

    return await asyncio.to_thread(publish)


async def by_library(bootstrap: str, count: int) -> int:
    """The library alone: the oldest is waited for whenever so many are under way."""
    waiting: list[asyncio.Future[object]] = []
    topic = requests(Lane.UPDATE)
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        for each in events(count, "library"):
            key = business_of(each.event["source"]).encode()
            place = partition_of(key, SHARDS)
            waiting.append(await producer.send(topic, msgspec.json.encode(each.event), key=key, partition=place))
            if len(waiting) == IN_FLIGHT:
                await asyncio.gather(*waiting)
                waiting.clear()
        await asyncio.gather(*waiting)
    return count


PARTS: dict[str, Part] = {"client": by_client, "sync_client": by_sync_client, "library": by_library}


async def measured(bootstrap: str, part: Part, count: int) -> dict[str, float]:
    """Events a second, microseconds of CPU an event, and by how many megabytes the peak rose."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    begun_ms = clock.monotonic_ms()
    done = await part(bootstrap, count)
    seconds = (clock.monotonic_ms() - begun_ms) / 1000
    if done != count:
        raise SystemExit(f"{count - done:,} of {count:,} events were not published")
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "events_per_s": round(count / seconds),
        "cpu_us": round(cpu_s * 1e6 / count),
        "grown_mb": round((after.ru_maxrss - before.ru_maxrss) / 1024, 1),
    }


async def run(count: int) -> None:
    """Each part in turn, and the line of JSON."""
    async with some_kafka(None, say=print) as bootstrap:
        await provision(bootstrap, catalogue(), shards=SHARDS, dev=True, say=print)
        figures: dict[str, object] = {"count": count}
        for name, part in PARTS.items():
            figures[name] = await measured(bootstrap, part, count)
            print(f"{name:<12} {figures[name]}")
    print(json.dumps(figures))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="events of each part")
    asyncio.run(run(parser.parse_args().count))
