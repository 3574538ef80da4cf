"""Billing events under kills of the ledger: ``python -m tests.load.billing_kills [--kills 30] [--seed 1]``.

A Kafka of its own, three businesses that are charged without a pause, and a ledger that is killed with signal 9: at each named
point between a charge and its event, early and late, and at moments that nobody chose. Then it may finish, and a second ledger
builds the book anew and must write nothing. Each business's events are held against its charges and against the book. Ends with
one line of JSON, and status 1 unless every figure of a fault is 0 and all three sums are one.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from itertools import count
from pathlib import Path

import msgspec
import uvloop

from schemas import topics
from schemas.status import BilledCharge
from schemas.topics import SHARDS, business_topics, catalogue
from schemas.wire.cloudevents import decode_charge
from streams.dev.kafka.cluster import some_kafka
from streams.kafka.producer import ConfirmedProducer
from streams.kafka.provision import provision
from streams.kafka.scan import scan
from streams.runtime import clock
from tests.kafka.ledgers import Charges, RunningLedger
from tests.load.gauges import say
from tests.support.programs import until

POINTS = ("ledger.charge", "ledger.posted", "ledger.committed", "ledger.billing", "ledger.billed")
_BUSINESSES = 3
_LATEST = 12
"""A point is reached so many times at most before it kills."""
_LONGEST_S = 2.0
"""A moment that nobody chose lies at most so long after the ledger serves."""
_PAUSE_S = 0.02
"""Between two rounds of charges: some hundred records a second."""


class Found(msgspec.Struct):
    """The figures of a run."""

    kills: int
    by: dict[str, int]
    """Point, or ``anywhere``, to how often the ledger was killed there."""
    postings: int
    events: int
    missing: int
    doubled: int
    out_of_order: int
    charged_micro: int
    booked_micro: int
    billed_micro: int
    rebuilt_adds: int
    """Events that a book built anew wrote."""
    seconds: float

    @property
    def sound(self) -> bool:
        """Returns true if nothing is wrong."""
        faults = self.missing + self.doubled + self.out_of_order + self.rebuilt_adds
        return not faults and self.charged_micro == self.booked_micro == self.billed_micro


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    found = uvloop.run(_run(options.kills, random.Random(options.seed)))
    sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    sys.exit(0 if found.sound else 1)


async def _run(kills: int, lots: random.Random) -> Found:
    begun_ms = clock.monotonic_ms()
    with tempfile.TemporaryDirectory() as folder:
        async with some_kafka(None, say=say) as bootstrap, _charged(bootstrap) as charges:
            ledger = RunningLedger(bootstrap, Path(folder))
            by = await _kill(ledger, charges, kills, lots)
            await _finish(ledger)
            events = [await _events(bootstrap, each.business) for each in charges]
            rebuilt = RunningLedger(bootstrap, Path(folder) / "rebuilt")
            await _finish(rebuilt)
            again = [await _events(bootstrap, each.business) for each in charges]
            assert rebuilt.contents() == ledger.contents()
            seconds = (clock.monotonic_ms() - begun_ms) / 1000
            return _found(by, charges, ledger, events, sum(map(len, again)) - sum(map(len, events)), seconds)


@contextlib.asynccontextmanager
async def _charged(bootstrap: str) -> AsyncIterator[list[Charges]]:
    """Businesses with their topics."""
    producer = ConfirmedProducer(bootstrap, "charges")
    await producer.start()
    charges = [Charges(producer) for _ in range(_BUSINESSES)]
    wanted = (*catalogue(), *(topic for each in charges for topic in business_topics(each.business)))
    await provision(bootstrap, wanted, shards=SHARDS, dev=True, say=say)
    yield charges
    await producer.stop()


async def _kill(ledger: RunningLedger, charges: Sequence[Charges], kills: int, lots: random.Random) -> Counter[str]:
    """Charges without a pause, and kills the ledger so often; where it was."""
    charging = asyncio.ensure_future(_charge(charges, lots))
    by: Counter[str] = Counter()
    for number in range(kills):
        where = (*POINTS, "anywhere")[number % (len(POINTS) + 1)]
        if where == "anywhere":
            await ledger.start()
            await asyncio.sleep(lots.uniform(0, _LONGEST_S))
            await ledger.program.kill()
        else:
            await ledger.start(crash_at=f"{where}:{lots.randint(1, _LATEST)}")
            await until(lambda: not ledger.program.running)
            await ledger.program.died()
        by[where] += 1
        say(f"killed {number + 1}/{kills}: {where}")
    charging.cancel()
    await asyncio.gather(charging, return_exceptions=True)
    return by


async def _charge(charges: Sequence[Charges], lots: random.Random) -> None:
    """Writes charges for ever: new ranks, some that were charged before, and some twice at once."""
    for first in count(step=100):
        for each in charges:
            ranks = range(first, first + 100)
            old = range(lots.randrange(first + 1), first + 10)
            await each.write(lots.sample(ranks, 50), old, ranks, ranks)
        await asyncio.sleep(_PAUSE_S)


async def _finish(ledger: RunningLedger) -> None:
    """Lets a ledger post and tell everything."""
    await ledger.start()
    await ledger.complete()
    if await ledger.program.stop():
        raise RuntimeError("the ledger did not end as it was asked to")


async def _events(bootstrap: str, business: str) -> list[BilledCharge]:
    read = [
        decode_charge(record.value or b"")
        async for bite in scan(bootstrap, topics.billing(business))
        for record in bite
    ]
    return [charge for charge in read if charge is not None]


def _found(
    by: Counter[str],
    charges: Sequence[Charges],
    ledger: RunningLedger,
    events: Sequence[Sequence[BilledCharge]],
    rebuilt_adds: int,
    seconds: float,
) -> Found:
    posted = Counter(str(row[4]) for row in ledger.contents()["postings"])
    serials = [[charge.serial for charge in told] for told in events]
    return Found(
        kills=by.total(),
        by=dict(by),
        postings=posted.total(),
        events=sum(map(len, events)),
        missing=sum(posted[each.business] - len(set(told)) for each, told in zip(charges, serials, strict=True)),
        doubled=sum(len(told) - len(set(told)) for told in serials),
        out_of_order=sum(told != sorted(told) for told in serials),
        charged_micro=sum(each.due_micro for each in charges),
        booked_micro=sum(each.owed_micro(ledger.folder) for each in charges),
        billed_micro=sum(charge.amount_micro for told in events for charge in told),
        rebuilt_adds=rebuilt_adds,
        seconds=round(seconds, 1),
    )


if __name__ == "__main__":
    main()
