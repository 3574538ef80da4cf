"""One owner of a shard's join: what ``streams/worker/settle.py`` does, in atomic steps. Nothing here is fenced."""

from functools import lru_cache

from broker.deliver.state import body_of_outcome
from broker.journal import Fold
from broker.settle.deadlines import fold_from
from broker.settle.engine import Settle
from broker.settle.policy import SettleEffects
from schemas.delivery_journal import Outcome, Restated
from schemas.facts import Receipts
from schemas.lanes import Lane
from schemas.wire.header import Header, Kind, body_of, head_of, pack
from tests.pure.schedules.log import Stamped
from tests.pure.schedules.runner import DiedError, Runner, Steps
from tests.pure.schedules.settle.world import FOLD_MS, OUTCOMES, RECEIPTS, SettleWorld

_BITE = 3


@lru_cache(maxsize=1_024)
def receipts_in(record: bytes) -> Receipts:
    """A record of ``receipts``, decoded once for all its readers."""
    return body_of(record, Receipts)


@lru_cache(maxsize=1_024)
def outcome_in(record: bytes) -> Outcome | Restated | None:
    """The same for a record of deliver's journal; None for what settle does not join."""
    body = body_of_outcome(head_of(record), record)
    return body if isinstance(body, Outcome | Restated) else None


class SettleOwner:
    """The memory of one process for one shard."""

    watches_clock = True
    lost = 0.01
    """How often an output is not confirmed."""

    def __init__(self, world: SettleWorld, runner: Runner, number: int) -> None:
        self.world = world
        self.runner = runner
        self.number = number
        self.settle = Settle(world.policy, world.cards)
        self.fold = Fold()
        self.read = dict(world.committed)
        self.done = dict(world.committed)
        self.at_rest = False
        """Nothing that follows from what was joined is on its way."""

    def tasks(self) -> list[Steps]:
        """Joining."""
        return [self.serve()]

    def clock(self) -> int:
        """This process's wall clock."""
        return self.world.now + self.runner.skew_ms

    @property
    def idle(self) -> bool:
        """Whether everything is joined and committed, and every window is over."""
        ends = {name: log.end for name, log in self.world.logs.items()}
        return self.at_rest and self.read == ends == self.world.committed and self.settle.open_count == 0

    def serve(self) -> Steps:
        """Rebuild with effects off; then join, write, commit, for ever."""
        yield
        since_ms = self.fold_from()
        self.settle = Settle(self.world.policy, self.world.cards, since_ms)
        last_ms = max(self.rebuild(name, since_ms) for name in (OUTCOMES, RECEIPTS))
        self.settle.due(last_ms, effects=False)
        while True:
            yield
            self.join_some()
            yield from self.effects()
            self.commit()

    def fold_from(self) -> int:
        """The log time from which on everything is folded: a window before what came last, however long ago that is."""
        world = self.world
        logs = world.logs.items()
        last = [head_of(log.whole[self.read[name] - 1].record).at_ms if self.read[name] else 0 for name, log in logs]
        return fold_from(self.clock(), last, FOLD_MS)

    def rebuild(self, name: str, since_ms: int) -> int:
        """Fold what was finished before; the time of its last record."""
        log, last_ms = self.world.logs[name], 0
        found = log.first_since(since_ms)
        for one in log.read(log.end if found is None else found, self.read[name]):
            self.take_in(name, one)
            last_ms = one.at_ms
        return last_ms

    def join_some(self) -> None:
        """Some records of either log: how they interleave is chance."""
        for name, log in self.world.logs.items():
            bite = int(self.world.rng.random() * (_BITE + 1))
            for one in log.read(self.read[name], self.read[name] + bite):
                self.take_in(name, one)
                self.read[name] = one.offset + 1
            if self.read[name] < log.end:
                self.settle.behind(name)

    def take_in(self, name: str, one: Stamped) -> None:
        """One record of either log."""
        if name == RECEIPTS:
            self.settle.receipts(head_of(one.record), receipts_in(one.record))
            return
        header = self.fold.admit(one.record)
        body = outcome_in(one.record)
        if header is not None and body is not None:
            self.settle.outcome(header, body)
        elif header is not None:
            self.settle.passed(header)

    def effects(self) -> Steps:
        """What follows is written; only then are the inputs finished."""
        reached = dict(self.read)
        effects = self.settle.due(self.clock())
        self.at_rest = False
        yield from self.write(effects)
        self.at_rest, self.done = True, reached

    def write(self, effects: SettleEffects) -> Steps:
        """Charges and statuses."""
        world = self.world
        for charge in effects.charges:
            record = pack(Header(Kind.CHARGE, Lane.UPDATE, 0, 0, self.clock()), charge)
            self.runner.landing = (world.charges, record)
            yield
            if world.rng.random() < self.lost:
                raise DiedError("an output was not confirmed")
            self.runner.landing = None
            world.charges.append(world.now, record)
        for _, status in effects.statuses:
            yield
            world.statuses.append(status)

    def commit(self) -> None:
        """The contiguous trackers' commits; refused to those whom the group no longer knows."""
        world = self.world
        for name, position in self.done.items():
            if position > world.committed[name] and world.rng.random() < 0.4:
                if world.group_owner is not self.runner:
                    raise DiedError("commit refused")
                world.committed[name] = position
