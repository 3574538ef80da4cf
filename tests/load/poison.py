"""Good messages beside malformed records: ``python -m tests.load.poison [--seconds 30] [--bad-per-s 1000] [--good-per-s 200]``.

A stack of its own. First good updates of one business alone, then as many beside malformed records in the same partition of
the same lane. Every good one must be delivered (the ledger charges those and no others), and every bad one dead-lettered or
refused, with a reason and a sentence. Ends with one line of JSON:
``{"good","delivered","quiet_p99_ms","p99_ms","bad","answered","switched_off"}``.
"""

import argparse
import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path

import msgspec
import uvloop

from broker.charging import RECEIVABLE
from schemas import topics
from schemas.ids import partition_of, text_of
from schemas.lanes import HOUR_MS, Lane
from schemas.request import Notification, Recipient, To
from schemas.status import DeadLetter
from schemas.wire.cloudevents import decode_status
from streams.client.client import Client
from streams.client.events import Head, notification
from streams.client.progress import REFUSED
from streams.dev.recordings.playback import Latencies
from streams.dev.sources.seeded_people import person
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Place, Publisher
from streams.kafka.scan import scan
from streams.ledger.database import balances
from streams.ledger.service import path_of
from streams.runtime import clock
from tests.load.gauges import ages, all_accepted, at_pace, cpu_by_process, cpu_seconds, end, say
from tests.load.malformed import BUSINESS, bad
from tests.load.promises import switched_off
from tests.load.senders import registry_with, sender

_SEED = 2
_WARM_UP_S = 3
_PATIENCE_S = 60
_BURST = 10
_HEADERS = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)

Sent = dict[tuple[int, int], tuple[str, str]]
"""Partition and offset of each malformed record, to its kind and the text of its name."""
Answer = tuple[str, str]
"""Where it was answered (dead letter or status), and the reason; only those that come with a sentence."""


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--bad-per-s", type=int, default=1_000)
    parser.add_argument("--good-per-s", type=int, default=200)
    uvloop.run(_measure(parser.parse_args()))


async def _measure(options: argparse.Namespace) -> None:
    good = options.good_per_s * options.seconds
    with tempfile.TemporaryDirectory(prefix="fanfare-poison-") as folder:
        registry = registry_with(Path(folder) / "registry", sender(BUSINESS, 1_000, update=100))
        online = ("--profile", "online")
        plan = StackPlan(data=Path(folder), free_ports=True, registry=registry, gateway_options=online)
        async with running(plan, say=say) as stack, Client(stack.bootstrap) as client:
            off = switched_off(stack.settings, plan.gateway_options)
            warm = options.good_per_s * _WARM_UP_S
            await _good(stack, client, "warm", first=0, count=warm, per_s=options.good_per_s)
            quiet = await _good(stack, client, "quiet", first=warm, count=good, per_s=options.good_per_s)
            say(f"  alone: {len(quiet)} of {good}, p50 {quiet.quantile(0.5)} ms, p99 {quiet.quantile(0.99)} ms")
            before = cpu_by_process(stack)
            bad_ones, times = await asyncio.gather(
                _bad(stack, options.bad_per_s, options.seconds),
                _good(stack, client, "beside", first=warm + good, count=good, per_s=options.good_per_s),
            )
            say(f"  beside: {len(times)} of {good}, p50 {times.quantile(0.5)} ms, p99 {times.quantile(0.99)} ms")
            answered = await _answers(stack, bad_ones)
            used = cpu_by_process(stack)
            say(f"  CPU seconds from the first of these to the last answer: {cpu_seconds(before, used)}")
            charged = await _charged(stack, warm + 2 * good)
    _tell(bad_ones, answered)
    end(
        {
            "good": warm + 2 * good,
            "delivered": charged,
            "quiet_p99_ms": quiet.quantile(0.99),
            "p99_ms": times.quantile(0.99),
            "bad": len(bad_ones),
            "answered": len(answered),
            "switched_off": off,
        }
    )


async def _good(stack: Stack, client: Client, run: str, *, first: int, count: int, per_s: float) -> Latencies:
    """Publish updates to a person each and wait for the gateway; the age of each."""
    sent: dict[str, int] = {}

    async def send(number: int) -> None:
        who, now_ms = person(_SEED, first + number), clock.now_ms()
        body = Notification(
            "parcel_delivered",
            To(recipients=(Recipient(who.address, locale=who.locale),)),
            params={"parcel": str(number), "event_time": "noon"},
        )
        head = Head(source=f"//{BUSINESS}/load", id=f"{run}-{number}", time_ms=now_ms, lifetime_ms=HOUR_MS)
        sent[text_of((await client.publish(Lane.UPDATE, notification(head, body))).name)] = now_ms

    await at_pace(send, per_s=per_s, count=count, seed=_SEED)
    return Latencies(ages(sent, await all_accepted(stack, Lane.UPDATE, sent)))


async def _bad(stack: Stack, per_s: int, seconds: int) -> Sent:
    """Publish malformed records at a steady pace, ten at a time."""
    key = BUSINESS.encode()
    place = partition_of(key, stack.settings.shards)
    publisher, loop = Publisher(stack.bootstrap, "fanfare-poison"), asyncio.get_running_loop()
    await publisher.start()
    waiting: list[tuple[str, str, asyncio.Future[Place]]] = []
    due_s = loop.time()
    for number in range(per_s * seconds):
        if number % _BURST == 0:
            await asyncio.sleep(max(0.0, due_s + number / per_s - loop.time()))
        record = bad(number, clock.now_ms())
        outgoing = Outgoing(topics.requests(Lane.UPDATE), record.value, key=key, partition=place, headers=_HEADERS)
        placing: Awaitable[Place] = await publisher.enqueue(outgoing)
        waiting.append((record.kind, text_of(record.name), asyncio.ensure_future(placing)))
    took_s = loop.time() - due_s
    say(f"  {len(waiting)} malformed records within {took_s:.1f} s")
    sent: Sent = {}
    for kind, name, future in waiting:
        placed = await future
        sent[placed.partition, placed.offset] = (kind, name)
    await publisher.stop()
    return sent


async def _answers(stack: Stack, sent: Sent) -> dict[tuple[int, int], Answer]:
    """What each malformed record got, once all have got something, or nothing more comes for a minute."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _PATIENCE_S
    while True:
        found = await _found(stack, sent)
        if len(found) == len(sent) or loop.time() > until_s:
            return found
        await asyncio.sleep(1)


async def _found(stack: Stack, sent: Sent) -> dict[tuple[int, int], Answer]:
    letters = msgspec.json.Decoder(DeadLetter)
    found: dict[tuple[int, int], Answer] = {}
    async for records in scan(stack.bootstrap, topics.DEAD_LETTERS):
        for letter in (letters.decode(record.value or b"") for record in records):
            place = (letter.partition, letter.offset)
            if letter.topic == topics.requests(Lane.UPDATE) and place in sent and letter.reason and letter.detail:
                found[place] = ("dead letter", letter.reason)
    places = {name: place for place, (_, name) in sent.items()}
    async for records in scan(stack.bootstrap, topics.status(BUSINESS)):
        for status in (decode_status(record.value or b"") for record in records):
            if status and status.state == REFUSED and status.request in places and status.reason and status.detail:
                found.setdefault(places[status.request], ("status", status.reason))
    return found


async def _charged(stack: Stack, wanted: int) -> int:
    """Messages that the ledger has charged the business for; waits for ``wanted`` of them, at most a minute."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _PATIENCE_S
    while True:
        rows = balances(path_of(stack.settings), BUSINESS)
        charged = sum(row.messages for row in rows if row.account == RECEIVABLE)
        if charged >= wanted or loop.time() > until_s:
            return charged
        await asyncio.sleep(0.5)


def _tell(sent: Sent, answered: dict[tuple[int, int], Answer]) -> None:
    """What each kind got, a line a kind."""
    nothing = ("nothing", "")
    got = Counter((kind, *answered.get(place, nothing)) for place, (kind, _) in sent.items())
    for (kind, where, reason), count in sorted(got.items()):
        say(f"  {kind:<18} {count:>6}  {where:<12} {reason}")


if __name__ == "__main__":
    main()
