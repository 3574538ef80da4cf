"""Reads what businesses published, as leniently as can be: who wrote it, under which id, to whom.

An auditor must not refuse what plan accepted, so that nothing is validated here; what has no name at all must have become a
dead letter. Names and recipients: PROTOCOL.md section 7.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from broker.audit.first_logs import died
from broker.audit.invariants import Breach
from broker.audit.knowledge import Book
from broker.audit.recipients import shards_of
from broker.audit.sources import Logged, Place
from schemas.ids import NAME_BYTES, business_of, recipient_id, request_name
from schemas.lanes import Lane
from schemas.request import CONTROL_TYPE, OPTIN_TYPE


class _Recipient(msgspec.Struct, frozen=True):
    address: str = ""


class _To(msgspec.Struct, frozen=True):
    recipients: list[_Recipient] = []


class _Body(msgspec.Struct, frozen=True):
    to: _To | None = None
    named: str = msgspec.field(default="", name="list")
    op: str = ""
    members: list[_Recipient] = []


class _Head(msgspec.Struct, frozen=True):
    source: str
    id: str
    type: str = ""


class _Envelope(msgspec.Struct, frozen=True):
    data: _Body = _Body()


class Input(NamedTuple):
    """Holds an input that is not accounted for yet."""

    name: bytes
    """Empty: it has none."""
    people: bytes
    """Digest of its explicit recipients; empty: unknown or none."""
    at_ms: int
    """Log time of the input, milliseconds since the epoch."""
    dead: bool


_heads = msgspec.json.Decoder(_Head)
_bodies = msgspec.json.Decoder(_Body)
_envelopes = msgspec.json.Decoder(_Envelope)
_NO_BODY = _Body()
_MOVED_HEADER = "fanfare-origin"


def digest_of(recipients: list[bytes]) -> bytes:
    """Returns the bytes by which two sets of recipient ids are compared."""
    return hashlib.blake2b(b"".join(sorted(set(recipients))), digest_size=8).digest()


class Inputs:
    """The inputs of all lanes that no verdict named so far."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.open: dict[Place, dict[int, Input]] = defaultdict(dict)
        self._moved: set[tuple[str, int, int]] = set()
        """Places from which plan published an input again, to the partition where it belongs."""

    def take(self, record: Logged, lane: Lane) -> None:
        """The next record of ``requests.<lane>``."""
        head, body = _decoded(record)
        name = request_name(lane, head.source, head.id) if head else b""
        people = b""
        pepper = self._book.rules.pepper
        if head and head.type in (OPTIN_TYPE, CONTROL_TYPE):
            self._join(name, head, body)
        elif pepper is not None and body.to is not None and body.to.recipients:
            people = digest_of([recipient_id(pepper, one.address) for one in body.to.recipients])
        self._book.counts["inputs"] += 1
        self._moved.update(_first_places(record))
        entry = Input(name, people, record.timestamp_ms, died(self._book, record))
        self.open[record.topic, record.partition][record.offset] = entry

    def _join(self, name: bytes, head: _Head, body: _Body) -> None:
        """Note whether what an opt-in or a control event makes stands in its log."""
        book, pepper = self._book, self._book.rules.pepper
        if head.type == CONTROL_TYPE:
            book.commands[name] = f"{head.source} {head.id}" in book.controls.authors
        else:
            book.opt_ins[name] = pepper is None or self._joined(head, body, pepper)

    def _joined(self, head: _Head, body: _Body, pepper: bytes) -> bool:
        """Returns whether everybody of an opt-in stands in the audience's log."""
        try:
            business = business_of(head.source)
        except ValueError:
            return False
        ids = b"".join(recipient_id(pepper, member.address) for member in body.members)
        wanted: dict[int, set[bytes]] = defaultdict(set)
        for place, shard in enumerate(shards_of(ids, self._book.rules.shards)):
            wanted[shard].add(ids[place * NAME_BYTES : (place + 1) * NAME_BYTES])
        join = body.op == "join"
        return bool(wanted) and all(
            people <= self._book.people[shard].spoke(business, body.named, join=join)
            for shard, people in wanted.items()
        )

    def named_by(self, topic: str, origin: tuple[int, int]) -> Input | None:
        """Take out the input that a verdict names as its origin."""
        return self.open[topic, origin[0]].pop(origin[1], None)

    def close(self) -> None:
        """Account for what is left: repeats of a name, opt-ins, control events, dead letters, lag; the rest is a violation."""
        for place, inputs in self.open.items():
            for offset, entry in inputs.items():
                self._account(place, offset, entry)

    def _account(self, place: Place, offset: int, entry: Input) -> None:
        book = self._book
        if entry.dead:
            book.counts["inputs_dead"] += 1
        elif entry.name in book.requests:
            book.counts["repeats"] += 1
        elif book.opt_ins.get(entry.name):
            book.counts["opt_ins"] += 1
        elif book.commands.get(entry.name):
            book.counts["commands"] += 1
        elif (entry.name, offset) in book.answered:
            book.counts["inputs_refused"] += 1
        elif (*place, offset) in self._moved:
            book.counts["inputs_moved"] += 1
        elif book.committed(place, offset):
            book.findings.report(Breach.COMMITTED_UNFINISHED, f"{place[0]}/{place[1]}@{offset}", "it became nothing")
        elif book.rules.late(entry.at_ms):
            book.findings.report(Breach.NO_VERDICT, f"{place[0]}/{place[1]}@{offset}")
        else:
            book.counts["lag_plan"] += 1


def _first_places(record: Logged) -> Iterator[tuple[str, int, int]]:
    """Where a record that plan moved stood first, by its own header."""
    for key, value in record.headers:
        partition, _, offset = value.partition(b":")
        if key.lower() == _MOVED_HEADER and partition.isdigit() and offset.isdigit():
            yield record.topic, int(partition), int(offset)


def _decoded(record: Logged) -> tuple[_Head | None, _Body]:
    headers = {key.lower(): value for key, value in record.headers} if record.headers else {}
    value = record.value or b""
    try:
        if "ce_id" in headers:
            kind = headers.get("ce_type", b"").decode()
            head = _Head(headers.get("ce_source", b"").decode(), headers["ce_id"].decode(), kind)
        else:
            head = _heads.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None, _NO_BODY
    try:
        return head, _bodies.decode(value) if "ce_id" in headers else _envelopes.decode(value).data
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return head, _NO_BODY
