"""The bill itemised to the message: each rank of each posting, from the ledger's file, without disturbing its owner.

A message is named as its statuses name it: request, shard and rank. Who that was is not in the book: people are never written
where money is. Statuses of explicit recipients say it, and ``fanfare explain`` for as long as the journals are kept.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from pyroaring import BitMap

from schemas.status import BilledCharge
from streams.ledger.database import reading
from streams.ledger.tables import PostedRow, charge_of


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A charged message, as a line of ``fanfare ledger items``."""

    business: str
    serial: int
    """Of the posting, and of its billing event."""
    at_ms: int
    """When it was charged, milliseconds since the epoch."""
    request: str
    lane: str
    shard: int
    rank: int
    sender: str
    category: str
    market: int
    card: int
    unit_micro: int
    """Millionths of the currency a message."""
    currency: str
    source: str = ""
    id: str = ""
    labels: dict[str, str] = {}


class Wanted(msgspec.Struct, frozen=True):
    """Which postings are itemised; what is left at its default does not matter."""

    business: str | None = None
    requests: frozenset[bytes] = frozenset()
    """Names; an event's source and id name one in each lane."""
    begin_ms: int | None = None
    """Of the moment at which they were charged."""
    end_ms: int | None = None
    """Exclusive."""


def month_of(text: str) -> tuple[int, int]:
    """Converts ``2026-11`` to the span of that month in UTC, ms, end exclusive; ``ValueError`` for anything else."""
    try:
        begin = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{text!r} is no month: write it like 2026-11") from error
    after = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return int(begin.timestamp() * 1000), int(after.timestamp() * 1000)


def itemised(path: Path, wanted: Wanted) -> Iterator[Message]:
    """Yields each charged message that is wanted, by business, in the order of posting; raises ``BooksForeignError``."""
    with reading(path) as db:
        for row in _rows(db, wanted):
            charge = charge_of(row)
            for rank in BitMap.deserialize(row.ranks):
                yield _message(charge, rank)


def postings(path: Path, wanted: Wanted) -> Iterator[BilledCharge]:
    """Yields each posting that is wanted, as its billing event has it, in the same order; raises ``BooksForeignError``."""
    with reading(path) as db:
        for row in _rows(db, wanted):
            yield charge_of(row)


def _rows(db: sqlite3.Connection, wanted: Wanted) -> Iterator[PostedRow]:
    rows = db.execute(
        """SELECT * FROM postings
           WHERE (?1 IS NULL OR business = ?1) AND (?2 IS NULL OR at_ms >= ?2) AND (?3 IS NULL OR at_ms < ?3)
           ORDER BY business, serial""",
        (wanted.business, wanted.begin_ms, wanted.end_ms),
    )
    posted = (PostedRow(*row) for row in rows)
    return (row for row in posted if not wanted.requests or row.request in wanted.requests)


def _message(charge: BilledCharge, rank: int) -> Message:
    return Message(
        business=charge.business,
        serial=charge.serial,
        at_ms=charge.at_ms,
        request=charge.request,
        lane=charge.lane,
        shard=charge.shard,
        rank=rank,
        sender=charge.sender,
        category=charge.category,
        market=charge.market,
        card=charge.card,
        unit_micro=charge.unit_micro,
        currency=charge.currency,
        source=charge.source,
        id=charge.id,
        labels=charge.labels,
    )
