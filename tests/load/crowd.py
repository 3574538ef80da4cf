"""A list of many people, written as plan would write it: audience changes in columns of up to 4,096.

Opting a million people in by events would take longer than what is measured, and plan's part of it is not the question.
"""

import json
from collections.abc import Iterator, Sequence

from aiokafka import AIOKafkaProducer

from broker.plan.opt_in import MAX_MEMBERS
from schemas import topics
from schemas.facts import AudienceChange
from schemas.ids import recipient_id, shard_of
from schemas.lanes import Lane
from schemas.wire.columns import i64s, u16s
from schemas.wire.header import Header, Kind, pack
from schemas.wire.sealed import AddressBook
from streams.runtime import clock
from streams.runtime.settings import Settings, raw

_MARKET = 1
_FIRST_NUMBER = 2_000_000_000
"""Ten digits after +1: nobody dials these, and nothing checks what is on a list already."""
_EVIDENCE = json.dumps({"method": "load", "wording": "none", "source": "tests/load"})

Person = tuple[bytes, bytes]
"""Recipient id, sealed address."""


async def write_list(settings: Settings, business: str, name: str, count: int, *, first: int = 0) -> int:
    """Put ``count`` people on the list, from number ``first`` on; returns when Kafka had acknowledged all, milliseconds."""
    now_ms = clock.now_ms()
    async with AIOKafkaProducer(
        bootstrap_servers=settings.bootstrap, acks="all", enable_idempotence=True, max_batch_size=1_000_000
    ) as producer:
        waiting = []
        for shard, people in _columns(settings, first, count):
            value = pack(
                Header(Kind.AUDIENCE, Lane.CAMPAIGN, shard, 0, now_ms), _change(business, name, people, now_ms)
            )
            waiting.append(await producer.send(topics.AUDIENCE, value, partition=shard))
        for placed in waiting:
            await placed
    return clock.now_ms()


def _columns(settings: Settings, first: int, count: int) -> Iterator[tuple[int, list[Person]]]:
    """(shard, up to 4,096 people of it) until there are ``count``."""
    pepper, book = raw(settings.pepper), AddressBook(settings.address_book)
    waiting: list[list[Person]] = [[] for _ in range(settings.shards)]
    for number in range(_FIRST_NUMBER + first, _FIRST_NUMBER + first + count):
        address = f"tel:+1{number}"
        recipient = recipient_id(pepper, address)
        shard = shard_of(recipient, settings.shards)
        waiting[shard].append((recipient, book.seal(address)))
        if len(waiting[shard]) == MAX_MEMBERS:
            yield shard, waiting[shard]
            waiting[shard] = []
    yield from ((shard, people) for shard, people in enumerate(waiting) if people)


def _change(business: str, name: str, people: Sequence[Person], now_ms: int) -> AudienceChange:
    return AudienceChange(
        business=business,
        list=name,
        join=True,
        recipients=b"".join([recipient for recipient, _ in people]),
        addresses=b"".join([address for _, address in people]),
        locales=b"en" * len(people),
        markets=u16s([_MARKET] * len(people)),
        evidence_ms=i64s([now_ms] * len(people)),
        received_ms=now_ms,
        evidence=_EVIDENCE,
    )
