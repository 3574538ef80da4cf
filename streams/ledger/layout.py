"""The tables of the ledger's file, and the number of their layout.

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
``origin``        the id of the Kafka whose charges these are, once it is known: another one's offsets mean nothing here
================  ==========================================================================================
"""

from typing import Final

PARTITION_BITS: Final = 10
"""A posting is named by its record: offset and partition, which is below 1,024 (``metrics.MAX_SHARDS``)."""

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


def posting_id(partition: int, offset: int) -> int:
    """Returns the id of the posting that the charge record at this place makes."""
    return offset << PARTITION_BITS | partition


def place_of(posting: int) -> tuple[int, int]:
    """Returns partition and offset of the charge record behind a posting: the inverse of :func:`posting_id`."""
    return posting & ((1 << PARTITION_BITS) - 1), posting >> PARTITION_BITS
