"""Posts a batch of charge records, in a single transaction, into the tables of ``streams/ledger/database.py``.

What is new in each charge is said by ``broker/charging.py``; here it is looked up, remembered within the batch and
written. A record that cannot be read is set aside with its place: it stays in Kafka, and a rebuild posts it once it can.
"""

import sqlite3
from collections import Counter
from typing import Final

import msgspec
from pyroaring import BitMap

from broker.charging import MisshapenChargeError, Posting, Price, post
from schemas.facts import Charge
from schemas.wire.header import Header, Kind, UnreadableRecordError, unpack
from streams.kafka.reader import LogRecord

PARTITION_BITS: Final = 10
"""A posting is named by its record: offset and partition, which is below 1,024 (``metrics.MAX_SHARDS``)."""

_LEAST, _MOST = -(2**63), 2**63 - 1
"""Numbers that SQLite holds."""

Part = tuple[bytes, int]
"""Request and shard."""


class Posted(msgspec.Struct):
    """Counts what a batch added to the book."""

    records: Counter[int] = msgspec.field(default_factory=Counter)
    """By lane."""
    messages: Counter[int] = msgspec.field(default_factory=Counter)
    """Newly charged, by category."""
    amount_micro: Counter[str] = msgspec.field(default_factory=Counter)
    """By currency."""
    serials: dict[str, int] = msgspec.field(default_factory=dict)
    """Of the newest posting of each business that was charged."""
    repeated: int = 0
    conflicts: int = 0
    set_aside: list[tuple[LogRecord, Exception]] = msgspec.field(default_factory=list)
    """Records that were not posted, each with what was wrong."""


class Batch:
    """The charges of one partition that are posted together; within a transaction that the caller begins and commits."""

    def __init__(self, db: sqlite3.Connection, partition: int) -> None:
        self._db = db
        self._partition = partition
        self._held: dict[Part, dict[Price, BitMap]] = {}
        self._changed: dict[tuple[Part, Price], None] = {}
        self._postings: list[tuple[object, ...]] = []
        self._entries: list[tuple[object, ...]] = []
        self._conflicts: list[tuple[object, ...]] = []
        self._balances: dict[tuple[str, str, str], list[int]] = {}
        self._posted = Posted()

    def add(self, record: LogRecord) -> None:
        """Post one record of ``charges``, or set it aside."""
        try:
            header, charge = _charge_in(record)
            held = self._held_of((charge.request, header.shard))
            posting = post(held, charge)
        except (UnreadableRecordError, MisshapenChargeError) as error:
            self._db.execute(
                "INSERT INTO set_aside VALUES (?, ?, ?)", (self._partition, record.offset, type(error).__name__)
            )
            self._posted.set_aside.append((record, error))
            return
        self._posted.records[header.lane] += 1
        self._posted.repeated += posting.repeated
        self._take(posting_id(self._partition, record.offset), header, charge, posting)

    def write(self, upto: int) -> Posted:
        """Write what was added, and that the partition is read up to (not including) ``upto``."""
        many = self._db.executemany
        many(
            "INSERT OR REPLACE INTO charged VALUES (?, ?, ?, ?, ?, ?)",
            [
                (request, shard, price.unit_micro, price.currency, len(ranks), ranks.serialize())
                for (request, shard), price in self._changed
                for ranks in (self._held[request, shard][price],)
            ],
        )
        many("INSERT INTO postings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._postings)
        many("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", self._entries)
        many("INSERT INTO conflicts VALUES (?, ?, ?, ?, ?, ?, ?)", self._conflicts)
        many(
            "INSERT INTO balances VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
            "SET amount_micro = amount_micro + excluded.amount_micro, messages = messages + excluded.messages",
            [(*account, *added) for account, added in self._balances.items()],
        )
        # In the transaction of the postings: either both stand after a crash, or the same records are read and posted again.
        self._db.execute("INSERT OR REPLACE INTO offsets VALUES (?, ?)", (self._partition, upto))
        return self._posted

    def _held_of(self, part: Part) -> dict[Price, BitMap]:
        held = self._held.get(part)
        if held is None:
            rows = self._db.execute(
                "SELECT unit_micro, currency, ranks FROM charged WHERE request = ? AND shard = ?", part
            )
            held = self._held[part] = {
                Price(unit, currency): BitMap.deserialize(ranks) for unit, currency, ranks in rows
            }
        return held

    def _next_serial(self, business: str) -> int:
        last = self._posted.serials.get(business)
        if last is None:
            newest = "SELECT coalesce(max(serial), 0) FROM postings WHERE business = ?"
            ((last,),) = self._db.execute(newest, (business,))
        self._posted.serials[business] = last + 1
        return last + 1

    def _take(self, place: int, header: Header, charge: Charge, posting: Posting) -> None:
        part, price = (charge.request, header.shard), posting.price
        if posting.conflict:
            messages = len(posting.conflict)
            self._posted.conflicts += messages
            self._conflicts.append((place, *part, posting.conflict.serialize(), messages, *_columns(price)))
        if not posting.new:
            return
        messages = len(posting.new)
        self._posted.messages[charge.category] += messages
        self._posted.amount_micro[charge.currency] += messages * charge.unit_micro
        self._held[part][price] = self._held[part].get(price, BitMap()) | posting.new
        self._changed[part, price] = None
        own = (charge.business, charge.sender, charge.request, messages, *_columns(price))
        terms = (charge.card, charge.category, charge.market, charge.first_ms, charge.last_ms)
        labels = msgspec.json.encode(charge.labels).decode()
        told = (self._next_serial(charge.business), charge.source, charge.id, labels, posting.new.serialize())
        self._postings.append((place, header.at_ms, header.lane, header.shard, *own, *terms, *told))
        for entry in posting.entries:
            self._entries.append((place, entry.account, charge.business, entry.currency, entry.amount_micro))
            added = self._balances.setdefault((charge.business, entry.account, entry.currency), [0, 0])
            added[0] += entry.amount_micro
            added[1] += messages


def posting_id(partition: int, offset: int) -> int:
    """Returns the id of the posting that the charge record at this place makes."""
    return offset << PARTITION_BITS | partition


def place_of(posting: int) -> tuple[int, int]:
    """Returns partition and offset of the charge record behind a posting: the inverse of :func:`posting_id`."""
    return posting & ((1 << PARTITION_BITS) - 1), posting >> PARTITION_BITS


def _charge_in(record: LogRecord) -> tuple[Header, Charge]:
    header, charge = unpack(record.value or b"", Charge, Kind.CHARGE)
    if any(not _LEAST <= number <= _MOST for number in (charge.card, charge.market, charge.first_ms, charge.last_ms)):
        raise UnreadableRecordError("a number that no column holds")
    return header, charge


def _columns(price: Price) -> tuple[int, str]:
    return price.unit_micro, price.currency
