"""Writes the records of a run as the workers would: each method is one step of the way of a notification.

A planted violation is an edit of what was written, or one step too many.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pyroaring import BitMap

from broker.audit.sources import LedgerEntry, LedgerPosting, LedgerRow, Logged
from schemas import topics
from schemas.delivery_journal import Answered, Decided, Members, Opened, Outcome
from schemas.facts import AudienceChange, Charge, ReceiptRun, Receipts, ReceiptStatus
from schemas.gateway_api import Code, GatewayEvent
from schemas.ids import partition_of, request_name, shard_of, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Origin, Planned, PlannedBatch, Terms, Work, WorkItem
from schemas.reasons import Reason, State
from schemas.wire.arrays import intervals_of, runs_of
from schemas.wire.columns import i64s, pairs, u16s, u32s
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from tests.pure.audit.log import MINUTE_MS, SHARDS, Log, address, market, person, rows_of

CODES: Final[dict[int, int]] = {Reason.UNREACHABLE: Code.UNDELIVERABLE}
"""The gateway's codes behind the ends that the story needs."""


@dataclass
class Asked:
    """A request that was accepted, and who its ranks are in each shard (explicit ones; lists: once frozen)."""

    lane: Lane
    entry: Planned
    people: dict[int, list[int]] = field(default_factory=dict)
    work: dict[int, Logged] = field(default_factory=dict)
    members: dict[int, Members] = field(default_factory=dict)

    @property
    def name(self) -> bytes:
        """The request's name."""
        return self.entry.name

    @property
    def terms(self) -> Terms:
        """What was fixed at acceptance."""
        assert self.entry.terms is not None
        return self.entry.terms


class Writer(Log):
    """A run, step by step."""

    # -- plan

    def ask(self, lane: Lane, event_id: str, to: Sequence[int] | str, **terms: Any) -> Asked:
        """A request: published, accepted, told, and turned into work."""
        asked = self.accept(lane, event_id, to, **terms)
        for shard in self.items(asked):
            self.work(asked, shard)
        return asked

    def accept(self, lane: Lane, event_id: str, to: Sequence[int] | str, **given: Any) -> Asked:
        """A request that is published, accepted and told; no work yet."""
        terms = self.terms(lane, event_id, **given)
        if isinstance(to, str):
            target: object = {"list": to}
        else:
            target = {"recipients": [{"address": address(one)} for one in to]}
        data = {"template": terms.template, "to": target, "params": terms.params}
        record = self.publish(lane, terms.business, event_id, data)
        entry = Planned(
            name=request_name(lane, terms.source, event_id),
            origin=Origin(record.partition, record.offset),
            fingerprint=hashlib.sha256(event_id.encode()).digest()[:8],
            verdict=0,
            decided_ms=self.now,
            keep_ms=terms.keep_ms,
            terms=terms,
            rows=None if isinstance(to, str) else rows_of(to),
            list=to if isinstance(to, str) else "",
        )
        self.journal(topics.plans(lane), lane, record.partition, PlannedBatch((entry,)))
        if not terms.business.startswith("fanfare"):
            self.tell(terms.business, event_id, lane, "accepted", record.offset)
        asked = Asked(lane, entry)
        if not isinstance(to, str):
            for one in to:
                asked.people.setdefault(shard_of(person(one), SHARDS), []).append(one)
        return asked

    def refuse(self, lane: Lane, business: str, event_id: str, reason: Reason) -> Planned:
        """A request that is refused by a verdict of its own."""
        record = self.publish(lane, business, event_id, {"template": "news"})
        name = request_name(lane, f"//{business}/system", event_id)
        origin = Origin(record.partition, record.offset)
        entry = Planned(name, origin, b"refused!", reason, self.now, self.now + 60 * MINUTE_MS, "A sentence.")
        self.journal(topics.plans(lane), lane, record.partition, PlannedBatch((entry,)))
        self.tell(business, event_id, lane, "refused", record.offset, reason=reason.word)
        return entry

    def terms(self, lane: Lane, event_id: str, **given: Any) -> Terms:
        """The terms of a request that is good for half an hour."""
        business = given.pop("business", ("bank", "airline", "shop")[lane.rules.category - 1])
        base: dict[str, Any] = {
            "business": business,
            "sender": f"{business}/main",
            "template": ("code", "news", "offer")[lane.rules.category - 1],
            "template_version": 1,
            "category": lane.rules.category,
            "card": 1,
            "params": {},
            "time_ms": self.now,
            "expires_ms": self.now + 30 * MINUTE_MS,
            "keep_ms": self.now + 60 * MINUTE_MS,
            "source": f"//{business}/system",
            "id": event_id,
        }
        return Terms(**(base | given))

    def items(self, asked: Asked) -> dict[int, WorkItem]:
        """What the request asks of each shard."""
        entry = asked.entry
        if entry.list:
            return dict.fromkeys(range(SHARDS), WorkItem(entry.name, asked.terms, None, entry.list))
        return {
            shard: WorkItem(entry.name, asked.terms, rows_of(people)) for shard, people in sorted(asked.people.items())
        }

    def work(self, asked: Asked, shard: int, item: WorkItem | None = None) -> Logged:
        """The work of one shard."""
        body = Work((item or self.items(asked)[shard],))
        record = self.put(topics.work(asked.lane), shard, pack(Header(Kind.WORK, asked.lane, shard, 0, self.now), body))
        asked.work.setdefault(shard, record)
        return record

    # -- deliver

    def say(self, asked: Asked, shard: int, **sections: Any) -> Logged:
        """One record of deliver's journal: ``opened``, ``members``, ``decided``, ``answered``, each a tuple; or ``epoch``."""
        head = {key: sections.pop(key) for key in ("epoch", "at_ms") if key in sections}
        return self.journal(topics.outcomes(asked.lane), asked.lane, shard, Outcome(**sections), **head)

    def opened(self, asked: Asked, shard: int) -> Opened:
        """The section that takes a work item over."""
        origin = Origin(shard, asked.work[shard].offset)
        return Opened(self.items(asked)[shard], origin, self.now)

    def open(self, asked: Asked, shard: int) -> None:
        """Take the work over, and freeze the members of a list."""
        self.say(asked, shard, opened=(self.opened(asked, shard),))
        if asked.entry.list:
            self.say(asked, shard, members=(self.members(asked, shard),))

    def members(self, asked: Asked, shard: int) -> Members:
        """The section that freezes a list, and remembers who the ranks are."""
        on_list: dict[int, bool] = {}
        for record in self.logs[topics.AUDIENCE]:
            if record.partition == shard:
                change = body_of(record.value or b"", AudienceChange)
                if (change.business, change.list) == (asked.terms.business, asked.entry.list):
                    ids = [change.recipients[at : at + 16] for at in range(0, len(change.recipients), 16)]
                    on_list |= {o: change.join for o, one in enumerate(self.ordinals[shard]) if person(one) in ids}
        ordinals = BitMap(ordinal for ordinal, joined in on_list.items() if joined)
        asked.people[shard] = [self.ordinals[shard][ordinal] for ordinal in ordinals]
        upto = self.upto(topics.AUDIENCE, shard), self.upto(topics.SUPPRESSIONS, shard)
        members = asked.members[shard] = Members(asked.name, len(ordinals), ordinals.serialize(), *upto)
        return members

    def decided(self, asked: Asked, shard: int, says: dict[int, int], attempt: int = 1, due_ms: int = 0) -> Decided:
        """The section that decides ranks, by status."""
        ranks = sorted(says)
        statuses = bytes(says[rank] for rank in ranks)
        people = asked.people[shard]
        sent = [market(people[rank]) for rank in ranks if says[rank] == State.SENDING]
        attempts = bytes(attempt if says[rank] == State.SENDING else attempt - 1 for rank in ranks)
        return Decided(
            asked.name,
            intervals_of(ranks),
            runs_of(statuses),
            runs_of(attempts),
            u16s(sent) if len(set(sent)) > 1 else b"",
            sent[0] if len(set(sent)) == 1 else 0,
            i64s([due_ms] * statuses.count(State.WAITING)),
            self.upto(topics.SUPPRESSIONS, shard),
            self.upto(topics.AUDIENCE, shard),
        )

    def decide(self, asked: Asked, shard: int, says: dict[int, int], attempt: int = 1, due_ms: int = 0) -> Logged:
        """Decide ranks."""
        return self.say(asked, shard, decided=(self.decided(asked, shard, says, attempt, due_ms),))

    def event(self, asked: Asked, shard: int, ranks: Sequence[int], **fields: Any) -> GatewayEvent:
        """What the gateway writes about some ranks."""
        terms, people = asked.terms, asked.people[shard]
        fact = f"{terms.business}\0{terms.entity}\0{terms.facet}\0".encode()
        base: dict[str, Any] = {
            "event": "accepted",
            "at_ms": self.now,
            "lane": asked.lane.word,
            "shard": shard,
            "epoch": self.epochs[topics.outcomes(asked.lane), shard],
            "request": text_of(asked.name),
            "business": terms.business,
            "sender": terms.sender,
            "ranks": tuple(pairs(intervals_of(list(ranks)))),
            "recipients": base64.b64encode(b"".join(person(people[rank]) for rank in ranks)).decode(),
            "attempt": 1,
            "collapse": hashlib.sha256(fact).digest()[:8].hex() if terms.version >= 0 else "",
            "version": terms.version,
            "not_after_ms": self.now + 1_000,
            "expires_ms": terms.expires_ms,
            "test": terms.test,
        }
        return GatewayEvent(**(base | fields))

    def hand(self, asked: Asked, shard: int, ranks: Sequence[int], **fields: Any) -> None:
        """The gateway takes some ranks (or ``event="refused"``)."""
        self.now += 1
        self.gateway[asked.lane].append(self.event(asked, shard, ranks, **fields))

    def answer(self, asked: Asked, shard: int, ranks: Sequence[int], excepted: dict[int, int] | None = None) -> Logged:
        """The answer is journaled: all accepted but the exceptions, by status; those of the platform with its code."""
        excepted = excepted or {}
        dues = [self.now + 500 if status == State.WAITING else 0 for status in excepted.values()]
        codes = [CODES.get(status, 0) for status in excepted.values()]
        columns = (u32s(excepted), bytes(excepted.values()), u32s(codes), i64s(dues))
        section = Answered(asked.name, intervals_of(list(ranks)), self.now, *columns)
        return self.say(asked, shard, answered=(section,))

    def send(self, asked: Asked, shard: int, ranks: Sequence[int]) -> None:
        """Decide, hand off, answer: the whole way of ranks that nothing stops."""
        self.decide(asked, shard, dict.fromkeys(ranks, State.SENDING))
        self.hand(asked, shard, ranks)
        self.answer(asked, shard, ranks)

    # -- settle and ledger

    def receive(
        self, asked: Asked, shard: int, ranks: Sequence[int], status: ReceiptStatus, late_ms: int = 0
    ) -> Logged:
        """A receipt, and the gateway's note that the webhook has confirmed it."""
        received_ms = self.now + late_ms
        run = ReceiptRun(asked.name, intervals_of(list(ranks)), status, self.now, received_ms)
        head = Header(Kind.RECEIPT, asked.lane, shard, 0, self.now)
        record = self.put(topics.receipts(asked.lane), shard, pack(head, Receipts((run,))))
        self.hand(asked, shard, ranks, event="report", status=status.name.lower())
        return record

    def charge(self, asked: Asked, shard: int, ranks: Iterable[int], **fields: Any) -> None:
        """Charge delivered ranks, by market, at the prices of card 1."""
        terms = asked.terms
        by_market: dict[int, list[int]] = defaultdict(list)
        for rank in ranks:
            by_market[market(asked.people[shard][rank])].append(rank)
        for code, here in by_market.items():
            base: dict[str, Any] = {
                "business": terms.business,
                "sender": terms.sender,
                "request": asked.name,
                "ranks": BitMap(here).serialize(),
                "unit_micro": price(terms.category, code),
                "currency": "EUR",
                "card": terms.card,
                "category": terms.category,
                "market": code,
                "first_ms": self.now,
                "last_ms": self.now,
            }
            head = Header(Kind.CHARGE, asked.lane, shard, 0, self.now)
            partition = partition_of(terms.business.encode(), SHARDS)
            self.put(topics.CHARGES, partition, pack(head, Charge(**(base | fields))), terms.business.encode())

    def deliver(self, asked: Asked, shard: int, ranks: Sequence[int]) -> None:
        """Delivered and charged."""
        self.receive(asked, shard, ranks, ReceiptStatus.DELIVERED)
        if not asked.terms.test:
            self.charge(asked, shard, ranks)

    def post(self) -> None:
        """The ledger reads all charges."""
        booked: dict[tuple[bytes, int], BitMap] = defaultdict(BitMap)
        self.entries.clear()
        self.postings.clear()
        for record in self.logs[topics.CHARGES]:
            header, charge = head_of(record.value or b""), body_of(record.value or b"", Charge)
            held = booked[charge.request, header.shard]
            fresh = BitMap.deserialize(charge.ranks) - held
            held |= fresh
            amount = len(fresh) * charge.unit_micro
            for account, sign in ((f"owed:{charge.business}", 1), ("revenue", -1)):
                entry = LedgerEntry(len(self.entries) // 2, charge.business, account, charge.currency, sign * amount)
                self.entries.append(entry)
            if fresh:
                told = (header.at_ms, charge.request, len(fresh), amount, charge.currency)
                self.postings.append(LedgerPosting(charge.business, record.partition, record.offset, *told))
        self.rows = [LedgerRow(name, shard, ranks.serialize()) for (name, shard), ranks in booked.items()]
        self.bill()


def price(category: int, code: int) -> int:
    """Card 1."""
    return {1: 30_000, 2: 10_000, 3: 60_000}[category] + code
