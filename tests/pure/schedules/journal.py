"""The owner of one journal, as ``streams/kafka/journal.py`` is it, in atomic steps over the rules of ``broker/journal.py``."""

from collections.abc import Generator

from broker.claims import Claims
from broker.journal import Fold, Ownership, claim_won, fold_start, last_floor
from schemas.lanes import Lane
from schemas.plan_journal import Claim
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from tests.pure.schedules.log import Log
from tests.pure.schedules.runner import DiedError, Runner, Steps
from tests.pure.schedules.stage import World

_CLAIM_SEARCH = 16
"""Records looked at first for the last claim; then four times as many further back, and so on."""

_TRIM_SEARCH = 40
"""More records than others write while one owner opens."""


def floor_of(log: Log) -> int | None:
    """The floor of the last claim, looked for from the end of the log backwards."""
    stop, span = log.end, _CLAIM_SEARCH
    while stop > log.start:
        start = max(log.start, stop - span)
        floor = last_floor(one.record for one in log.read(start, stop))
        if floor is not None:
            return floor
        stop, span = start, span * 4
    return None


def trim(log: Log) -> None:
    """Retention at its worst: what lies before the floor of every claim of late is gone; an opener's is one of these."""
    claims = [one.record for one in log.read(log.end - _TRIM_SEARCH, log.end) if head_of(one.record).kind is Kind.CLAIM]
    if claims and log.end > _TRIM_SEARCH:
        log.trim(min(body_of(claim, Claim).floor for claim in claims))


class JournalOwner:
    """The memory of one process for one journal."""

    watches_clock = True
    lane = Lane.UPDATE
    asks_group = False
    """Whether it claims only while the group says that the partition is its own, as every owner does in earnest."""
    lost = 0.01
    """How often an append is not confirmed."""

    def __init__(self, outside: World, runner: Runner, number: int, journal: Log) -> None:
        self.outside = outside
        self.runner = runner
        self.instance = f"owner-{number}"
        self.journal = journal
        self.fold = Fold()
        self.next = 0
        self.claims = Claims()
        self.ownership: Ownership | None = None

    # -- what a stage adds

    def apply(self, header: Header, record: bytes) -> None:
        """Fold one valid record, the one before ``next``; the only way in which the state changes."""
        raise NotImplementedError

    def greet(self, epoch: int) -> None:
        """Tell the gateway which epoch will be claimed."""

    def before_folding(self) -> None:
        """What has to be read before the journal can be."""

    def recall(self, start: int) -> None:
        """Begin with what a twin has folded from ``start`` on: the same records would give the same, only later."""

    def remember(self, start: int) -> None:
        """Keep what was folded from ``start`` on, for the twins to come."""

    # -- the process

    def clock(self) -> int:
        """This process's wall clock."""
        return self.outside.now + self.runner.skew_ms

    def header(self, kind: Kind, at_ms: int) -> Header:
        """The head of a record under the claimed epoch."""
        assert self.ownership is not None
        return Header(kind, self.lane, 0, self.ownership.epoch, at_ms)

    def landed(self, log: Log, record: bytes) -> int:
        """An append reaches its log."""
        self.runner.landing = None
        return log.append(self.outside.now, record)

    # -- the journal

    def take_in(self, offset: int, record: bytes) -> None:
        """State and position move together."""
        self.next = offset + 1
        header = self.fold.admit(record)
        if header is not None:
            self.claims.fold(header, record, offset)
            self.apply(header, record)

    def read_to_end(self, end: int) -> None:
        """Fold what is there."""
        self.before_folding()
        if self.next < self.journal.start:
            raise DiedError("what was to be read has been trimmed")
        for offset, _, record in self.journal.read(self.next, end):
            self.take_in(offset, record)
        self.next = max(self.next, end)

    def open(self) -> Steps:
        """Read, fold, greet, claim, read to the claim."""
        journal = self.journal
        self.next = start = fold_start(floor_of(journal), place=("", 0), log_start=journal.start, log_end=journal.end)
        self.claims = Claims(start)
        self.recall(start)
        self.read_to_end(journal.end)
        self.remember(start)
        while True:
            yield
            epoch = self.fold.epoch + 1
            self.greet(epoch)
            yield
            if self.asks_group and self.outside.group_owner is not self.runner:
                raise DiedError("not assigned any more")
            header = Header(Kind.CLAIM, self.lane, 0, epoch, self.clock())
            claim = pack(header, Claim(self.instance, 0, self.claims.floor))
            self.runner.landing = (journal, claim)
            yield
            offset = self.landed(journal, claim)
            yield
            self.read_to_end(offset + 1)
            if claim_won(self.fold, epoch, self.instance):
                self.ownership = Ownership(epoch, self.instance, offset + 1)
                return

    def repeat_claim(self, floor: int) -> Steps:
        """The claim again, with the floor that it rises to."""
        yield from self.append_record(pack(self.header(Kind.CLAIM, self.clock()), Claim(self.instance, 0, floor)))

    def append_record(self, record: bytes) -> Generator[None, None, int]:
        """One append, its check, its fold; its offset."""
        ownership = self.ownership
        assert ownership is not None
        self.runner.landing = (self.journal, record)
        yield
        if self.outside.rng.random() < self.lost:
            raise DiedError("unknown append")
        offset = self.landed(self.journal, record)
        yield
        gap = ownership.gap_before(offset)
        if gap:
            yield
            foreign = self.journal.read(gap.start, gap.stop)
            if ownership.fenced_by(one.record for one in foreign):
                raise DiedError("fenced")
            for one in foreign:
                self.take_in(one.offset, one.record)
        self.take_in(offset, record)
        ownership.confirm(offset)
        return offset

    def append_blindly(self, record: bytes) -> Generator[None, None, int]:
        """A planted bug: one append that believes it is valid, whatever stands before it."""
        assert self.ownership is not None
        self.runner.landing = (self.journal, record)
        yield
        offset = self.landed(self.journal, record)
        yield
        self.fold.epoch = self.ownership.epoch
        self.take_in(offset, record)
        return offset
