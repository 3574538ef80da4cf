"""One owner of a partition of requests: what ``streams/worker/plan.py`` does, in atomic steps."""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from broker.plan.step import (
    Answer,
    AudienceRecord,
    Direct,
    PlanInput,
    PlanState,
    PlanStep,
    Rerouted,
    decide,
    outputs,
    pack_work,
    restatement,
)
from schemas.plan_journal import Planned, PlannedBatch, Work, WorkItem
from schemas.wire.header import Header, Kind, body_of, pack
from tests.pure.schedules.journal import JournalOwner
from tests.pure.schedules.log import Log
from tests.pure.schedules.plan.world import PARTITION, SHARDS, PlanWorld
from tests.pure.schedules.runner import DiedError, Runner, Steps

_MAX_WRITING = 8
_BITE = 4


@lru_cache(maxsize=4_096)
def planned_in(record: bytes) -> PlannedBatch:
    """The body of a record of the journal, decoded once for all its readers."""
    return body_of(record, PlannedBatch)


class PlanOwner(JournalOwner):
    """The memory of one process for one partition.

    Some answers follow from no append, so no gap stops them: only who is assigned may claim.
    """

    asks_group = True

    def __init__(self, world: PlanWorld, runner: Runner, number: int) -> None:
        super().__init__(world, runner, number, world.journal)
        self.world = world
        self.state = PlanState()
        self.read_to = 0
        self.committed = 0
        """How far the group had finished at the assignment, or has acknowledged to this process since."""
        self.claimed_ms = 0
        self.writing = 0
        self.done: set[int] = set()

    def tasks(self) -> list[Steps]:
        """Judging; writers come and go."""
        return [self.serve()]

    def apply(self, header: Header, record: bytes) -> None:
        if header.kind in (Kind.PLANNED, Kind.PLAN_RESTATED):
            self.state.apply(header, planned_in(record), self.next - 1)

    @property
    def idle(self) -> bool:
        """Whether everything published is judged, written and committed."""
        return self.ownership is not None and self.read_to == self.world.requests.end == self.world.committed

    # -- the partition

    def serve(self) -> Steps:
        """Open, then judge, append, write, for ever."""
        yield from self.open()
        self.claimed_ms = max(self.clock(), self.state.last_ms)
        self.read_to = self.committed = self.world.committed
        while True:
            yield
            self.state.committed(self.committed)
            yield from self.restate()
            stop = min(self.world.requests.end, self.read_to + _BITE)
            if self.read_to < stop and self.writing < _MAX_WRITING:
                yield from self.judge([self.world.given(offset) for offset in range(self.read_to, stop)])
            self.commit()

    def judge(self, inputs: list[PlanInput]) -> Steps:
        """One step: its verdicts are appended before anything follows from them."""
        step = self.decide(inputs)
        if step.journal:
            yield from self.append_record(pack(self.header(Kind.PLANNED, step.at_ms), PlannedBatch(step.journal)))
        taken = range(self.read_to, self.read_to + step.consumed)
        self.read_to = taken.stop
        for one in step.direct:
            if isinstance(one, AudienceRecord):
                yield from self.put(self.world.audience[one.shard], msgspec.msgpack.encode(one.change))
        self.writing += 1
        self.runner.tasks.append(self.write(step, taken))

    def decide(self, inputs: list[PlanInput]) -> PlanStep:
        """The real code's verdicts."""
        world = self.world
        return decide(inputs, self.state, world.registry, world.policy, self.clock())

    def write(self, step: PlanStep, taken: range) -> Steps:
        """The outputs, in any order between partitions; then the inputs are finished."""
        records = [*self.records(step)]
        self.world.rng.shuffle(records)
        for log, record in records:
            yield from self.put(log, record)
        self.writing -= 1
        self.done.update(taken)

    def put(self, log: Log, record: bytes) -> Steps:
        """One record beside the journal."""
        self.runner.landing = (log, record)
        yield
        if self.world.rng.random() < self.lost:
            raise DiedError("an output was not confirmed")
        self.landed(log, record)

    def records(self, step: PlanStep) -> Iterable[tuple[Log, bytes]]:
        """What a step writes, as ``streams/worker/plan.py`` groups it."""
        work: dict[int, list[WorkItem]] = defaultdict(list)
        for entry in (*step.journal, *step.again):
            asked = self.outputs(entry)
            for shard, item in asked.items():
                work[shard].append(item)
        for shard, items in work.items():
            for packed in pack_work(items):
                yield self.world.work[shard], pack(Header(Kind.WORK, self.lane, shard, 0, step.at_ms), Work(packed))
        for entry in (*step.journal, *step.again):
            answer = outputs(entry, SHARDS).answer
            if answer is not None:
                yield self.world.statuses, msgspec.msgpack.encode(answer.status)
        for one in step.direct:
            if not isinstance(one, AudienceRecord):
                yield self._direct(one)

    def outputs(self, entry: Planned) -> dict[int, WorkItem]:
        """The work that an entry asks for, by shard."""
        return dict(outputs(entry, SHARDS).work)

    def _direct(self, one: Direct) -> tuple[Log, bytes]:
        match one:
            case Answer():
                return self.world.statuses, msgspec.msgpack.encode(one.status)
            case Rerouted():
                return self.world.rerouted, one.value
            case _:
                return self.world.letters, msgspec.msgpack.encode(one)

    def restate(self) -> Steps:
        """Every quarter of a fold: say again what is old, then claim again."""
        now_ms = max(self.clock(), self.state.last_ms)
        if now_ms - self.claimed_ms < self.world.policy.windows.idempotency_ms // 4:
            return
        body: PlannedBatch | None = PlannedBatch(())
        while body is not None:
            yield from self.append_record(pack(self.header(Kind.PLAN_RESTATED, now_ms), body))
            body = restatement(self.state, PARTITION, now_ms=now_ms, after_ms=now_ms - self.claimed_ms)
        self.state.forget()
        yield from self.repeat_claim()
        self.claimed_ms = now_ms

    def commit(self) -> None:
        """The contiguous tracker's commit; refused to those whom the group no longer knows."""
        world, position = self.world, self.world.committed
        while position in self.done:
            position += 1
        if position > world.committed and world.rng.random() < 0.5:
            if world.group_owner is not self.runner:
                raise DiedError("commit refused")
            self.committed = world.committed = position
