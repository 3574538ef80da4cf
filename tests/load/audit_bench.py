"""How long the auditor takes to close a million messages: ``python -m tests.load.audit_bench [MESSAGES] [--small]``.

One campaign to a list, decided and answered in chunks of 4,096, three receipts, a charge and a bill for each message; with
``--small`` as many requests to one person each. Ends with one line of JSON. The dump is made first and not timed.
"""

import argparse
import base64
import json
import resource
import secrets
import sys
import time
from collections.abc import Iterator

import msgspec
import numpy as np
from pyroaring import BitMap

from broker.audit.auditor import audit
from broker.audit.recipients import shards_of
from broker.audit.report import Audit
from broker.audit.sources import Dump, Ledger, LedgerEntry, LedgerPosting, LedgerRow, Logged, Rules
from schemas import topics
from schemas.delivery_journal import Answered, Decided, Members, Opened, Outcome
from schemas.facts import AudienceChange, Charge, ReceiptRun, Receipts, ReceiptStatus
from schemas.gateway_api import GatewayEvent
from schemas.ids import partition_of, request_name, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Claim, Origin, Planned, PlannedBatch, Rows, Terms, Work, WorkItem
from schemas.reasons import State
from schemas.registry import PriceCard, Sender, Template
from schemas.status import BilledCharge
from schemas.wire.arrays import runs_of
from schemas.wire.cloudevents import encode_charge
from schemas.wire.columns import interval
from schemas.wire.header import Header, Kind, pack

SHARDS = 8
CHUNK = 4_096
NOW_MS = 1_900_000_000_000
HOUR_MS = 3_600_000


class Bench:
    """The logs of one run."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.logs: dict[str, list[Logged]] = {}
        self.events: list[GatewayEvent] = []
        self.rows: list[LedgerRow] = []
        self.entries: list[LedgerEntry] = []
        self.postings: list[LedgerPosting] = []
        self._ends: dict[tuple[str, int], int] = {}
        self._register()

    def put(self, topic: str, partition: int, kind: Kind, body: object, shard: int | None = None) -> Origin:
        """Append one record of ours."""
        header = Header(kind, self.lane, partition if shard is None else shard, kind in _JOURNALED, NOW_MS)
        return self.raw(topic, partition, pack(header, body))

    def raw(self, topic: str, partition: int, value: bytes) -> Origin:
        """Append one record."""
        offset = self._ends.get((topic, partition), 0)
        self._ends[topic, partition] = offset + 1
        self.logs.setdefault(topic, []).append(Logged(topic, partition, offset, NOW_MS, None, value))
        return Origin(partition, offset)

    def _register(self) -> None:
        word = {Lane.UPDATE: "utility", Lane.CAMPAIGN: "marketing"}[self.lane]
        entries = (
            Sender("shop/main", "shop", "+1", rate_per_s=10_000_000),
            Template("offer", word, (), {"en": "Offer."}),
            PriceCard(1, "EUR", {word: {"*": 100}}),
        )
        for entry in entries:
            self.raw(topics.REGISTRY, 0, msgspec.json.encode(entry))
        for shard in range(SHARDS):
            self.put(topics.plans(self.lane), shard, Kind.CLAIM, Claim("one"))
            self.put(topics.outcomes(self.lane), shard, Kind.CLAIM, Claim("one"))

    def ask(self, event_id: str, rows: Rows | None, listed: str) -> tuple[Planned, Terms]:
        """One accepted request."""
        source = "//shop/bench"
        name = request_name(self.lane, source, event_id)
        terms = Terms(
            "shop",
            "shop/main",
            "offer",
            1,
            self.lane + 1,
            1,
            {},
            NOW_MS,
            NOW_MS + HOUR_MS,
            NOW_MS + HOUR_MS,
            source,
            event_id,
        )
        partition = partition_of(b"shop", SHARDS)
        event = {"source": source, "id": event_id, "type": "fanfare.notification.v1"}
        origin = self.raw(topics.requests(self.lane), partition, json.dumps(event).encode())
        entry = Planned(name, origin, b"12345678", 0, NOW_MS, NOW_MS + HOUR_MS, terms=terms, rows=rows, list=listed)
        self.put(topics.plans(self.lane), partition, Kind.PLANNED, PlannedBatch((entry,)))
        return entry, terms

    def chunk(self, name: bytes, shard: int, ids: bytes, first: int, opened: tuple[Opened, ...] = ()) -> None:
        """The way of one run of ranks, from the decision to the charge."""
        count = len(ids) // 16
        ranks = interval(first, count)
        sent = Decided(
            name,
            ranks,
            runs_of(bytes((State.SENDING,)) * count),
            runs_of(b"\1" * count),
            b"",
            49,
            audience_upto=1 << 40,
        )
        journal = topics.outcomes(self.lane)
        self.put(journal, shard, Kind.OUTCOME, Outcome(opened=opened, decided=(sent,)))
        self.events.append(_event(self.lane, shard, name, ((first, count),), ids))
        self.put(journal, shard, Kind.OUTCOME, Outcome(answered=(Answered(name, ranks, NOW_MS),)))
        for status in (ReceiptStatus.SENT, ReceiptStatus.DELIVERED, ReceiptStatus.READ):
            run = ReceiptRun(name, ranks, status, NOW_MS, NOW_MS)
            self.put(topics.receipts(self.lane), shard, Kind.RECEIPT, Receipts((run,)))
        packed = BitMap(range(first, first + count)).serialize()
        charge = Charge("shop", "shop/main", name, packed, 100, "EUR", 1, self.lane + 1, 49, NOW_MS, NOW_MS)
        place = self.put(topics.CHARGES, partition_of(b"shop", SHARDS), Kind.CHARGE, charge, shard)
        self._bill(
            LedgerPosting("shop", place.partition, place.offset, NOW_MS, name, count, count * 100, "EUR"), charge
        )
        for account, amount_micro in (("receivable", count * 100), ("revenue", -count * 100)):
            self.entries.append(LedgerEntry(len(self.entries) // 2, "shop", account, "EUR", amount_micro))

    def _bill(self, posting: LedgerPosting, charge: Charge) -> None:
        """Posts, and tells so."""
        self.postings.append(posting)
        told = BilledCharge(
            business="shop",
            serial=len(self.postings),
            partition=posting.partition,
            offset=posting.offset,
            request=text_of(posting.request),
            sender=charge.sender,
            lane=self.lane.word,
            shard=0,
            category="marketing",
            market=charge.market,
            count=posting.messages,
            card=charge.card,
            unit_micro=charge.unit_micro,
            amount_micro=posting.amount_micro,
            currency=posting.currency,
            first_ms=NOW_MS,
            last_ms=NOW_MS,
            at_ms=NOW_MS,
        )
        self.raw(topics.billing("shop"), 0, encode_charge(told))

    def dump(self) -> Dump:
        """For the auditor."""
        upto = {partition: end for (topic, partition), end in self._ends.items() if topic == topics.CHARGES}
        return Dump(self.logs, Ledger(self.rows, self.entries, upto, self.postings), (self.events,))


_JOURNALED = frozenset({Kind.CLAIM, Kind.PLANNED, Kind.OUTCOME})


def _event(lane: Lane, shard: int, name: bytes, ranks: tuple[tuple[int, int], ...], ids: bytes) -> GatewayEvent:
    return GatewayEvent(
        "accepted",
        NOW_MS,
        lane=lane.word,
        shard=shard,
        epoch=1,
        request=text_of(name),
        business="shop",
        sender="shop/main",
        ranks=ranks,
        recipients=base64.b64encode(ids).decode(),
        attempt=1,
        not_after_ms=NOW_MS + 1_000,
        expires_ms=NOW_MS + HOUR_MS,
    )


def people(count: int) -> Iterator[bytes]:
    """Random ids by shard, one column a shard."""
    ids = np.frombuffer(secrets.token_bytes(16 * count), dtype="V16")
    where = np.asarray(shards_of(ids.tobytes(), SHARDS))
    for shard in range(SHARDS):
        yield ids[where == shard].tobytes()


def campaign(count: int) -> Dump:
    """One request to a list of ``count`` people."""
    bench = Bench(Lane.CAMPAIGN)
    columns = list(people(count))
    for shard, ids in enumerate(columns):
        for at in range(0, len(ids), 16 * CHUNK):
            part = ids[at : at + 16 * CHUNK]
            many = len(part) // 16
            change = AudienceChange(
                "shop",
                "all",
                join=True,
                recipients=part,
                addresses=bytes(33 * many),
                locales=b"en" * many,
                markets=b"\0\1" * many,
                evidence_ms=NOW_MS.to_bytes(8) * many,
                received_ms=NOW_MS,
            )
            bench.put(topics.AUDIENCE, shard, Kind.AUDIENCE, change)
    entry, terms = bench.ask("sale", None, "all")
    for shard, ids in enumerate(columns):
        many = len(ids) // 16
        item = WorkItem(entry.name, terms, None, "all")
        origin = bench.put(topics.work(bench.lane), shard, Kind.WORK, Work((item,)))
        frozen = Members(entry.name, many, BitMap(range(many)).serialize(), -(-many // CHUNK) - 1, -1)
        body = Outcome(opened=(Opened(item, origin, NOW_MS),), members=(frozen,))
        bench.put(topics.outcomes(bench.lane), shard, Kind.OUTCOME, body)
        for first in range(0, many, CHUNK):
            bench.chunk(entry.name, shard, ids[16 * first : 16 * (first + CHUNK)], first)
        bench.rows.append(LedgerRow(entry.name, shard, BitMap(range(many)).serialize()))
    return bench.dump()


def small(count: int) -> Dump:
    """``count`` requests to one person each."""
    bench = Bench(Lane.UPDATE)
    number = 0
    for shard, ids in enumerate(people(count)):
        for at in range(0, len(ids), 16):
            one = ids[at : at + 16]
            rows = Rows(one, bytes(33), b"en", b"\0\x31")
            entry, terms = bench.ask(f"parcel-{number}", rows, "")
            item = WorkItem(entry.name, terms, rows, "")
            origin = bench.put(topics.work(bench.lane), shard, Kind.WORK, Work((item,)))
            bench.chunk(entry.name, shard, one, 0, (Opened(item, origin, NOW_MS),))
            bench.rows.append(LedgerRow(entry.name, shard, BitMap((0,)).serialize()))
            number += 1
    return bench.dump()


def timed(dump: Dump) -> tuple[Audit, float]:
    """The verdict and the CPU seconds it took."""
    started = time.process_time()
    found = audit(dump, Rules(now_ms=NOW_MS, shards=SHARDS, limits=None, quiet=True))
    return found, time.process_time() - started


def main() -> None:
    """Make a dump, audit it, say how long it took."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("messages", type=int, nargs="?", default=1_000_000)
    options.add_argument("--small", action="store_true")
    chosen = options.parse_args()
    dump = small(chosen.messages) if chosen.small else campaign(chosen.messages)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, seconds = timed(dump)
    grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) // 1024
    sys.stdout.write(json.dumps(found.summary() | {"cpu_s": round(seconds, 2), "grown_mb": grown_mb}) + "\n")


if __name__ == "__main__":
    main()
