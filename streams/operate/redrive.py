"""Sends the records of dead letters again: reads letters, their records and what was sent before, and publishes.

A record is taken from its own log and never from the letter, checked against the letter's hash, and judged by plan's code
before it goes: what would be refused again stays where it is.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from broker.letters import MAX_ATTEMPTS, Attempt, Letter, Wanted, attempt_of, next_headers, place_of
from broker.plan.decode import PlanInput
from broker.plan.policy import PlanPolicy
from broker.registry.fold import Registry
from broker.validation.dry_run import forecast
from schemas import topics
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.status import DeadLetter
from schemas.wire.sealed import AddressBook
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Publisher
from streams.kafka.scan import Record, read_at, scan
from streams.registry.read import read_registry
from streams.runtime import clock, log
from streams.runtime.events import Event
from streams.runtime.kafka_access import Address
from streams.runtime.settings import Settings, raw

_SLACK_MS: Final = 60_000
"""Logs are stamped by Kafka's clock, letters by ours."""

_BITE: Final = 100
"""Records that are read and held at a time."""

_LANES: Final = {topics.requests(lane): lane for lane in Lane}
_letter: Final = msgspec.json.Decoder(DeadLetter)


class Outcome(StrEnum):
    """Names what can become of a letter."""

    SENT = "sent"
    WOULD_SEND = "would send"
    REFUSED_AGAIN = "refused again"
    """Not sent: plan would refuse it as it is."""
    SENT_BEFORE = "sent before"
    GONE = "gone"
    """Its record is no longer in its log."""
    CHANGED = "changed"
    """The record at its place is not the one that the letter's hash says."""
    TOO_OFTEN = "too often"
    NO_REQUEST = "no request"
    """Its record is none of a lane's requests."""


class Told(msgspec.Struct, frozen=True):
    """A letter, what became of it, and the sentence or place that belongs to it."""

    letter: Letter
    outcome: Outcome
    detail: str = ""
    attempt: int = 1


class _Sendable(msgspec.Struct, frozen=True):
    letter: Letter
    given: PlanInput
    attempt: Attempt


async def read_letters(bootstrap: Address, wanted: Wanted, *, unreadable: Callable[[str], None]) -> list[Letter]:
    """The dead letters that are wanted, oldest first. ``unreadable`` hears the place of what is none. Raises ``ScanError``."""
    since_ms = max(wanted.since_ms - _SLACK_MS, 0)
    found: list[Letter] = []
    async for bite in scan(bootstrap, topics.DEAD_LETTERS, since_ms=since_ms or None):
        for record in bite:
            try:
                letter = Letter(record.partition, record.offset, _letter.decode(record.value or b""))
            except msgspec.DecodeError:
                unreadable(place_of(record.topic, record.partition, record.offset))
                continue
            if letter in wanted:
                found.append(letter)
    return sorted(found, key=lambda letter: (letter.body.at_ms, letter.partition, letter.offset))


async def read_originals(bootstrap: Address, letters: Sequence[Letter]) -> dict[str, Record]:
    """The records that letters are about, by their place (``Letter.source``), as far as they are still in their logs."""
    found: dict[str, Record] = {}
    for topic in sorted({letter.body.topic for letter in letters}):
        places = {(one.body.partition, one.body.offset) for one in letters if one.body.topic == topic}
        for (partition, offset), record in (await read_at(bootstrap, topic, places)).items():
            found[place_of(topic, partition, offset)] = record
    return found


def is_original(letter: Letter, record: Record) -> bool:
    """Returns whether the record is the one that was refused, by the letter's hash of its value."""
    return hashlib.sha256(record.value or b"").hexdigest() == letter.body.payload_sha256


class Redriver:
    """Sends records again: at most ``most``, ``rate`` a second. Everything raises ``ScanError`` and ``PublishError``."""

    def __init__(self, settings: Settings, *, dry: bool, rate: float, most: int) -> None:
        self._settings = settings
        self._dry = dry
        self._pause_s = 1 / rate
        self._left = most
        self._shards: dict[str, int] = {}

    async def run(self, letters: Sequence[Letter]) -> AsyncIterator[Told]:
        """Yields the outcome of each letter, as it happens; ends when ``most`` were sent, whatever follows."""
        bootstrap = self._settings.kafka
        known = [letter for letter in letters if letter.body.topic in _LANES]
        registry = await read_registry(bootstrap)
        sent = await self._sent_before(known)
        publisher = Publisher(bootstrap, "fanfare-redrive")
        await publisher.start()
        try:
            self._shards = {topic: await publisher.partitions(topic) for topic in {one.body.topic for one in known}}
            for begin in range(0, len(letters), _BITE):
                bite = letters[begin : begin + _BITE]
                originals = await read_originals(bootstrap, [one for one in bite if one.body.topic in _LANES])
                for letter in bite:
                    if self._left <= 0:
                        return
                    found = self._considered(letter, originals.get(letter.source), registry=registry, sent=sent)
                    if isinstance(found, Told):
                        yield found
                        continue
                    self._left -= 1
                    sent[found.attempt.first] = found.attempt.number + 1  # a second letter of the record may follow
                    yield await self._send(found, publisher)
        finally:
            await publisher.stop()

    async def _sent_before(self, letters: Sequence[Letter]) -> dict[str, int]:
        """First place -> the highest attempt that stands in the logs of the letters' partitions."""
        highest: dict[str, int] = {}
        since_ms = min((letter.body.at_ms for letter in letters), default=0) - _SLACK_MS
        for topic, partition in sorted({(letter.body.topic, letter.body.partition) for letter in letters}):
            async for bite in scan(self._settings.kafka, topic, partition=partition, since_ms=since_ms):
                for record in bite:
                    attempt = attempt_of("", record.headers)
                    if attempt.first:
                        highest[attempt.first] = max(highest.get(attempt.first, 1), attempt.number)
        return highest

    def _considered(
        self, letter: Letter, record: Record | None, *, registry: Registry, sent: Mapping[str, int]
    ) -> Told | _Sendable:
        if letter.body.topic not in _LANES:
            return Told(letter, Outcome.NO_REQUEST, f"{letter.body.topic} is no topic of requests")
        if record is None:
            return Told(letter, Outcome.GONE, f"{letter.source} has left its log")
        attempt = attempt_of(letter.source, record.headers)
        if not is_original(letter, record):
            return Told(letter, Outcome.CHANGED, f"{letter.source} does not hold what was refused", attempt.number)
        if sent.get(attempt.first, 1) > attempt.number:
            return Told(letter, Outcome.SENT_BEFORE, f"attempt {sent[attempt.first]} was made", attempt.number)
        if attempt.number >= MAX_ATTEMPTS:
            return Told(letter, Outcome.TOO_OFTEN, f"{MAX_ATTEMPTS} attempts are enough: correct it", attempt.number)
        now_ms = clock.now_ms()
        origin = Origin(record.partition, record.offset)
        given = PlanInput(origin, record.key, record.value, record.headers, now_ms)
        policy = self._policy(letter.body.topic, record.partition)
        said = forecast(given, registry=registry, policy=policy, now_ms=now_ms)
        if said.reason:
            return Told(letter, Outcome.REFUSED_AGAIN, f"{said.reason}: {said.detail}", attempt.number)
        return _Sendable(letter, given, attempt)

    def _policy(self, topic: str, partition: int) -> PlanPolicy:
        settings, lane = self._settings, _LANES[topic]
        return PlanPolicy(
            lane,
            partition,
            pepper=raw(settings.pepper),
            address_book=AddressBook(settings.address_book),
            windows=settings.windows(lane),
            shards=self._shards[topic],
            limits=settings.limits,
        )

    async def _send(self, found: _Sendable, publisher: Publisher) -> Told:
        letter, given, attempt = found.letter, found.given, found.attempt
        number = attempt.number + 1
        if self._dry:
            return Told(letter, Outcome.WOULD_SEND, f"to {letter.body.topic}[{letter.body.partition}]", number)
        headers = next_headers(given, attempt)
        record = Outgoing(letter.body.topic, given.value, given.key, letter.body.partition, headers)
        place = await publisher.publish(record)
        log.log(
            Event.REDRIVEN,
            letter=letter.place,
            first=attempt.first,
            refused=letter.source,
            to=place_of(place.topic, place.partition, place.offset),
            attempt=number,
            reason=letter.body.reason,
            business=letter.body.business,
            sha256=letter.body.payload_sha256,
        )
        await asyncio.sleep(self._pause_s)
        return Told(letter, Outcome.SENT, f"as {place_of(place.topic, place.partition, place.offset)}", number)
