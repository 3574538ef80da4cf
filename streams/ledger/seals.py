"""Seals closed periods of the book: what was examined once is not examined again, and a start examines what is open.

A period is the postings of 512 offsets of one partition of ``charges``, from a multiple of that on: the same ones in every
book that is built from the same charges. Once the partition has been read beyond it, it is examined, in the transaction that
posts its end, and sealed: its digest, over its postings, their entries and the digest before it, goes to ``seals``, and what it
adds to the balances to ``sealed``. So whoever opens the book examines the open periods, and whether sealed and open together
are the balances; ``fanfare ledger check`` examines everything.

A digest is no signature: who can change a period can change its seal. The auditor compares with the charges in Kafka.
"""

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from pyroaring import BitMap

from streams.ledger.posting import PARTITION_BITS, posting_id
from streams.ledger.tables import PostedRow

PERIOD: Final = 512
"""Offsets in a period. A start examines fewer than so many of each partition."""

SEALS: Final = """
CREATE TABLE IF NOT EXISTS seals (
    partition INTEGER NOT NULL, upto INTEGER NOT NULL, postings INTEGER NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (partition, upto)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sealed (
    business TEXT NOT NULL, account TEXT NOT NULL, currency TEXT NOT NULL, amount_micro INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    PRIMARY KEY (business, account, currency)
) STRICT, WITHOUT ROWID;
"""
"""Added to files of the same layout that have none; a release that does not know them passes them by."""

# A cross join is carried out in its order: a look-up for each place, and never a scan of the table.
_POSTINGS: Final = """
WITH RECURSIVE place(id) AS (SELECT ?1 UNION ALL SELECT id + ?3 FROM place WHERE id + ?3 < ?2)
SELECT postings.* FROM place CROSS JOIN postings ON postings.id = place.id
"""
_ENTRIES: Final = """
WITH RECURSIVE place(id) AS (SELECT ?1 UNION ALL SELECT id + ?3 FROM place WHERE id + ?3 < ?2)
SELECT entries.* FROM place CROSS JOIN entries ON entries.posting = place.id ORDER BY posting, account
"""
_CHARGED: Final = (
    "SELECT messages, ranks FROM charged WHERE request = ? AND shard = ? AND unit_micro = ? AND currency = ?"
)
_ADD: Final = (
    "INSERT INTO sealed VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
    "SET amount_micro = amount_micro + excluded.amount_micro, messages = messages + excluded.messages"
)

UNBALANCED: Final = "a posting does not sum to zero"
UNCHARGED: Final = "charged messages differ from postings"
CHANGED: Final = "a sealed period was changed"
MISSTATED: Final = "balances differ from entries"

_encode: Final = msgspec.msgpack.Encoder().encode


class Sums(NamedTuple):
    """Holds amounts and messages by business, account and currency."""

    amounts: Counter[tuple[str, ...]]
    messages: Counter[tuple[str, ...]]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, int, int]]) -> "Sums":
        """Returns what rows of ``balances`` or ``sealed`` say."""
        sums = cls(Counter(), Counter())
        for *account, amount_micro, messages in rows:
            sums.add(tuple(account), amount_micro, messages)
        return sums

    def add(self, account: tuple[str, ...], amount_micro: int, messages: int) -> None:
        """Adds to an account."""
        self.amounts[account] += amount_micro
        self.messages[account] += messages

    def join(self, other: "Sums") -> None:
        """Adds all of ``other``."""
        for account, amount_micro in other.amounts.items():
            self.add(account, amount_micro, other.messages[account])


class Seal(NamedTuple):
    """Holds how far a partition is sealed, and the digest of its last period; of one without seals nothing."""

    upto: int = 0
    digest: bytes = b""


class Examined(NamedTuple):
    """Holds what a range of offsets of a partition has added to the book, and what is wrong with it."""

    postings: int
    digest: bytes
    sums: Sums
    complaints: set[str]


def examine(db: sqlite3.Connection, partition: int, after: Seal, upto: int) -> Examined:
    """Reads the postings of a partition from the seal ``after`` up to an offset, with all that belongs to them."""
    places = posting_id(partition, after.upto), posting_id(partition, upto), 1 << PARTITION_BITS
    digest, sums, complaints = hashlib.sha256(after.digest), Sums(Counter(), Counter()), set[str]()
    if upto <= after.upto:
        return Examined(0, digest.digest(), sums, complaints)
    messages: dict[int, int] = {}
    for values in db.execute(_POSTINGS, places):
        row = PostedRow(*values)
        digest.update(_encode(values))
        messages[row.id] = row.messages
        if not _is_charged(db, row):
            complaints.add(UNCHARGED)
    left: Counter[tuple[int, str]] = Counter()
    for values in db.execute(_ENTRIES, places):
        posting, account, business, currency, amount_micro = values
        digest.update(_encode(values))
        sums.add((business, account, currency), amount_micro, messages.get(posting, 0))
        left[posting, currency] += amount_micro
    if any(left.values()):
        complaints.add(UNBALANCED)
    return Examined(len(messages), digest.digest(), sums, complaints)


def _is_charged(db: sqlite3.Connection, row: PostedRow) -> bool:
    """Returns whether the messages of a posting stand in ``charged`` at its price."""
    for messages, packed in db.execute(_CHARGED, (row.request, row.shard, row.unit_micro, row.currency)):
        try:
            own = BitMap.deserialize(row.ranks)
            charged = own if packed == row.ranks else BitMap.deserialize(packed)
        except (ValueError, IndexError):
            return False
        return messages == len(charged) and row.messages == len(own) and own <= charged
    return False


class Seals:
    """Seals the periods of a book that is open for posting."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._last = last_seals(db)

    def close(self, partition: int, upto: int) -> set[str]:
        """Seals the next period of a partition if it ends by ``upto``; returns what is wrong with it.

        The caller begins a transaction and commits it.
        """
        if not self.behind(partition, upto):
            return set()
        last = self._last.get(partition, Seal())
        period = examine(self._db, partition, last, last.upto + PERIOD)
        if not period.complaints:
            self._last[partition] = Seal(last.upto + PERIOD, period.digest)
            seal = (partition, last.upto + PERIOD, period.postings, period.digest)
            self._db.execute("INSERT INTO seals VALUES (?, ?, ?, ?)", seal)
            amounts, messages = period.sums
            self._db.executemany(_ADD, [(*account, amount, messages[account]) for account, amount in amounts.items()])
        return period.complaints

    def behind(self, partition: int, upto: int) -> bool:
        """Returns whether a period of a partition that has been read up to ``upto`` is to be sealed."""
        return upto >= self._last.get(partition, Seal()).upto + PERIOD


def last_seals(db: sqlite3.Connection) -> dict[int, Seal]:
    """Returns the last seal of each partition that has one."""
    newest = "SELECT partition, max(upto), digest FROM seals GROUP BY partition"
    return {partition: Seal(upto, digest) for partition, upto, digest in db.execute(newest)}


def examine_open(db: sqlite3.Connection) -> set[str]:
    """Returns what is wrong with the open periods, or with the balances by these and by what is sealed."""
    sums, complaints, seals = Sums.of(db.execute("SELECT * FROM sealed")), set[str](), last_seals(db)
    for partition, upto in db.execute("SELECT partition, next FROM offsets").fetchall():
        period = examine(db, partition, seals.get(partition, Seal()), upto)
        sums.join(period.sums)
        complaints |= period.complaints
    return complaints if sums == Sums.of(db.execute("SELECT * FROM balances")) else complaints | {MISSTATED}


def examine_sealed(db: sqlite3.Connection) -> Iterator[tuple[int, set[str]]]:
    """Yields, of each sealed period, how many postings it has and what is wrong with it; at last, of all, the balances sealed."""
    sums, last, partition = Sums(Counter(), Counter()), Seal(), -1
    for number, upto, postings, digest in db.execute("SELECT * FROM seals ORDER BY partition, upto").fetchall():
        last, partition = last if number == partition else Seal(), number
        period = examine(db, partition, last, upto)
        same = (period.postings, period.digest) == (postings, digest)
        last = Seal(upto, digest)
        sums.join(period.sums)
        yield postings, period.complaints if same else period.complaints | {CHANGED}
    yield 0, set() if sums == Sums.of(db.execute("SELECT * FROM sealed")) else {CHANGED}
