"""Writes logs record by record, with the schemas' own encoders, and edits them afterwards: the ground of ``audit_dump``."""

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from broker.audit.sources import Dump, Ledger, LedgerEntry, LedgerPosting, LedgerRow, Logged
from schemas import topics
from schemas.delivery_journal import ItemPart, Outcome, Restated
from schemas.facts import (
    AudienceChange,
    Charge,
    ControlAction,
    ControlScope,
    ControlWord,
    Receipts,
    Suppression,
    Suppressions,
)
from schemas.gateway_api import GatewayEvent
from schemas.ids import partition_of, recipient_id, request_name, shard_of, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Claim, PlannedBatch, Rows, Work
from schemas.reasons import Reason
from schemas.registry import Entry, key_of
from schemas.request import CONTROL_TYPE, NOTIFICATION_TYPE, OPTIN_TYPE
from schemas.status import BilledCharge, DeadLetter, Status
from schemas.wire.cloudevents import encode_charge
from schemas.wire.columns import i64s, u16s
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from schemas.wire.sealed import AddressBook

SHARDS = 4
START_MS = 1_900_000_000_000
MINUTE_MS = 60_000
PEPPER = bytes(range(32))
BOOK = AddressBook({1: bytes(range(32))})

KINDS: Final[dict[type, Kind]] = {
    Claim: Kind.CLAIM,
    PlannedBatch: Kind.PLANNED,
    Work: Kind.WORK,
    Outcome: Kind.OUTCOME,
    Restated: Kind.OUTCOME_RESTATED,
    ItemPart: Kind.ITEM_PART,
    Receipts: Kind.RECEIPT,
    Charge: Kind.CHARGE,
    Suppressions: Kind.SUPPRESSION,
    AudienceChange: Kind.AUDIENCE,
}
_T = TypeVar("_T")


def address(number: int) -> str:
    """The address of person ``number``; even ones live in Germany, odd ones in India."""
    return f"tel:+{'91' if number % 2 else '49'}170{number:07d}"


def person(number: int) -> bytes:
    """The recipient id of person ``number``."""
    return recipient_id(PEPPER, address(number))


def people_in(shard: int, count: int, start: int = 0) -> list[int]:
    """The first ``count`` people from ``start`` on who live in ``shard``."""
    found: list[int] = []
    while len(found) < count:
        if shard_of(person(start), SHARDS) == shard:
            found.append(start)
        start += 1
    return found


def rows_of(people: Sequence[int]) -> Rows:
    """People as explicit recipients."""
    return Rows(
        b"".join(map(person, people)),
        b"".join(BOOK.seal(address(one)) for one in people),
        b"en" * len(people),
        u16s(market(one) for one in people),
    )


def market(number: int) -> int:
    """The country calling code of person ``number``."""
    return 91 if number % 2 else 49


class Log:
    """All logs of a run, growing. ``now`` is the time of whatever is written next; every record moves it on by a millisecond."""

    def __init__(self) -> None:
        self.now = START_MS
        self.logs: dict[str, list[Logged]] = defaultdict(list)
        self.gateway: dict[Lane, list[GatewayEvent]] = {lane: [] for lane in Lane}
        self.epochs: Counter[tuple[str, int]] = Counter()
        self.ordinals: dict[int, list[int]] = defaultdict(list)
        """Shard -> people in the order of first appearance."""
        self.rows: list[LedgerRow] = []
        self.entries: list[LedgerEntry] = []
        self.postings: list[LedgerPosting] = []
        self._ends: Counter[tuple[str, int]] = Counter()

    # -- logs

    def put(self, topic: str, partition: int, value: bytes, key: bytes | None = None, **headers: bytes) -> Logged:
        """Append one record."""
        self.now += 1
        place = (topic, partition)
        named = tuple((name.replace("_", "-"), text) for name, text in headers.items())
        record = Logged(topic, partition, self._ends[place], self.now, key, value, named)
        self._ends[place] += 1
        self.logs[topic].append(record)
        return record

    def journal(self, topic: str, lane: Lane, shard: int, body: object, **head: int) -> Logged:
        """Append to a journal under its newest epoch, or another."""
        kind = Kind(head.get("kind", KINDS[type(body)]))
        epoch = head.get("epoch", self.epochs[topic, shard])
        return self.put(topic, shard, pack(Header(kind, lane, shard, epoch, head.get("at_ms", self.now)), body))

    def claim(self, lane: Lane, shard: int, instance: str = "one") -> None:
        """A new owner of both journals of a shard: hello, then the claims."""
        for topic in (topics.plans(lane), topics.outcomes(lane)):
            self.epochs[topic, shard] += 1
        epoch = self.epochs[topics.outcomes(lane), shard]
        self.now += 1
        self.gateway[lane].append(GatewayEvent("hello", self.now, lane=lane.word, shard=shard, epoch=epoch))
        for topic in (topics.plans(lane), topics.outcomes(lane)):
            self.journal(topic, lane, shard, Claim(instance))

    def register(self, entry: Entry) -> None:
        """One registry entry."""
        self.put(topics.REGISTRY, 0, msgspec.json.encode(entry), key_of(entry).encode())

    def publish(self, lane: Lane, business: str, event_id: str, data: object, **options: Any) -> Logged:
        """One input record. ``type``, ``partition``, ``headers``, ``raw``."""
        event = {
            "specversion": "1.0",
            "type": options.get("type", NOTIFICATION_TYPE),
            "source": f"//{business}/system",
            "id": event_id,
            "data": data,
        }
        partition = options.get("partition", partition_of(business.encode(), SHARDS))
        value = options.get("raw", msgspec.json.encode(event))
        return self.put(topics.requests(lane), partition, value, business.encode(), **options.get("headers", {}))

    def tell(self, business: str, event_id: str, lane: Lane, state: str, seq: int, **fields: Any) -> Logged:
        """One status."""
        name = request_name(lane, f"//{business}/system", event_id)
        told = Status(text_of(name), f"//{business}/system", event_id, state, seq, self.now, **fields)
        event = {"specversion": "1.0", "type": "fanfare.status.v1", "data": told}
        return self.put(topics.status(business), 0, msgspec.json.encode(event))

    def bury(self, record: Logged, reason: Reason, *, payload: bool = False) -> Logged:
        """One dead letter."""
        value = record.value or b""
        letter = DeadLetter(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason.word,
            detail="",
            stage="plan",
            at_ms=self.now,
            payload_sha256=hashlib.sha256(value).hexdigest(),
            payload=base64.b64encode(value).decode() if payload else None,
        )
        return self.put(topics.DEAD_LETTERS, 0, msgspec.json.encode(letter))

    # -- people

    def opt(
        self, business: str, listed: str, people: Sequence[int], *, join: bool = True, acted: bool = False
    ) -> Logged:
        """People join or leave a list: the event, the answer, the changes of the audience. ``acted``: by an act, for offers."""
        data = {
            "list": listed,
            "op": "join" if join else "leave",
            "members": [{"address": address(one)} for one in people],
        }
        event_id = f"opt-{listed}-{self.now}"
        record = self.publish(Lane.CAMPAIGN, business, event_id, data, type=OPTIN_TYPE)
        self.change(business, listed, people, join=join, acted=acted)
        self.tell(business, event_id, Lane.CAMPAIGN, "accepted", record.offset, counts={"members": len(people)})
        return record

    def change(
        self, business: str, listed: str, people: Sequence[int], *, join: bool = True, acted: bool = False
    ) -> None:
        """The changes of the audience alone."""
        for shard in range(SHARDS):
            here = [one for one in people if shard_of(person(one), SHARDS) == shard]
            if not here:
                continue
            self.ordinals[shard] += [one for one in here if one not in self.ordinals[shard]]
            rows = rows_of(here)
            evidence = i64s([self.now] * len(here))
            columns = (rows.recipients, rows.addresses, rows.locales, rows.markets)
            body = AudienceChange(business, listed, join, *columns, evidence, self.now, "", acted, acted)
            self.put(topics.AUDIENCE, shard, pack(Header(Kind.AUDIENCE, Lane.CAMPAIGN, shard, 0, self.now), body))

    def stop(self, number: int, business: str, scope: int, *, revoke: bool = True, listed: str = "") -> Logged:
        """A person forbids something, or allows it again; ``listed`` for the scope of one list."""
        shard = shard_of(person(number), SHARDS)
        entry = Suppression(person(number), business, scope, revoke, self.now, self.now, list=listed)
        head = Header(Kind.SUPPRESSION, Lane.CAMPAIGN, shard, 0, self.now)
        return self.put(topics.SUPPRESSIONS, shard, pack(head, Suppressions((entry,))))

    def control(
        self, business: str, scope: ControlScope, target: str, action: ControlAction, *, event_id: str = ""
    ) -> Logged:
        """A business's control event of that id, answered, or an operator's word; returns the word."""
        author = f"//{business}/system {event_id}" if event_id else "operator"
        word = ControlWord(scope, business, target, action, self.now, self.now, author)
        said = self.put(topics.CONTROLS, 0, pack(Header(Kind.CONTROL, Lane.CAMPAIGN, 0, 0, self.now), word))
        if event_id:
            data = {"action": action.word, "subject": target}
            record = self.publish(Lane.CAMPAIGN, business, event_id, data, type=CONTROL_TYPE)
            self.tell(business, event_id, Lane.CAMPAIGN, "accepted", record.offset, counts={"controls": 1})
        return said

    def upto(self, topic: str, shard: int) -> int:
        """The offset of the last record of a log, -1 if there is none."""
        return self._ends[topic, shard] - 1

    # -- what the ledger tells

    def bill(self) -> None:
        """The billing events of all postings, instead of those that stand there."""
        for posting in self.postings:
            self.logs[topics.billing(posting.business)].clear()
            self._ends[topics.billing(posting.business), 0] = 0
        serials: Counter[str] = Counter()
        for posting in self.postings:
            serials[posting.business] += 1
            self.bill_one(posting, serials[posting.business])

    def bill_one(self, posting: LedgerPosting, serial: int, **fields: Any) -> Logged:
        """One billing event."""
        base: dict[str, Any] = {
            "business": posting.business,
            "serial": serial,
            "partition": posting.partition,
            "offset": posting.offset,
            "request": text_of(posting.request),
            "sender": f"{posting.business}/main",
            "lane": "update",
            "shard": 0,
            "category": "utility",
            "market": 49,
            "count": posting.messages,
            "card": 1,
            "unit_micro": posting.amount_micro // posting.messages,
            "amount_micro": posting.amount_micro,
            "currency": posting.currency,
            "first_ms": posting.at_ms,
            "last_ms": posting.at_ms,
            "at_ms": posting.at_ms,
        }
        topic = topics.billing(fields.pop("topic", posting.business))
        return self.put(topic, 0, encode_charge(BilledCharge(**(base | fields))), text_of(posting.request).encode())

    # -- the dump, and editing it

    def dump(self) -> Dump:
        """Everything written, for the auditor."""
        upto = {partition: end for (topic, partition), end in self._ends.items() if topic == topics.CHARGES}
        ledger = Ledger(tuple(self.rows), tuple(self.entries), upto, tuple(self.postings))
        return Dump(dict(self.logs), ledger, tuple(self.gateway.values()))

    def edit(self, topic: str, shape: type[_T], change: Callable[[_T], _T | None]) -> None:
        """Change the first record of ``topic`` whose body ``change`` does not answer with None."""
        for at, record in enumerate(self.logs[topic]):
            if head_of(record.value or b"").kind is not KINDS[shape]:
                continue
            changed = change(body_of(record.value or b"", shape))
            if changed is not None:
                value = pack(head_of(record.value or b""), changed)
                self.logs[topic][at] = msgspec.structs.replace(record, value=value)
                return
        raise AssertionError(f"nothing to change in {topic}")
