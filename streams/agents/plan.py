"""Plan's shell: one partition's verdicts between its inputs, its journal and what they ask of the shards."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

import msgspec

from broker.plan.engine import (
    AudienceRecord,
    PlanInput,
    PlanPolicy,
    PlanState,
    PlanStep,
    decide,
    outputs,
    pack_work,
    restatement,
)
from schemas import topics
from schemas.planned import Origin, Planned, PlannedBatch, Work, WorkItem
from schemas.wire.header import Header, Kind, body_of, pack
from streams import clock, faults, watch
from streams.agents.outputs import direct_records, status_record
from streams.agents.parts import LaneParts
from streams.agents.shard import IDLE_S, ShardTask, Wake
from streams.kafka.fatal import Exit, fatal
from streams.kafka.hooks import Delivered
from streams.kafka.journal import Journal, JournalPlace, JournalTerms
from streams.kafka.producer import Outgoing
from streams.kafka.reader import LogRecord

_STEP_INPUTS = 256
_FORGET_MS = 1_000
_MAX_WRITING = 8
"""Steps whose outputs are on their way: the next ones are decided meanwhile."""


class PlanShard:
    """One partition of one lane's requests."""

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
        place = JournalPlace(topics.plans(parts.lane), parts.lane, shard, parts.settings.accept_trimmed)
        self._journal = Journal(place, self.apply, reader=parts.reader, producer=parts.journals)
        self._inbox: deque[Delivered] = deque()
        self._writing: set[asyncio.Task[None]] = set()
        self._claimed_ms = 0
        self._forgot_ms = 0
        self._task = ShardTask("plan", shard)
        self.wake = Wake()

    def deliver(self, record: Delivered) -> None:
        """A record of ``requests``; kept until the journal is open."""
        self._inbox.append(record)
        self.wake.set()

    def start(self, terms: JournalTerms) -> None:
        """The shard is ours."""
        self._task.start(lambda: self._serve(terms))

    async def stop(self) -> None:
        """The shard is not ours any more. Outputs on their way may land: they are what the next owner would write."""
        await self._task.stop()
        for task in self._writing:
            task.cancel()
        self._writing.clear()
        await self._journal.quiesce()
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
        await self._journal.open(terms)
        faults.point("plan.claimed")
        watch.opened("plans", self._lane, self._shard, self._journal, (clock.monotonic_ms() - started_ms) / 1000)
        self._claimed_ms = max(clock.now_ms(), self.state.last_ms)
        while True:
            self._forget_committed()
            await self._restate()
            if not self._inbox:
                await self.wake.wait(IDLE_S)
                continue
            await self._step()

    async def _step(self) -> None:
        records = [self._inbox[index] for index in range(min(_STEP_INPUTS, len(self._inbox)))]
        step = decide(
            self.state,
            [_input(record) for record in records],
            registry=self._parts.registry,
            policy=self.policy,
            now_ms=clock.now_ms(),
        )
        if step.journal:
            await self._append(Kind.PLANNED, step.at_ms, step.journal)
            faults.point("plan.decided")
        taken = [self._inbox.popleft() for _ in range(step.consumed)]
        watch.planned(self._lane, step)
        await self._write_audience(step)
        self._write(step, taken)
        while len(self._writing) >= _MAX_WRITING:
            await asyncio.wait(self._writing, return_when=asyncio.FIRST_COMPLETED)

    async def _append(self, kind: Kind, at_ms: int, entries: tuple[Planned, ...]) -> None:
        header = Header(kind, self._lane, self._shard, self._journal.epoch, at_ms)
        started_ms, before = clock.monotonic_ms(), (self._journal.fold.voids, self._journal.gaps)
        await self._journal.append(pack(header, PlannedBatch(entries)))
        watch.journaled("plans", self._lane, self._journal, (clock.monotonic_ms() - started_ms) / 1000, before)

    async def _write_audience(self, step: PlanStep) -> None:
        """Who opted in before a request is on the list before its work is: those records are acknowledged first."""
        changes = [one for one in step.direct if isinstance(one, AudienceRecord)]
        if changes:
            await self._parts.outputs.confirm(direct_records(changes, lane=self._lane, now_ms=step.at_ms))

    def _write(self, step: PlanStep, taken: Sequence[Delivered]) -> None:
        records = self._outputs((*step.journal, *step.again), step.at_ms)
        records += direct_records(
            [one for one in step.direct if not isinstance(one, AudienceRecord)], lane=self._lane, now_ms=step.at_ms
        )
        task = asyncio.ensure_future(self._confirm(records, taken))
        self._writing.add(task)
        task.add_done_callback(self._written)

    async def _confirm(self, records: Sequence[Outgoing], taken: Sequence[Delivered]) -> None:
        if records:
            await self._parts.outputs.confirm(records)
        faults.point("plan.written")
        for record in taken:
            self._done(record)

    def _written(self, task: "asyncio.Task[None]") -> None:
        self._writing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            fatal(Exit.CRASHED, step="plan_outputs", shard=self._shard, error=type(error).__name__)

    def _outputs(self, entries: Sequence[Planned], at_ms: int) -> list[Outgoing]:
        """Work records by shard, and the answers; a pure function of the entries."""
        shards = self._parts.settings.shards
        work: dict[int, list[WorkItem]] = defaultdict(list)
        answers: list[Outgoing] = []
        for entry in entries:
            asked = outputs(entry, shards)
            for shard, item in asked.work.items():
                work[shard].append(item)
            if asked.answer is not None:
                answers.append(status_record(asked.answer.business, asked.answer.status))
        records = [
            Outgoing(
                topics.work(self._lane),
                pack(Header(Kind.WORK, self._lane, shard, 0, at_ms), Work(items)),
                partition=shard,
            )
            for shard, asked_items in sorted(work.items())
            for items in pack_work(asked_items)
        ]
        return records + answers

    def _forget_committed(self) -> None:
        """Entries are held whole until the group has acknowledged that their inputs will not come again."""
        now_ms = clock.monotonic_ms()
        if now_ms - self._forgot_ms >= _FORGET_MS:
            self._forgot_ms = now_ms
            finished = self._committed(topics.requests(self._lane), self._shard)
            if finished is not None:
                self.state.committed(finished)

    async def _restate(self) -> None:
        """Every quarter of a fold: say again what is old, then claim again (``broker/journal.py`` on the floor)."""
        now_ms = max(clock.now_ms(), self.state.last_ms)
        if now_ms - self._claimed_ms < self.policy.windows.idempotency_ms // 4:
            return
        self.state.forget(now_ms)
        while True:
            body = restatement(self.state, self._shard, now_ms=now_ms, after_ms=now_ms - self._claimed_ms)
            if body is None:
                break
            await self._append(Kind.PLAN_RESTATED, now_ms, body.entries)
        await self._journal.repeat_claim()
        self._claimed_ms = now_ms


def _policy(parts: LaneParts, shard: int) -> PlanPolicy:
    policy = PlanPolicy.of(parts.lane, shard, pepper=parts.pepper, address_book=parts.address_book)
    return msgspec.structs.replace(
        policy, windows=parts.windows, shards=parts.settings.shards, limits=parts.settings.limits
    )


def _input(record: Delivered) -> PlanInput:
    origin = Origin(record.partition, record.offset)
    return PlanInput(origin, record.key, record.value, record.headers, record.timestamp_ms)
