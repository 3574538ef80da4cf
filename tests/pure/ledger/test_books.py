"""The ledger's file: one owner, balanced in every committed state, the same after a rebuild, refused when it does not add up."""

import random
import resource
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from schemas.facts import Charge
from schemas.lanes import Category, Lane
from schemas.wire.header import Header, Kind, pack
from streams.kafka.producer import ProducerIdentity
from streams.kafka.reader import LogRecord
from streams.ledger.checking import check_all
from streams.ledger.database import (
    Balance,
    Books,
    BooksBrokenError,
    BooksDiskError,
    BooksForeignError,
    BooksTakenError,
    balances,
    oddities,
    whole_ledger,
)
from streams.ledger.posting import posting_id
from streams.ledger.seals import PERIOD, examine_open

REQUEST = b"request-00000001"
HEADER_BYTES = 17


def record(
    offset: int,
    ranks: Iterable[int],
    *,
    request: bytes = REQUEST,
    shard: int = 0,
    unit_micro: int = 5,
    business: str = "shop",
    market: int = 49,
) -> LogRecord:
    """A record of ``charges``."""
    packed = BitMap(ranks).serialize()
    charge = Charge(
        business, f"{business}/main", request, packed, unit_micro, "USD", 1, Category.UTILITY, market, 10, 20
    )
    return LogRecord(offset, 0, None, pack(Header(Kind.CHARGE, Lane.UPDATE, shard, 0, 99), charge))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the books lie."""
    return tmp_path / "books" / "ledger.sqlite3"


def owed(path: Path) -> dict[str, int]:
    """What each business owes, in micro-units."""
    return {row.business: row.amount_micro for row in balances(path) if row.account == "receivable"}


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(db.execute(f"SELECT * FROM {name}").fetchall()) for name in tables}


def test_a_batch_is_posted_with_its_offset(path: Path) -> None:
    """Charged ranks, balances and the next offset come together."""
    with Books(path) as books:
        posted = books.post(3, [record(7, [1, 2]), record(8, [2, 3], business="shop"), record(9, [1], shard=1)])
        assert books.upto() == {3: 10}
    assert balances(path) == [
        Balance("shop", "receivable", "USD", 20, 4),
        Balance("shop", "revenue.utility", "USD", -20, 4),
    ]
    assert (posted.messages, posted.amount_micro, posted.repeated) == ({Category.UTILITY: 4}, {"USD": 20}, 1)
    assert posted.records == {Lane.UPDATE: 3}


def test_the_same_ranks_of_other_requests_and_shards_are_other_messages(path: Path) -> None:
    """A rank means nothing without its request and shard."""
    with Books(path) as books:
        books.post(0, [record(0, [1]), record(1, [1], shard=1), record(2, [1], request=b"request-00000002")])
    assert owed(path) == {"shop": 15}


def test_what_was_charged_before_a_restart_is_not_charged_after_it(path: Path) -> None:
    """The union lives in the file, and the offset says where to read on."""
    with Books(path) as books:
        books.post(0, [record(0, [1, 2])])
    with Books(path) as books:
        assert books.upto() == {0: 1}
        assert books.post(0, [record(1, [2, 3])]).repeated == 1
    assert owed(path) == {"shop": 15}


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes, as on a full disk; of this whole process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_from_a_broken_file_and_costs_nothing(path: Path) -> None:
    """Nobody is told to move sound books away; what did not fit is posted when there is room, once."""
    batch = [record(offset, range(offset, offset + 3), request=b"request-%08d" % offset) for offset in range(200)]
    with Books(path) as books:
        books.post(0, batch[:1])
    with Books(path) as books, no_room(path.stat().st_size), pytest.raises(BooksDiskError, match="make room"):
        books.post(0, batch[1:])
    with no_room(0), pytest.raises(BooksDiskError, match="make room"):
        Books(path.with_name("other.sqlite3"))
    with Books(path) as books:
        assert books.upto() == {0: 1}
        books.post(0, batch[1:])
    assert owed(path) == {"shop": 200 * 3 * 5}


def test_a_conflict_is_written_down_and_not_posted(path: Path) -> None:
    """The first price stands, across batches."""
    with Books(path) as books:
        books.post(0, [record(0, [1, 2])])
        posted = books.post(0, [record(1, [2, 3], unit_micro=6)])
    assert posted.conflicts == 1
    assert owed(path) == {"shop": 16}
    assert oddities(path) == (1, 0)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"not a record of ours, but some text",
        pack(Header(Kind.RECEIPT, Lane.OTP, 0, 0, 0), ()),
        b"\xff" + record(0, [1]).value[1:],
        record(0, [1]).value[:-4],
        record(0, [1], unit_micro=-5).value,
        record(0, [1, 2], unit_micro=2**62).value,
        record(0, [1], market=2**63).value,
    ],
)
def test_what_cannot_be_read_is_set_aside_and_stops_nobody(path: Path, value: bytes) -> None:
    """Foreign bytes among the charges are counted; the charges around them are posted."""
    with Books(path) as books:
        posted = books.post(0, [record(0, [1]), LogRecord(1, 0, None, value), record(2, [2])])
        assert (len(posted.set_aside), books.upto()) == (1, {0: 3})
    assert owed(path) == {"shop": 10}
    assert oddities(path) == (0, 1)


def test_postings_are_told_in_their_order_with_their_place(path: Path) -> None:
    """Each business counts its own, records without anything new count nothing, and restarts count on."""
    with Books(path) as books:
        books.post(3, [record(7, [1]), record(8, [1]), record(9, [2, 3]), record(10, [1], business="bank", shard=1)])
    with Books(path) as books:
        posted = books.post(3, [record(11, [3, 4])])
        assert posted.serials == {"shop": 3}
        assert books.newest_serials() == {"shop": 3, "bank": 1}
        told = [(each.serial, each.partition, each.offset, each.count) for each in books.charges_after("shop", 0, 9)]
        assert told == [(1, 3, 7, 1), (2, 3, 9, 2), (3, 3, 11, 1)]
        assert [each.serial for each in books.charges_after("shop", 1, 1)] == [2]
        assert books.charges_after("shop", 3, 1) == []


def test_a_charge_of_an_earlier_release_is_posted_without_the_words_of_its_request(path: Path) -> None:
    """It ends before source, id and labels."""
    whole = record(0, [1]).value
    shorter = whole[:HEADER_BYTES] + msgspec.msgpack.encode(msgspec.msgpack.decode(whole[HEADER_BYTES:])[:-3])
    with Books(path) as books:
        books.post(0, [LogRecord(0, 0, None, shorter)])
        (told,) = books.charges_after("shop", 0, 9)
    assert (told.count, told.source, told.id, told.labels) == (1, "", "", {})


def test_the_producer_of_billing_events_stays_the_first_one(path: Path) -> None:
    """Whoever comes later is given it; what they bring is not kept."""
    with Books(path) as books:
        assert books.producer() is None
        books.keep_producer(ProducerIdentity(17, 0))
    with Books(path) as books:
        books.keep_producer(ProducerIdentity(18, 0))
        assert books.producer() == ProducerIdentity(17, 0)


def test_one_process_keeps_the_books(path: Path) -> None:
    """A second owner is refused while the first lives, and welcome after it; readers are always welcome."""
    with Books(path) as books:
        books.post(0, [record(0, [1])])
        with pytest.raises(BooksTakenError, match="another process keeps the books"):
            Books(path)
        assert owed(path) == {"shop": 5}
    Books(path).close()


def test_a_clean_end_leaves_one_file(path: Path) -> None:
    """What was in the write-ahead log is in the file, which can be copied as it is."""
    with Books(path) as books:
        books.post(0, [record(0, [1])])
    assert sorted(each.name for each in path.parent.iterdir()) == ["ledger.lock", "ledger.sqlite3"]


TAMPERED = (
    ("an entry was changed", "UPDATE entries SET amount_micro = 6 WHERE amount_micro = 5", "does not sum to zero"),
    ("a posting was removed", "DELETE FROM entries", "balances differ from entries"),
    ("a balance was changed", "UPDATE balances SET amount_micro = 4", "balances differ from entries"),
    ("ranks were removed", "DELETE FROM charged", "charged messages differ from postings"),
)


@pytest.mark.parametrize(("row", "change", "says"), TAMPERED, ids=[row[0] for row in TAMPERED])
def test_books_that_do_not_add_up_are_refused(path: Path, row: str, change: str, says: str) -> None:
    """A file that something else changed is not carried on; the sentence says what to do."""
    with Books(path) as books:
        books.post(0, [record(0, [1])])
    with sqlite3.connect(path) as db:
        db.execute(change)
    db.close()
    with pytest.raises(BooksBrokenError, match=f"{says}.*move it away"):
        Books(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Nor is anything written to it."""
    path.parent.mkdir()
    path.write_bytes(b"some other file " * 100)
    with pytest.raises(BooksBrokenError, match="cannot be read"):
        Books(path)
    assert path.read_bytes() == b"some other file " * 100


def test_the_file_of_another_release_is_refused(path: Path) -> None:
    """A layout that this release does not know is neither read nor changed."""
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(BooksForeignError, match="another release"):
        Books(path)
    with pytest.raises(BooksForeignError, match="no ledger of this release"):
        balances(path)


def test_books_stay_with_their_kafka(path: Path) -> None:
    """Offsets of one Kafka mean nothing on another: neither carried on nor audited there, and nothing of them is changed."""
    with Books(path, cluster="first") as books:
        books.post(0, [record(0, [1])])
    with pytest.raises(
        BooksForeignError, match=r"another Kafka \(cluster first, and this one is second\).*move the file"
    ):
        Books(path, cluster="second")
    with pytest.raises(BooksForeignError, match="another Kafka"):
        whole_ledger(path, cluster="second")
    assert list(whole_ledger(path, cluster="first").rows)
    with Books(path, cluster="first") as books:
        assert books.upto() == {0: 1}


def test_books_without_an_origin_belong_to_the_next_kafka(path: Path) -> None:
    """Files from before origins were kept are carried on, and audited, by whoever comes."""
    with Books(path) as books:
        books.post(0, [record(0, [1])])
    assert list(whole_ledger(path, cluster="any").rows)
    Books(path, cluster="first").close()
    with pytest.raises(BooksForeignError, match="another Kafka"):
        Books(path, cluster="second")


def test_a_ledger_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    """Showing makes no file."""
    with pytest.raises(BooksForeignError, match="there is no ledger"):
        balances(tmp_path / "ledger.sqlite3")
    assert not list(tmp_path.iterdir())


def test_the_auditor_reads_the_whole_book(path: Path) -> None:
    """Ranks, entries and offsets, as the auditor wants them."""
    with Books(path) as books:
        books.post(2, [record(4, [1, 5], shard=6)])
    ledger = whole_ledger(path)
    ((request, shard, ranks),) = [(row.request, row.shard, list(BitMap.deserialize(row.ranks))) for row in ledger.rows]
    assert (request, shard, ranks) == (REQUEST, 6, [1, 5])
    assert sorted((entry.business, entry.amount_micro) for entry in ledger.entries) == [("shop", -10), ("shop", 10)]
    assert ledger.upto == {2: 5}


charge_rows = st.tuples(
    st.sets(st.integers(0, 20), min_size=1), st.sampled_from((0, 1)), st.sampled_from((5, 5, 6)), st.sampled_from("ab")
)


@settings(max_examples=30, deadline=None)
@given(st.data(), st.lists(charge_rows, min_size=1, max_size=10))
def test_batching_and_rebuilding_change_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: list[tuple[set[int], int, int, str]]
) -> None:
    """However the log is cut into batches and restarts, the file comes to the same rows."""
    log = [
        record(offset, ranks, shard=shard, unit_micro=unit, business=business, request=business.encode() * 16)
        for offset, (ranks, shard, unit, business) in enumerate(rows)
    ]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(log)), max_size=4)))
    files = [tmp_path_factory.mktemp("books") / "ledger.sqlite3" for _ in range(2)]
    with Books(files[0]) as books:
        books.post(0, log)
    for batch in batches(log, cuts):
        with Books(files[1]) as books:
            books.post(0, batch)
    assert contents(files[0]) == contents(files[1])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sets(st.integers(0, 9), min_size=1)), max_size=12), st.randoms())
def test_the_order_in_which_partitions_are_read_changes_no_serial(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, set[int]]], lots: random.Random
) -> None:
    """All charges of a business lie in one partition, so every book comes to the same events."""
    homes = {"a": 0, "b": 1, "c": 1}
    logs: dict[int, list[LogRecord]] = {0: [], 1: []}
    for business, ranks in rows:
        log = logs[homes[business]]
        log.append(record(len(log), ranks, business=business, request=business.encode() * 16))
    turns = [partition for partition, log in logs.items() for _ in log]
    shuffled = lots.sample(turns, len(turns))
    told = []
    for order in (turns, shuffled):
        left = {partition: iter(log) for partition, log in logs.items()}
        with Books(tmp_path_factory.mktemp("books") / "ledger.sqlite3") as books:
            for partition in order:
                books.post(partition, [next(left[partition])])
            told.append([books.charges_after(business, 0, 99) for business in homes])
    assert told[0] == told[1]


def batches(log: Sequence[LogRecord], cuts: Sequence[int]) -> list[Sequence[LogRecord]]:
    """The log in pieces."""
    edges = [0, *cuts, len(log)]
    return [log[low:high] for low, high in pairwise(edges) if low < high]


def _many(path: Path, offsets: int = 2 * PERIOD + 7) -> None:
    """Books with two closed periods and an open one in a partition, and an open one in another."""
    with Books(path) as books:
        books.post(0, [record(offset, [offset], request=b"request-%08d" % (offset % 50)) for offset in range(offsets)])
        books.post(1, [record(offset, [1], request=b"another-%08d" % offset, business="bank") for offset in range(3)])


def _changed(path: Path, change: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(change).rowcount


CHANGES = (
    ("amounts", "UPDATE entries SET amount_micro = 2 * amount_micro WHERE posting = {}", "balances differ"),
    ("market", "UPDATE postings SET market = 1 WHERE id = {}", "sealed period was changed"),
    ("business", "UPDATE postings SET serial = -1, business = 'thief' WHERE id = {}", "sealed period was changed"),
    ("posting", "DELETE FROM postings WHERE id = {}", "sealed period was changed"),
    ("ranks", "UPDATE charged SET ranks = x'' WHERE request = (SELECT request FROM postings WHERE id = {})", "charged"),
    ("seal", "UPDATE seals SET digest = zeroblob(32) WHERE {} >= 0 AND upto = (SELECT min(upto) FROM seals)", "sealed"),
)


@pytest.mark.parametrize(("row", "change", "says"), CHANGES, ids=[row[0] for row in CHANGES])
def test_a_start_passes_closed_periods_by_and_a_check_does_not(path: Path, row: str, change: str, says: str) -> None:
    """Whatever was changed in the first of them; the sentence says what."""
    _many(path)
    assert check_all(path) == (2 * PERIOD + 10, 2)
    _changed(path, change.format(posting_id(0, 3)))
    Books(path).close()
    with pytest.raises(BooksBrokenError, match=f"{says}.*move it away"):
        check_all(path)


@pytest.mark.parametrize("offset", [3, 2 * PERIOD + 3])
def test_balances_are_held_against_what_is_sealed_and_what_is_open(path: Path, offset: int) -> None:
    """So money that is moved is found at the next start, whichever period it is from."""
    _many(path)
    _changed(path, "UPDATE balances SET amount_micro = 0 WHERE business = 'bank' AND account = 'receivable'")
    with pytest.raises(BooksBrokenError, match="balances differ from entries"):
        Books(path)
    path.unlink()
    _many(path)
    _changed(path, f"DELETE FROM entries WHERE posting = {posting_id(0, offset)}")
    if offset < PERIOD:
        Books(path).close()
    else:
        with pytest.raises(BooksBrokenError, match="balances differ from entries"):
            Books(path)
    with pytest.raises(BooksBrokenError):
        check_all(path)


def test_a_start_examines_what_is_open(path: Path) -> None:
    """However long the book is: by the number of rows that SQLite is asked for."""
    short, long = (path.with_name(f"{periods}.sqlite3") for periods in (1, 6))
    _many(short, PERIOD + 7)
    _many(long, 6 * PERIOD + 7)
    assert _steps(long) < 1.2 * _steps(short)


def _steps(path: Path) -> int:
    """How many hundreds of steps SQLite makes for what a start examines."""
    steps: list[int] = []
    with closing(sqlite3.connect(path)) as db:
        db.set_progress_handler(lambda: steps.append(1), 100)
        assert not examine_open(db)
    return len(steps)


def test_books_of_a_release_without_seals_are_sealed_by_the_next_start(path: Path) -> None:
    """To the same seals, once everything in them was examined; what was changed before is found."""
    _many(path)
    sealed = contents(path)
    for table in ("seals", "sealed"):
        _changed(path, f"DELETE FROM {table}")
    Books(path).close()
    assert contents(path) == sealed
    for table in ("seals", "sealed"):
        _changed(path, f"DELETE FROM {table}")
    _changed(path, f"UPDATE entries SET amount_micro = 6 WHERE posting = {posting_id(0, 3)} AND amount_micro > 0")
    with pytest.raises(BooksBrokenError, match="does not sum to zero"):
        Books(path)


def test_a_death_between_a_posting_and_its_seal_leaves_neither(path: Path) -> None:
    """They are one transaction: the batch is posted again, and sealed with it."""
    whole = path.with_name("whole.sqlite3")
    batch = [record(offset, [offset]) for offset in range(PERIOD + 1)]
    with Books(whole) as books:
        books.post(0, batch)
    with Books(path) as books:
        books._seals.close = lambda *_: 1 / 0  # type: ignore[assignment,method-assign]
        with pytest.raises(ZeroDivisionError):
            books.post(0, batch)
    with Books(path) as books:
        assert books.upto() == {}
        books.post(0, batch)
    assert contents(path) == contents(whole)
