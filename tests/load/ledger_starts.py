"""Measures how long the ledger takes to open its book: ``python -m tests.load.ledger_starts 600000 2000000``.

No Kafka. The book is made by posting so many charges of one message each, over eight partitions; then it is opened anew, as a
start does, and what a start asks of it is asked: the newest serials. Made books stay in ``--keep`` and are opened again.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Final

from pyroaring import BitMap

from schemas.facts import Charge
from schemas.lanes import Category, Lane
from schemas.wire.header import Header, Kind, pack
from streams.kafka.reader import LogRecord
from streams.ledger.database import FILE, Books

_PARTITIONS: Final = 8
_BATCH: Final = 2_000
_RANKS: Final = BitMap([0]).serialize()


def _charge(partition: int, offset: int) -> LogRecord:
    number = offset * _PARTITIONS + partition
    business = f"shop-{number % 40}"
    request = number.to_bytes(16)
    charge = Charge(business, f"{business}/main", request, _RANKS, 5_000, "USD", 1, Category.UTILITY, 49, 10, 20)
    record = pack(Header(Kind.CHARGE, Lane.UPDATE, partition, 0, 1_790_000_000_000 + number), charge)
    return LogRecord(offset, 0, None, record)


def _made(path: Path, postings: int) -> float:
    """Seconds for each posting; 0 if the book is there."""
    if path.exists():
        return 0.0
    begun_s = time.process_time()
    with Books(path) as books:
        for first in range(0, postings // _PARTITIONS, _BATCH):
            for partition in range(_PARTITIONS):
                offsets = range(first, min(first + _BATCH, postings // _PARTITIONS))
                books.post(partition, [_charge(partition, offset) for offset in offsets])
    return (time.process_time() - begun_s) / postings


def measure(folder: Path, postings: int) -> dict[str, object]:
    """Makes a book of so many postings, opens it twice and says how much CPU that took, in seconds."""
    path = folder / str(postings) / FILE
    post_s = _made(path, postings)
    opened_s = []
    for _ in range(2):
        begun_s = time.process_time()
        with Books(path) as books:
            books.newest_serials()
            opened_s.append(round(time.process_time() - begun_s, 3))
    return {
        "postings": postings,
        "megabytes": path.stat().st_size // 1_000_000,
        "opened_s": opened_s,
        "post_us": round(post_s * 1e6, 1),
    }


def main() -> None:
    """Measure; a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("postings", nargs="*", type=int, default=[100_000])
    parser.add_argument("--keep", type=Path, help="folder for the books; a temporary one otherwise")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for postings in asked.postings:
            print(json.dumps(measure(asked.keep or Path(folder), postings)), flush=True)


if __name__ == "__main__":
    main()
