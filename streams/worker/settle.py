"""Settle's shell: one shard's join of outcomes and receipts, rebuilt from the logs by whoever never had the shard.

Nothing is decided here. What lies before the committed offsets is folded with effects off; an input is finished when the
charges and statuses that follow from it are acknowledged, so a crash repeats effects and never loses one.

Memory survives a rebalance: whoever gets the shard back is like an owner that stood still, and joins what others have finished
meanwhile.
"""

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Mapping

from broker.deliver.state import body_of_outcome
from broker.journal import Fold, dated
from broker.settle.deadlines import fold_from
from broker.settle.engine import Settle
from broker.settle.policy import SettleEffects, SettlePolicy
from schemas import topics
from schemas.delivery_journal import Outcome, Restated
from schemas.facts import Receipts
from schemas.wire.header import Kind, UnreadableRecordError, head_of, unpack
from schemas.wire.item_parts import Parts
from streams.kafka.faust_app.commits import Place
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.reader import LogRecord, by_time, in_turns
from streams.runtime import crash_points
from streams.worker import record_metrics
from streams.worker.inputs import read
from streams.worker.outputs import charge_record, status_record
from streams.worker.resources import LaneParts
from streams.worker.shard_task import IDLE_S, SETTLING_BEAT_MS, ShardTask, Wake

_BITE = 512
"""Records joined before effects are written."""


class SettleShard:
    """Serves a shard of a lane."""

    def __init__(
        self,
        parts: LaneParts,
        shard: int,
        *,
        done: Callable[[Delivered], None],
        read_to_end: Callable[[Place], bool],
    ) -> None:
        self._parts = parts
        self._lane = parts.lane
        self._shard = shard
        self._done = done
        self._read_to_end = read_to_end
        self._places = [(topic, shard) for topic in (topics.outcomes(parts.lane), topics.receipts(parts.lane))]
        self._settle = self._fresh()
        self._since_ms = parts.time.now_ms()
        self._fold, self._whole = Fold(), Parts()
        self._upto: dict[Place, int] = {}
        """By log, below which offset everything is joined that matters; nothing while nothing is."""
        self._owed: SettleEffects | None = None
        """Follows from what is joined, and may not be written."""
        self._counted: Counter[str] = Counter()
        """Counts of the join that the metrics already show, or that belong to its rebuild."""
        self._inbox: deque[Delivered] = deque()
        self._task = ShardTask("settle", shard)
        self.wake = Wake(SETTLING_BEAT_MS)

    def _fresh(self, since_ms: int = 0) -> Settle:
        policy = SettlePolicy(self._shard, self._parts.windows.settle_ms, shards=self._parts.settings.shards)
        return Settle(policy, self._parts.registry.cards, since_ms)

    def deliver(self, record: Delivered) -> None:
        """A record of ``outcomes`` or ``receipts``; kept until the rebuild is done."""
        self._inbox.append(record)
        self.wake.set()

    def start(self, committed: Mapping[Place, int]) -> None:
        """The shard is ours; ``committed`` says how far the group had finished."""
        self._task.start(lambda: self._serve(committed))

    async def stop(self) -> None:
        """The shard is not ours any more."""
        await self._task.stop()
        self._inbox.clear()

    @property
    def backlog(self) -> int:
        """Records not yet joined."""
        return len(self._inbox)

    @property
    def heartbeat_ms(self) -> int:
        """Event time of the newest heartbeat that came through; the start of this shard before any has."""
        return max(self._since_ms, self._settle.counts.heartbeat_ms)

    @property
    def quarantined(self) -> int:
        """Returns how many receipts and journal sections wait for their request to become known."""
        return self._settle.quarantine.held

    # -- the task

    async def _serve(self, committed: Mapping[Place, int]) -> None:
        self._since_ms = self._parts.time.now_ms()
        await self._catch_up({place: committed.get(place, 0) for place in self._places})
        # By a clock that nobody has compared, windows might end an hour early. What was read so far ended none by it.
        await self._parts.time.wait_known()
        self._since_ms = min(self._since_ms, self._parts.time.now_ms())
        while True:
            joined = self._join_some()
            await self._effects()
            self._counted = record_metrics.settled(self._lane, self._settle, self._counted)
            for record in joined:
                self._done(record)
            if self._inbox:
                self.wake.set()
            if len(self._inbox) < _BITE:
                await self.wake.wait(IDLE_S)

    # -- from the assignment to the first input

    async def _catch_up(self, committed: Mapping[Place, int]) -> None:
        """Goes on from what memory holds, or from nothing, up to what the group had finished."""
        behind = [place for place, upto in committed.items() if self._upto.get(place, -1) < upto]
        if behind:
            begins, since_ms = await self._horizon(committed)
            # Longer away than a rebuild reaches back, or retention has passed: nothing of memory counts.
            if any(self._upto.get(place, -1) < begins[place] for place in behind):
                self._settle, self._fold, self._whole, self._owed = self._fresh(since_ms), Fold(), Parts(), None
                self._upto = begins
        await self._write()
        if any(self._upto[place] < upto for place, upto in committed.items()):
            await self._read_on(committed)

    async def _horizon(self, committed: Mapping[Place, int]) -> tuple[dict[Place, int], int]:
        """Where a rebuild begins in each log, and the log time that this is."""
        reached_ms = [await self._reached_ms(place, committed) for place in self._places]
        windows = self._parts.windows
        span_ms = windows.settle_fold_ms + windows.clock_slack_ms + self._settle.policy.ending_ms
        since_ms = fold_from(self._parts.time.now_ms(), reached_ms, span_ms)
        found = {place: await self._parts.settle_reader.first_since(place, since_ms) for place in self._places}
        begins = {
            place: upto if (at := found[place]) is None else min(at[0], upto) for place, upto in committed.items()
        }
        return begins, since_ms

    async def _reached_ms(self, place: Place, committed: Mapping[Place, int]) -> int:
        """The time that the last committed record bears, which is what the horizon goes by; 0 if there is none."""
        begin, end = await self._parts.settle_reader.bounds(place)
        offset = min(committed[place], end) - 1
        if offset < begin:
            return 0
        record = await self._parts.settle_reader.read_one(place, offset)
        try:
            return dated(head_of(record.value), record.timestamp_ms).at_ms
        except UnreadableRecordError:
            return record.timestamp_ms

    async def _read_on(self, committed: Mapping[Place, int]) -> None:
        """Half of the time belongs to the hand-offs that have begun: each piece is followed by a pause as long as it took."""
        # Others have acted on what they have finished. But if memory has records of one log that are not finished, what follows
        # from them and from what others finished in the other log may be written by nobody: then all of it is said again.
        told = all(self._upto[place] <= upto for place, upto in committed.items())
        behind = {place: upto for place, upto in committed.items() if self._upto[place] < upto}
        reads = {
            place: self._parts.settle_reader.read(place, self._upto[place], upto) for place, upto in behind.items()
        }
        async with self._parts.rebuilding, contextlib.aclosing(in_turns(by_time(reads), rest=1)) as records:
            try:
                joined, last_ms = 0, 0
                async for place, record in records:
                    self._join(place, record, told=True)
                    joined, last_ms = joined + 1, record.timestamp_ms
                    if told and joined % _BITE == 0:
                        # As time went then: whoever holds all accounts until the end holds them as objects.
                        self._settle.due(last_ms, effects=False)
                if told:
                    self._settle.due(last_ms, effects=False)
            finally:
                self._counted = record_metrics.evidence_in(self._settle)

    def _join_some(self) -> list[Delivered]:
        joined: list[Delivered] = []
        while self._inbox and len(joined) < _BITE:
            record = self._inbox.popleft()
            place = record.topic, self._shard
            # What was joined under an earlier assignment and not finished comes again.
            if record.offset >= self._upto[place]:
                self._join(place, record)
            joined.append(record)
        return joined

    def _join(self, place: Place, record: Delivered | LogRecord, *, told: bool = False) -> None:
        """Joins a record, or sets it aside; of one that was met before (``told``) there is nothing new to say."""
        aside, topic = None if told else self._parts.aside, place[0]
        appended_ms = record.timestamp_ms
        read(topic, self._shard, record, lambda value: self._fold_in(topic, value, appended_ms), aside, stage="settle")
        self._upto[place] = record.offset + 1

    def _fold_in(self, topic: str, value: bytes, appended_ms: int) -> None:
        if topic == topics.receipts(self._lane):
            reported, receipts = unpack(value, Receipts, Kind.RECEIPT)
            self._settle.receipts(dated(reported, appended_ms), receipts)
            return
        foreign = self._fold.foreign
        header = self._fold.admit(value)
        if self._fold.foreign > foreign:
            raise UnreadableRecordError("no release wrote it")
        if header is None:
            return
        header = dated(header, appended_ms)
        body = self._whole.said(body_of_outcome(header, value))
        if isinstance(body, Outcome | Restated):
            self._settle.outcome(header, body)
        else:
            self._settle.passed(header)

    async def _effects(self) -> None:
        for name, topic in (("outcomes", topics.outcomes(self._lane)), ("receipts", topics.receipts(self._lane))):
            if not self._read_to_end((topic, self._shard)):
                self._settle.behind(name)
        effects = self._settle.due(self._parts.time.now_ms())
        if effects.charges or effects.statuses:
            self._owed = effects
            await self._write()

    async def _write(self) -> None:
        """Writes what is owed; if it is stopped meanwhile, again when the shard comes back."""
        if self._owed is None:
            return
        shards, now_ms = self._parts.settings.shards, self._parts.time.now_ms()
        records = [
            charge_record(charge, lane=self._lane, shard=self._shard, shards=shards, now_ms=now_ms)
            for charge in self._owed.charges
        ]
        records += [status_record(business, status) for business, status in self._owed.statuses]
        crash_points.point("settle.charge")
        await self._parts.outputs.confirm(records)
        crash_points.point("settle.charged")
        self._parts.requests.settled(self._owed.statuses)
        self._owed = None
