"""Decodes a record of ``requests.<lane>``: a named event that belongs here, or what is wrong with it. A function of its bytes.

The order of the checks is the order of :func:`read`. Who may say it (tenant) comes before where it belongs (partition), and both
before ``data`` is looked at: a record that goes to another partition is not taken apart twice.

The headers are the producer's and mean nothing but CloudEvents, with one exception: a record that was keyed to the wrong
partition is published once more by plan itself, with the place where it stood first (PROTOCOL.md section 1.3, 3).
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from broker.plan.policy import PlanPolicy
from schemas.ids import business_of, partition_of, request_name
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import Reason, Refusal
from schemas.request import MAX_LABELS, CloudEvent
from schemas.wire import cloudevents
from schemas.wire.text import short

ORIGIN_HEADER: Final = "fanfare-origin"
"""``partition:offset`` of a re-routed record's first place. Producers must not set it."""

LABEL_CHARS: Final = 64

_RESERVED: Final = ("faust", "fanfare-")
"""Faust's agents answer to ``Faust-Ag-ReplyTo`` (observed on Faust 0.15.3: a sender could choose our output topic), and
``fanfare-`` is ours: signatures are reserved until they are enforced."""

_home: Final = lru_cache(4_096)(partition_of)
"""Partition of a business: the same few ask all the time."""

_ORIGIN: Final = re.compile(rb"(0|[1-9][0-9]{0,8}):(0|[1-9][0-9]{0,18})")


class PlanInput(msgspec.Struct, frozen=True):
    """Holds one record of ``requests.<lane>``."""

    origin: Origin
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    """LogAppendTime: when it was received, ms since the epoch, the same at every redelivery."""


class Named(msgspec.Struct, frozen=True):
    """Names the event that an answer is about."""

    business: str
    source: str
    id: str
    name: bytes
    traceparent: str = ""
    labels: dict[str, str] = {}
    """Those of the request, as far as its data could be read."""


class Event(msgspec.Struct, frozen=True):
    """Holds an event of this partition, said by whom it says; its ``data`` is not looked at yet."""

    named: Named
    cloud: CloudEvent
    first: Origin | None
    """Where a re-routed record stood first."""


class Misrouted(msgspec.Struct, frozen=True):
    """Says that a record stands in the wrong partition: its producer hashes keys differently, or set none."""

    business: str
    partition: int


class Malformed(msgspec.Struct, frozen=True):
    """Refuses a record by its form, and names its event if it names one. Nothing is appended: its bytes are refused again."""

    refusal: Refusal
    named: Named | None = None


Decoded: TypeAlias = Event | Misrouted | Malformed


def decode(record: PlanInput, policy: PlanPolicy) -> Decoded:
    """Return the event in a record, the partition where it belongs, or the first thing that is wrong with it."""
    return next(read(record, policy))


def read(record: PlanInput, policy: PlanPolicy) -> Iterator[Decoded]:
    """Yield the event in a record, or everything that is wrong with it up to its ``data``."""
    for found in cloudevents.read(record.value, record.headers):
        if isinstance(found, CloudEvent):
            yield _placed(found, record, policy)
        else:
            yield Malformed(found.refusal, _if_own(_named(policy.lane, found.source, found.id), record))


def _placed(cloud: CloudEvent, record: PlanInput, policy: PlanPolicy) -> Decoded:
    """Return the event if it is said by whom it says, without our headers, in its own partition."""
    named = _named(policy.lane, cloud.source, cloud.id, cloud.traceparent or "")
    if named is None:
        sentence = "source must look like //<business>/<system>."
        return Malformed(Refusal(Reason.INVALID_FIELD, sentence, place="/source"))
    if not _owns(named, record):
        sentence = "The record's key and the business in source differ: use your own business for both."
        return Malformed(Refusal(Reason.WRONG_TENANT, sentence, place="/source"))
    first = None
    if record.headers:
        if refusal := reserved_header(record):
            return Malformed(refusal, labelled(named, cloud))
        first = _first_origin(record)
    partition = _home(named.business.encode(), policy.shards)
    if partition == policy.shard:
        return Event(named, cloud, first)
    # Plan sends a record to the right partition, so one that was moved and is wrong again was not moved by plan: no circles.
    return Misrouted(named.business, partition) if first is None else Malformed(_not_for_producers("fanfare"), named)


def reserved_header(record: PlanInput) -> Refusal | None:
    """Return the refusal of a record with a header that producers may not set."""
    for name, held in record.headers:
        lower = name.lower()
        if not lower.startswith(_RESERVED) or (lower == ORIGIN_HEADER and _ORIGIN.fullmatch(held)):
            continue
        return _not_for_producers("faust" if lower.startswith("faust") else "fanfare")
    return None


def origin_header(origin: Origin) -> tuple[str, bytes]:
    """Return the header that a re-routed record carries."""
    return ORIGIN_HEADER, b"%d:%d" % (origin.partition, origin.offset)


class _Labelled(msgspec.Struct, frozen=True):
    """The labels alone, of data that may be refused for something else."""

    labels: dict[str, str] = {}


_labels: Final = msgspec.json.Decoder(_Labelled)


def labelled(named: Named, cloud: CloudEvent) -> Named:
    """Return the event's name with its labels, whatever else is wrong with it; with none if they are bad."""
    try:
        labels = _labels.decode(cloud.data).labels
    except msgspec.MsgspecError:
        return named
    return msgspec.structs.replace(named, labels=labels) if sound_labels(labels) else named


def sound_labels(labels: dict[str, str]) -> bool:
    """Return whether labels are few, short and without controls."""
    return len(labels) <= MAX_LABELS and all(short(text, LABEL_CHARS) for pair in labels.items() for text in pair)


def _first_origin(record: PlanInput) -> Origin | None:
    for name, held in record.headers:
        if name.lower() == ORIGIN_HEADER:
            partition, _, offset = held.partition(b":")
            return Origin(int(partition), int(offset))
    return None


def _named(lane: Lane, source: str, event_id: str, traceparent: str = "") -> Named | None:
    """Return the event that ``source`` and ``event_id`` name; None if they name none."""
    try:
        business = business_of(source)
    except ValueError:
        return None
    return Named(business, source, event_id, request_name(lane, source, event_id), traceparent) if event_id else None


def _not_for_producers(family: str) -> Refusal:
    sentence = f"Headers that begin with {family}- are not for producers: send the event without them."
    return Refusal(Reason.RESERVED_HEADER, sentence)


def _owns(named: Named, record: PlanInput) -> bool:
    return not record.key or record.key == named.business.encode()


def _if_own(named: Named | None, record: PlanInput) -> Named | None:
    """Return the event, unless the record's key says that somebody else wrote it: nobody is told about what others write."""
    return named if named is not None and _owns(named, record) else None
