"""Defines the tables of the ledger's file, with the number of their layout, and converts their rows to what is told of them.

================  ==========================================================================================
``offsets``       the offset that is read next, by partition of ``charges``
``charged``       which ranks of (request, shard) were charged, by price: a roaring bitmap
``postings``      what each charge record added, with the ranks that were new; its id is made of offset and partition, its
                  serial counts the postings of its business
``entries``       two for each posting, which sum to zero
``balances``      the sum of all entries, by business, account and currency
``conflicts``     ranks that came again at another price: the first posting stands
``set_aside``     records that could not be read; the charge is in Kafka, and posted by a rebuild that can
``producer``      the producer id under which billing events are written, kept from process to process
``seals``         closed periods of each partition, which a start does not check again (``streams/ledger/seals.py``)
``sealed``        the part of ``balances`` that stands in them
``origin``        the id of the Kafka whose charges these are, once it is known: another one's offsets mean nothing here
================  ==========================================================================================
"""

import sqlite3
from typing import Final, NamedTuple

import msgspec

from broker.audit.sources import LedgerPosting
from schemas.ids import text_of
from schemas.lanes import Category, Lane
from schemas.status import BilledCharge
from streams.ledger.posting import place_of

LAYOUT: Final = 2
"""Written to ``user_version``; another one is refused, for the file can be rebuilt."""

SCHEMA: Final = """
CREATE TABLE offsets (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT;
CREATE TABLE charged (
    request BLOB NOT NULL, shard INTEGER NOT NULL, unit_micro INTEGER NOT NULL, currency TEXT NOT NULL,
    messages INTEGER NOT NULL, ranks BLOB NOT NULL,
    PRIMARY KEY (request, shard, unit_micro, currency)
) STRICT, WITHOUT ROWID;
CREATE TABLE postings (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, lane INTEGER NOT NULL, shard INTEGER NOT NULL,
    business TEXT NOT NULL, sender TEXT NOT NULL, request BLOB NOT NULL, messages INTEGER NOT NULL,
    unit_micro INTEGER NOT NULL, currency TEXT NOT NULL, card INTEGER NOT NULL, category INTEGER NOT NULL,
    market INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    serial INTEGER NOT NULL, source TEXT NOT NULL, event TEXT NOT NULL, labels TEXT NOT NULL, ranks BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX postings_of_business ON postings (business, serial);
CREATE TABLE entries (
    posting INTEGER NOT NULL, account TEXT NOT NULL, business TEXT NOT NULL, currency TEXT NOT NULL,
    amount_micro INTEGER NOT NULL,
    PRIMARY KEY (posting, account)
) STRICT, WITHOUT ROWID;
CREATE TABLE balances (
    business TEXT NOT NULL, account TEXT NOT NULL, currency TEXT NOT NULL, amount_micro INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (business, account, currency)
) STRICT, WITHOUT ROWID;
CREATE TABLE conflicts (
    posting INTEGER NOT NULL, request BLOB NOT NULL, shard INTEGER NOT NULL, ranks BLOB NOT NULL,
    messages INTEGER NOT NULL, unit_micro INTEGER NOT NULL, currency TEXT NOT NULL,
    PRIMARY KEY (posting)
) STRICT;
CREATE TABLE set_aside (
    partition INTEGER NOT NULL, offset INTEGER NOT NULL, why TEXT NOT NULL,
    PRIMARY KEY (partition, offset)
) STRICT, WITHOUT ROWID;
CREATE TABLE producer (only INTEGER PRIMARY KEY CHECK (only = 1), id INTEGER NOT NULL, epoch INTEGER NOT NULL) STRICT;
"""
ORIGIN: Final = (
    "CREATE TABLE IF NOT EXISTS origin (only INTEGER PRIMARY KEY CHECK (only = 1), cluster TEXT NOT NULL) STRICT"
)
"""Added to files of the same layout that have none; a release that does not know it passes it by."""

_labels: Final = msgspec.json.Decoder(dict[str, str])


class PostedRow(NamedTuple):
    """A row of ``postings``, in the order of its columns."""

    id: int
    at_ms: int
    """When it was charged, milliseconds since the epoch."""
    lane: int
    shard: int
    business: str
    sender: str
    request: bytes
    messages: int
    unit_micro: int
    """Millionths of the currency a message."""
    currency: str
    card: int
    category: int
    market: int
    first_ms: int
    """First delivery of these messages, milliseconds since the epoch."""
    last_ms: int
    """Last delivery of them, milliseconds since the epoch."""
    serial: int
    source: str
    event: str
    labels: str
    ranks: bytes


def audited(db: sqlite3.Connection) -> list[LedgerPosting]:
    """Returns every posting as the auditor reads it, by business, in the order of serials."""
    rows = db.execute(
        "SELECT business, id, at_ms, request, messages, messages * unit_micro, currency FROM postings ORDER BY business, serial"
    )
    return [LedgerPosting(business, *place_of(posting), *rest) for business, posting, *rest in rows]


def charge_of(row: PostedRow) -> BilledCharge:
    """Converts a row to what is told of it."""
    partition, offset = place_of(row.id)
    return BilledCharge(
        business=row.business,
        serial=row.serial,
        partition=partition,
        offset=offset,
        request=text_of(row.request),
        sender=row.sender,
        lane=Lane(row.lane).word,
        shard=row.shard,
        category=Category(row.category).word,
        market=row.market,
        count=row.messages,
        card=row.card,
        unit_micro=row.unit_micro,
        amount_micro=row.messages * row.unit_micro,
        currency=row.currency,
        first_ms=row.first_ms,
        last_ms=row.last_ms,
        at_ms=row.at_ms,
        source=row.source,
        id=row.event,
        labels=_labels.decode(row.labels),
    )
