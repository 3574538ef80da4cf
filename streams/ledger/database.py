"""The ledger's file: charged ranks, postings, entries, balances and the offsets they come from, in one SQLite database.

One transaction posts a batch of charges and moves the offset behind it, so a kill at any point leaves the book as if the
batch had come or had not. The topic ``charges`` is kept for ever: a file that is gone is rebuilt by reading it from the
beginning, to the same rows. WAL with ``synchronous=FULL``: what was committed survives the machine's power.

The tables: ``streams/ledger/tables.py``. Who opens the book checks what is not sealed yet (``streams/ledger/seals.py``).
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

from broker.audit.sources import Ledger, LedgerEntry, LedgerRow
from schemas.status import BilledCharge
from streams.kafka.producer import ProducerIdentity
from streams.kafka.reader import LogRecord
from streams.ledger.posting import Batch, Posted
from streams.ledger.seals import SEALS, Seals, examine_open
from streams.ledger.tables import LAYOUT, ORIGIN, SCHEMA, PostedRow, audited, charge_of
from streams.runtime.crash_points import point
from streams.runtime.file_lock import hold, private_folder


class BooksError(Exception):
    """The ledger's file cannot be used; the sentence says why and what to do."""


class BooksTakenError(BooksError):
    """Another process keeps these books."""


class BooksBrokenError(BooksError):
    """The file does not add up: it was changed by something else, or the disk is failing."""


class BooksDiskError(BooksError):
    """The disk took no more: it is full, or fails. What was committed stands; the rest is in ``charges``."""


class BooksForeignError(BooksError):
    """There is no such file, another release wrote it, or its charges are those of another Kafka."""


FILE: Final = "ledger.sqlite3"
_PRIMARY: Final = 0xFF
"""SQLite's extended result codes have the plain one in their last byte."""


class Balance(NamedTuple):
    """Holds an account of one business in one currency."""

    business: str
    account: str
    currency: str
    amount_micro: int
    """Millionths of the currency: positive if the business owes it."""
    messages: int


class Books:
    """The books, open for posting; one process at a time. :meth:`close` them, or use ``with``."""

    def __init__(self, path: Path, *, cluster: str = "") -> None:
        """Open or begin the books at ``path``, check that what is not sealed adds up; raises :class:`BooksError`.

        ``cluster`` is the id of the Kafka whose charges these are; books that began on another one are refused.
        """
        self._path = path
        private_folder(path.parent)
        try:
            self._lock = hold(path.with_suffix(".lock"))
        except BlockingIOError as error:
            raise BooksTakenError(f"another process keeps the books in {path}; stop it first") from error
        try:
            self._db, self._seals = _opened(path, cluster)
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let go of them; SQLite brings the write-ahead log into the one file."""
        self._db.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def upto(self) -> dict[int, int]:
        """The offset that is read next, by partition of ``charges``; partitions never read are missing."""
        return _upto(self._db)

    def producer(self) -> ProducerIdentity | None:
        """Returns the producer under which billing events of this book are written; None before the first."""
        for row in self._db.execute("SELECT id, epoch FROM producer"):
            return ProducerIdentity(*row)
        return None

    def keep_producer(self, identity: ProducerIdentity) -> None:
        """Keeps the producer for the processes to come, before anything is written under it."""
        with _disk_named():
            self._db.execute("INSERT OR IGNORE INTO producer VALUES (1, ?, ?)", identity)

    def newest_serials(self) -> dict[str, int]:
        """Returns the serial of the newest posting of each business that was ever charged."""
        return dict(self._db.execute(_NEWEST_SERIALS))

    def charges_after(self, business: str, serial: int, most: int) -> list[BilledCharge]:
        """Returns at most ``most`` postings of ``business`` that follow the one with ``serial``; 0 is before the first."""
        # By serial and not by id: a business's topic has its events in the order in which the book counted them.
        rows = self._db.execute(
            "SELECT * FROM postings WHERE business = ? AND serial > ? ORDER BY serial LIMIT ?", (business, serial, most)
        )
        return [charge_of(PostedRow(*row)) for row in rows]

    def post(self, partition: int, records: Sequence[LogRecord]) -> Posted:
        """Post the next ``records`` of a partition of ``charges`` and move its offset, in one transaction.

        Raises :class:`BooksDiskError`, after which these books are of no more use: open them again.
        Raises :class:`BooksBrokenError` if a period that ends here does not add up.
        """
        point("ledger.charge")
        with _disk_named():
            self._db.execute("BEGIN IMMEDIATE")
            batch = Batch(self._db, partition)
            for record in records:
                batch.add(record)
            upto = records[-1].offset + 1
            posted = batch.write(upto)
            # In this transaction: after a crash a period is sealed if its end stands in the book, or else with its end.
            while self._seals.behind(partition, upto):
                demand_sound(self._path, self._seals.close(partition, upto))
            point("ledger.posted")
            self._db.execute("COMMIT")
        point("ledger.committed")
        return posted


def balances(path: Path, business: str | None = None) -> list[Balance]:
    """The accounts as they stand, of one business or all; raises :class:`BooksForeignError`. Does not disturb the owner."""
    with reading(path) as db:
        rows = db.execute("SELECT * FROM balances WHERE ?1 IS NULL OR business = ?1", (business,))
        return [Balance(*row) for row in rows]


def oddities(path: Path) -> tuple[int, int]:
    """Returns how many messages came again at another price, and how many records were set aside."""
    with reading(path) as db:
        ((conflicts,),) = db.execute("SELECT coalesce(sum(messages), 0) FROM conflicts")
        ((set_aside,),) = db.execute("SELECT count(*) FROM set_aside")
        return conflicts, set_aside


def whole_ledger(path: Path, *, cluster: str = "") -> Ledger:
    """The book as the auditor reads it; raises :class:`BooksForeignError`, also if it is of another Kafka than ``cluster``."""
    with reading(path) as db:
        db.execute("BEGIN")
        if cluster and db.execute("SELECT 1 FROM sqlite_master WHERE name = 'origin'").fetchone():
            _demand_origin(db, path, cluster)
        rows = [LedgerRow(*row) for row in db.execute("SELECT request, shard, ranks FROM charged")]
        entries = [
            LedgerEntry(*row)
            for row in db.execute("SELECT posting, business, account, currency, amount_micro FROM entries")
        ]
        return Ledger(rows, entries, _upto(db), audited(db))


def _settle_origin(db: sqlite3.Connection, path: Path, cluster: str) -> None:
    db.execute(ORIGIN)
    db.execute("INSERT OR IGNORE INTO origin VALUES (1, ?)", (cluster,))
    _demand_origin(db, path, cluster)


def _demand_origin(db: sqlite3.Connection, path: Path, cluster: str) -> None:
    for (origin,) in db.execute("SELECT cluster FROM origin"):
        if origin != cluster:
            raise BooksForeignError(
                f"{path} keeps the charges of another Kafka (cluster {origin}, and this one is {cluster}); name the Kafka with "
                "--bootstrap or the folder with FANFARE_DATA_DIR, or move the file away, and the books of this one are built"
            )


def _upto(db: sqlite3.Connection) -> dict[int, int]:
    return dict(db.execute("SELECT partition, next FROM offsets"))


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens the books to be read beside their owner; raises :class:`BooksForeignError`."""
    if not path.exists():
        raise BooksForeignError(f"there is no ledger at {path}; `fanfare ledger` keeps one")
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
        if _layout(db) != LAYOUT:
            raise BooksForeignError(f"{path} is no ledger of this release")
        yield db


@contextmanager
def _disk_named() -> Iterator[None]:
    """Raises :class:`BooksDiskError` if SQLite says that the disk takes no more; other errors pass as they are."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & _PRIMARY in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise BooksDiskError(
                f"the disk of the ledger takes no more ({error}); make room, and start again"
            ) from error
        raise


def _opened(path: Path, cluster: str) -> tuple[sqlite3.Connection, Seals]:
    # For its owner alone from the beginning; SQLite gives the files beside it the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path, isolation_level=None)
    try:
        with _disk_named():
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            _lay_out(db, path)
            seals = _sealed(db, path)
            if cluster:
                _settle_origin(db, path, cluster)
    except sqlite3.DatabaseError as error:
        db.close()
        raise BooksBrokenError(f"{path} cannot be read ({error}); move it away, and the books are rebuilt") from error
    except BooksError:
        db.close()
        raise
    return db, seals


def _sealed(db: sqlite3.Connection, path: Path) -> Seals:
    """Checks what no start has checked before."""
    db.executescript(SEALS)
    seals = Seals(db)
    for partition, upto in _upto(db).items():
        # Nothing, but for books that a release without seals has kept.
        while seals.behind(partition, upto):
            db.execute("BEGIN IMMEDIATE")
            demand_sound(path, seals.close(partition, upto))
            db.execute("COMMIT")
    demand_sound(path, examine_open(db))
    return seals


def _layout(db: sqlite3.Connection) -> int:
    try:
        ((layout,),) = db.execute("PRAGMA user_version")
    except sqlite3.DatabaseError:
        return -1
    return int(layout)


def _lay_out(db: sqlite3.Connection, path: Path) -> None:
    layout = _layout(db)
    if layout == LAYOUT:
        return
    if layout or db.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise BooksForeignError(f"{path} is laid out by another release; move it away, and the books are rebuilt")
    db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} {SEALS} PRAGMA user_version={LAYOUT}; COMMIT;")


_NEWEST_SERIALS: Final = """
WITH RECURSIVE named(business) AS (
    SELECT min(business) FROM postings
    UNION ALL SELECT (SELECT min(business) FROM postings WHERE business > named.business) FROM named WHERE business IS NOT NULL
)
SELECT business, (SELECT max(serial) FROM postings WHERE postings.business = named.business) FROM named
WHERE business IS NOT NULL
"""
"""Two look-ups in the index for each business; grouped, SQLite would read all of it."""


def demand_sound(path: Path, complaints: set[str]) -> None:
    """Raises :class:`BooksBrokenError` if there are complaints about the book."""
    if complaints:
        raise BooksBrokenError(f"{path}: {'; '.join(sorted(complaints))}; move it away, and the books are rebuilt")
