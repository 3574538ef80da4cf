"""Plan's shell: one partition's verdicts between its inputs, its journal and what they ask of the shards."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from broker.claims import Round
from broker.plan.decode import PlanInput
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState, restatement
from schemas import topics
from schemas.plan_journal import Origin, Planned, PlannedBatch
from schemas.wire.header import Header, Kind, body_of, pack
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.journal import Journal, JournalPlace
from streams.kafka.journal_terms import JournalTerms
from streams.kafka.producer import Outgoing
from streams.kafka.reader import LogRecord
from streams.runtime import clock, crash_points
from streams.runtime.exits import Exit, fatal
from streams.worker import record_metrics
from streams.worker.breaker import MAX_INPUTS, Judge
from streams.worker.resources import LaneParts
from streams.worker.shard_task import IDLE_S, ShardTask, Wake

_FORGET_MS = 1_000
_MAX_WRITING = 8
"""Steps whose outputs are on their way: the next ones are decided meanwhile."""


class PlanShard:
    """Serves a partition of a lane's requests."""

    def __init__(
        self,
        parts: LaneParts,
        shard: int,
        *,
        done: Callable[[Delivered], None],
        committed: Callable[[str, int], int | None],
    ) -> None:
        self._parts = parts
        self._lane = parts.lane
        self._shard = shard
        self._done = done
        self._committed = committed
        self.policy = _policy(parts, shard)
        self.state = PlanState()
        self._judge = Judge(self.policy, parts.registry, parts.sizes)
        place = JournalPlace(topics.plans(parts.lane), parts.lane, shard, parts.settings.accepted_losses)
        self.journal = Journal(place, self.apply, reader=parts.journal_reader, producer=parts.journals, time=parts.time)
        self._inbox: deque[Delivered] = deque()
        self._writing: set[asyncio.Task[None]] = set()
        self._forgot_ms = 0
        self._round: Round | None = None
        """The round of restating that has begun."""
        self._task = ShardTask("plan", shard)
        self.wake = Wake(parts.lane.rules.batch_interval_ms)

    def deliver(self, record: Delivered) -> None:
        """A record of ``requests``; kept until the journal is open."""
        self._inbox.append(record)
        self.wake.set()

    def start(self, terms: JournalTerms, committed: int = 0) -> None:
        """The shard is ours; below ``committed`` the group had finished its inputs before it was."""
        # Before the fold, which would keep each verdict of the window whole; and the group's offset only rises, so it holds also
        # for an opening that is overtaken.
        self.state.committed(committed)
        self._task.start(lambda: self._serve(terms))

    async def stop(self) -> None:
        """The shard is not ours any more. Outputs on their way may land: they are what the next owner would write."""
        await self._task.stop()
        for task in self._writing:
            task.cancel()
        self._writing.clear()
        await self.journal.quiesce()
        self._inbox.clear()

    def apply(self, record: LogRecord, header: Header) -> None:
        """Fold one valid record of the journal."""
        if header.kind in (Kind.PLANNED, Kind.PLAN_RESTATED):
            self.state.apply(header, body_of(record.value, PlannedBatch), record.offset)

    @property
    def backlog(self) -> int:
        """Inputs without a verdict."""
        return len(self._inbox)

    # -- the task

    async def _serve(self, terms: JournalTerms) -> None:
        started_ms = clock.monotonic_ms()
        self._round = None
        await self.journal.open(terms)
        crash_points.point("plan.claimed")
        record_metrics.opened(
            "plans", self._lane, self._shard, self.journal, (clock.monotonic_ms() - started_ms) / 1000
        )
        while True:
            self._forget_committed()
            await self._restate()
            if self._inbox:
                await self._step()
            elif self._round is None:
                await self.wake.wait(IDLE_S)

    async def _step(self) -> None:
        inputs = [_input(self._inbox[index]) for index in range(min(MAX_INPUTS, len(self._inbox)))]
        judged = self._judge.judge(self.state, inputs, self._parts.time.now_ms())
        step = judged.step
        if step.journal:
            await self._append(Kind.PLANNED, step.at_ms, step.journal)
            crash_points.point("plan.decided")
        taken = [self._inbox.popleft() for _ in range(step.consumed)]
        record_metrics.planned(self._lane, step)
        self._parts.requests.planned(self._shard, step)
        if judged.before:
            await self._parts.outputs.confirm(judged.before)
        self._write(judged.others, taken)
        while len(self._writing) >= _MAX_WRITING:
            await asyncio.wait(self._writing, return_when=asyncio.FIRST_COMPLETED)

    async def _append(self, kind: Kind, at_ms: int, entries: tuple[Planned, ...]) -> None:
        header = Header(kind, self._lane, self._shard, self.journal.epoch, at_ms)
        started_ms, before = clock.monotonic_ms(), (self.journal.fold.voids, self.journal.gaps)
        await self.journal.append(pack(header, PlannedBatch(entries)))
        record_metrics.journaled("plans", self._lane, self.journal, (clock.monotonic_ms() - started_ms) / 1000, before)

    def _write(self, records: Sequence[Outgoing], taken: Sequence[Delivered]) -> None:
        task = asyncio.ensure_future(self._confirm(records, taken))
        self._writing.add(task)
        task.add_done_callback(self._written)

    async def _confirm(self, records: Sequence[Outgoing], taken: Sequence[Delivered]) -> None:
        if records:
            await self._parts.outputs.confirm(records)
        crash_points.point("plan.written")
        for record in taken:
            self._done(record)

    def _written(self, task: "asyncio.Task[None]") -> None:
        self._writing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            fatal(Exit.CRASHED, step="plan_outputs", shard=self._shard, error=type(error).__name__)

    def _forget_committed(self) -> None:
        """Entries are held whole until the group has acknowledged that their inputs will not come again."""
        now_ms = clock.monotonic_ms()
        if now_ms - self._forgot_ms >= _FORGET_MS:
            self._forgot_ms = now_ms
            finished = self._committed(topics.requests(self._lane), self._shard)
            if finished is not None:
                self.state.committed(finished)

    async def _restate(self) -> None:
        """When the floor is to rise: say again what was said before the claim that it rises to, then claim again.

        One record a call, so that verdicts go on in between.
        """
        now_ms = max(self._parts.time.now_ms(), self.state.last_ms)
        due = self._round or self.journal.claims.due(now_ms, self.policy.windows.idempotency_ms // 4)
        if due is None:
            return
        # What is said now is later than what is due, or it would be due for ever.
        now_ms = max(now_ms, due.said_ms + 1)
        body: PlannedBatch | None = PlannedBatch(())  # whatever is due, the first says how late it is: see forget()
        if self._round is not None:
            bite = self.policy.bite
            while self.state.forget(2 * bite) == 2 * bite:
                await asyncio.sleep(0)
            body = restatement(self.state, self._shard, now_ms=now_ms, before_ms=due.said_ms, most=bite)
        self._round = due
        if body is not None:
            await self._append(Kind.PLAN_RESTATED, now_ms, body.entries)
            return
        await self.journal.repeat_claim(due.floor)
        self._round = None


def _policy(parts: LaneParts, shard: int) -> PlanPolicy:
    policy = PlanPolicy.of(parts.lane, shard, pepper=parts.pepper, address_book=parts.address_book)
    return msgspec.structs.replace(
        policy, windows=parts.windows, shards=parts.settings.shards, limits=parts.settings.limits
    )


def _input(record: Delivered) -> PlanInput:
    origin = Origin(record.partition, record.offset)
    return PlanInput(origin, record.key, record.value, record.headers, record.timestamp_ms)
