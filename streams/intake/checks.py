"""Events of a request against everything that plan would object to, and the records that they become. Pure.

What was accepted before and what throughput is left is plan's to say; it does so on ``status.<business>``.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from broker.validation.all_errors import MAX_FAULTS
from schemas import topics
from schemas.ids import Lane, business_of, partition_of, request_name, text_of
from schemas.reasons import Fault, Reason
from schemas.request import MAX_REQUEST_BYTES
from schemas.wire import strict_json as wire_json
from schemas.wire.cloudevents import STRUCTURED
from streams.client.events import faults, form_refusal
from streams.intake.admission import Caller
from streams.intake.http_events import Posted
from streams.intake.problems import Problem, of_faults
from streams.kafka.producer import Outgoing

HEADERS: Final = (("content-type", f"{STRUCTURED}; charset=UTF-8".encode()),)


class Taken(msgspec.Struct, frozen=True):
    """An event on its way into Kafka: its record, and what the producer is told."""

    record: Outgoing
    name: str
    lane: str
    status_topic: str

    def receipt(self) -> dict[str, str]:
        """Returns the answer for an event that Kafka has acknowledged."""
        return {"name": self.name, "lane": self.lane, "status_topic": self.status_topic}


class _Named(msgspec.Struct, frozen=True):
    source: str = ""
    id: str = ""


_named: Final = msgspec.json.Decoder(_Named)


def taken(
    lane: Lane, events: Sequence[Posted], caller: Caller, *, shards: int, now_ms: int
) -> tuple[Taken, ...] | Problem:
    """All events as records of their lane, or everything that is wrong with any of them: then none is taken."""
    found: list[tuple[str, Fault]] = []
    for posted in events:
        found += [(posted.place, fault) for fault in _faults(lane, posted.value, caller, now_ms)]
        if len(found) >= MAX_FAULTS:
            break
    if found:
        return of_faults(found[:MAX_FAULTS])
    partition = partition_of(caller.business.encode(), shards)
    return tuple(_taken(lane, posted.value, caller.business, partition) for posted in events)


def _faults(lane: Lane, value: bytes, caller: Caller, now_ms: int) -> Iterator[Fault]:
    """Of another business's event only the form is told, beside whose it is."""
    readable = wire_json.refusal(value, MAX_REQUEST_BYTES) is None
    foreign = readable and _foreign(value, caller.business)
    if foreign:
        sentence = "The key and the business in source differ: use the key of your own business, and its source."
        yield Fault("/source", Reason.WRONG_TENANT, sentence)
    told = faults(lane, value, registry=None if foreign else caller.registry, now_ms=now_ms)
    yield from told
    if not foreign and not told and (refusal := form_refusal(lane, caller.business, value, HEADERS)) is not None:
        yield Fault("", refusal.reason, refusal.detail)


def _foreign(value: bytes, business: str) -> bool:
    """Returns whether JSON within the limits is an event that another business would have sent."""
    try:
        return business_of(_named.decode(value).source) != business
    except ValueError:
        return False


def _taken(lane: Lane, value: bytes, business: str, partition: int) -> Taken:
    named = _named.decode(value)
    record = Outgoing(topics.requests(lane), value, key=business.encode(), partition=partition, headers=HEADERS)
    return Taken(record, text_of(request_name(lane, named.source, named.id)), lane.word, topics.status(business))
