"""Postings as they are told: a :class:`BilledCharge` for each row, in the order of a business's serials."""

import sqlite3
from typing import Final, NamedTuple

import msgspec

from broker.audit.sources import LedgerPosting
from schemas.ids import Lane, text_of
from schemas.registry import Category
from schemas.status import BilledCharge
from streams.ledger.layout import place_of

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


def charges_after(db: sqlite3.Connection, business: str, serial: int, most: int) -> list[BilledCharge]:
    """Returns at most ``most`` postings of ``business`` that follow the one with ``serial``; 0 is before the first."""
    rows = db.execute(
        "SELECT * FROM postings WHERE business = ? AND serial > ? ORDER BY serial LIMIT ?", (business, serial, most)
    )
    return [charge_of(PostedRow(*row)) for row in rows]


def newest_serials(db: sqlite3.Connection) -> dict[str, int]:
    """Returns the serial of the newest posting of each business that was ever charged."""
    return dict(db.execute("SELECT business, max(serial) FROM postings GROUP BY business"))


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
