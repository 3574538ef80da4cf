"""Reads the logs that all others are held against: registry, dead letters, suppressions, audience, controls."""

import base64
import hashlib
import re
from typing import Final

import msgspec

from broker.audit.invariants import Breach
from broker.audit.knowledge import Book
from broker.audit.recipients import shards_of
from broker.audit.sources import Logged
from schemas.facts import AudienceChange, ControlWord, Suppressions
from schemas.gateway_api import GatewayEvent
from schemas.ids import NAME_BYTES, recipient_id
from schemas.lanes import Lane
from schemas.registry import PriceCard, Sender, Template, entry_of
from schemas.status import DeadLetter
from schemas.topics import INBOUND, REGISTRY, requests, work
from schemas.wire.header import body_of, unpack

_letter = msgspec.json.Decoder(DeadLetter)
_TIME_BYTES: Final = 8
_TOPICS_OF_CODES = frozenset(topic(lane) for lane in Lane if lane.rules.carries_codes for topic in (requests, work))


def registry(book: Book, record: Logged) -> None:
    """Takes one version of one entry of the registry."""
    if not record.value:
        return
    entry = entry_of(record.value)
    match entry:
        case Sender():
            book.registered.senders[entry.id].append((record.timestamp_ms, entry))
        case Template():
            book.registered.templates[entry.id].append(entry)
        case PriceCard():
            old = book.registered.cards.setdefault(entry.id, entry)
            if old != entry:
                book.findings.report(Breach.CARD_REWRITTEN, record.where, f"card {entry.id}")
        case _:
            pass


def dead_letter(book: Book, record: Logged) -> None:
    """Takes one dead letter; whether its record is there is seen when its topic is read."""
    letter = _letter.decode(record.value or b"")
    book.counts["dead_letters"] += 1
    place = (letter.topic, letter.partition, letter.offset)
    old = book.dead.get(place)
    if old is None:
        book.dead[place] = letter.payload_sha256
    elif old == letter.payload_sha256:
        book.counts["repeats"] += 1
    else:
        book.findings.report(Breach.DEAD_TWICE, record.where, f"{letter.topic}/{letter.partition}@{letter.offset}")
    if letter.payload is not None:
        _payload(book, record, letter)


def _payload(book: Book, record: Logged, letter: DeadLetter) -> None:
    if letter.topic in _TOPICS_OF_CODES:
        book.findings.report(Breach.OTP_PAYLOAD, record.where)
    canary = book.rules.canary
    if canary and canary.encode() in base64.b64decode(letter.payload or ""):
        book.findings.report(Breach.CANARY, record.where, "in the payload that it keeps")


def died(book: Book, record: Logged) -> bool:
    """Returns whether a dead letter names this record; one that names it with another content is a violation."""
    wanted = book.dead.get((record.topic, record.partition, record.offset))
    if wanted is None:
        return False
    if wanted != hashlib.sha256(record.value or b"").hexdigest():
        book.findings.report(Breach.DEAD_UNSOURCED, record.where, "the hash is of something else")
    return True


def suppressions(book: Book, record: Logged) -> None:
    """People's words, of one shard."""
    shard = record.partition
    for entry in body_of(record.value or b"", Suppressions).entries:
        book.stops[shard].add(record.offset, record.timestamp_ms, entry)
        book.counts["suppressions"] += 1
        _in_place(book, record, entry.recipient)


def audience(book: Book, record: Logged) -> None:
    """A change of one list in one shard."""
    change = body_of(record.value or b"", AudienceChange)
    if len(change.recipients) * _TIME_BYTES != len(change.evidence_ms) * NAME_BYTES:
        raise ValueError("columns of different lengths: nobody in it has an ordinal")
    book.people[record.partition].add(record.offset, record.timestamp_ms, change)
    book.stops[record.partition].add_joins(record.offset, record.timestamp_ms, change)
    _in_place(book, record, change.recipients)


def control(book: Book, record: Logged) -> None:
    """A word of control."""
    header, entry = unpack(record.value or b"", ControlWord)
    book.controls.add(header.lane, record.timestamp_ms, entry)
    book.counts["controls"] += 1


def _in_place(book: Book, record: Logged, recipients: bytes) -> None:
    astray = [shard for shard in shards_of(recipients, book.rules.shards) if shard != record.partition]
    if astray:
        book.findings.report(Breach.WRONG_SHARD, record.where, f"it belongs to {astray[0]}", messages=len(astray))


# What must stand nowhere: a canary, an address in clear after plan. Bytes are searched, not meanings.

SCHEME: Final = b"tel:+"
"""The first bytes of an address in clear."""
_ADDRESS: Final = re.compile(rb"tel:\+[0-9]{7,15}")
_MAY_BE_CLEAR: Final = ("requests.", INBOUND, REGISTRY)
"""Topics that hold what people and businesses wrote themselves."""

_encoder = msgspec.json.Encoder()


class Secrets:
    """Looks at every byte once."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._canary = book.rules.canary.encode()
        self._found: dict[bytes, str] = {}
        """Addresses in clear, and where the first one stood. A text may hold a number that is nobody's here."""

    @property
    def seeks_canary(self) -> bool:
        """Returns whether there is one to be looked for: :meth:`canary` in each record."""
        return bool(self._canary)

    @staticmethod
    def may_be_clear(topic: str) -> bool:
        """Returns whether addresses may stand in clear in a topic; else :meth:`address` looks at records that hold ``SCHEME``."""
        return topic.startswith(_MAY_BE_CLEAR)

    def address(self, record: Logged) -> None:
        """Notes addresses in clear in a record of a topic that may hold none."""
        for address in _ADDRESS.findall(record.value or b""):
            self._found.setdefault(address, record.where)

    def canary(self, record: Logged) -> None:
        """Reports a record of any topic that holds the canary."""
        places = (record.value or b"", record.key or b"", *(text for _, text in record.headers))
        if any(self._canary in place for place in places):
            self._book.findings.report(Breach.CANARY, record.where)

    def event(self, event: GatewayEvent, where: str) -> None:
        """Reports an event of the gateway's log that holds the canary."""
        if self._canary and self._canary in _encoder.encode(event):
            self._book.findings.report(Breach.CANARY, where)

    def line(self, line: bytes, where: str) -> None:
        """Reports a line of any other text that holds the canary."""
        if self._canary and self._canary in line:
            self._book.findings.report(Breach.CANARY, where)

    def close(self) -> None:
        """Report addresses in clear of people who are recipients here."""
        pepper = self._book.rules.pepper
        for address, where in self._found.items():
            if pepper is None or self._book.knows(recipient_id(pepper, address.decode())):
                self._book.findings.report(Breach.CLEAR_ADDRESS, where)
