"""The ledger: ``streams/ledger/posting.py`` over a book in memory, killed anywhere in its transaction."""

from collections.abc import Sequence

from streams.kafka.reader import LogRecord
from streams.ledger.posting import Batch
from tests.pure.schedules.log import Stamped
from tests.pure.schedules.runner import Runner, Steps
from tests.pure.schedules.settle.world import SettleWorld


class LedgerOwner:
    """The one process that keeps the book."""

    watches_clock = True
    batch: type[Batch] = Batch

    def __init__(self, world: SettleWorld, runner: Runner, number: int) -> None:
        self.world = world
        self.runner = runner
        self.number = number
        upto: dict[int, int] = dict(world.book.execute("SELECT partition, next FROM offsets"))
        self.upto = upto.get(0, 0)

    def tasks(self) -> list[Steps]:
        """Posting."""
        return [self.serve()]

    @property
    def idle(self) -> bool:
        """Whether every charge is posted."""
        return self.upto == self.world.charges.end

    def serve(self) -> Steps:
        """Post what comes, for ever."""
        while True:
            yield
            records = self.world.charges.read(self.upto, self.upto + int(self.world.rng.random() * 5))
            if records:
                yield from self.post(records)
                self.upto = records[-1].offset + 1

    def post(self, records: Sequence[Stamped]) -> Steps:
        """One transaction; who is killed in it has done nothing."""
        book = self.world.book
        book.execute("BEGIN IMMEDIATE")
        try:
            batch = self.batch(book, 0)
            for one in records:
                batch.add(LogRecord(one.offset, one.at_ms, None, one.record))
            yield
            batch.write(records[-1].offset + 1)
            yield
            book.execute("COMMIT")
        finally:
            if book.in_transaction:
                book.execute("ROLLBACK")
