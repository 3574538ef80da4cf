"""Deliver's shell: one shard's engine between its journal and the gateway. No business rule lives here."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable

import msgspec

from broker.deliver.decide import Facts
from broker.deliver.engine import Engine
from broker.deliver.frame import Batch
from broker.deliver.gateway_answer import MisshapenAnswerError, opt_outs
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import Append, ShardState, body_of_outcome
from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.facts import Suppression
from schemas.plan_journal import Origin
from schemas.wire.header import Header, pack
from streams.gateway.port import Fenced, Throttled, Unknown
from streams.kafka.faust_app.commits import Uncommitted
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.journal import Journal, JournalPlace
from streams.kafka.journal_terms import JournalTerms
from streams.kafka.reader import LogRecord
from streams.runtime import clock, crash_points, log
from streams.runtime.events import Event
from streams.runtime.exits import Exit, fatal
from streams.worker import record_metrics
from streams.worker.inputs import work_in
from streams.worker.outputs import suppression_records
from streams.worker.resources import LaneParts
from streams.worker.shard_task import IDLE_S, POLL_S, ShardTask, Wake
from streams.worker.tails import LaneFacts


class DeliverShard:
    """Serves a shard of a lane. Lives as long as the process; serves while the shard is assigned."""

    def __init__(
        self,
        parts: LaneParts,
        facts: LaneFacts,
        shard: int,
        *,
        done: Callable[[Delivered], None],
        committed: Callable[[str, int], int | None],
        fit_to_send: Callable[[], bool],
    ) -> None:
        self.policy = _policy(parts, shard)
        self.wake = Wake(parts.lane.rules.batch_interval_ms)
        self._finishing = False
        self._last_answer = "taken"
        """Outcome of the last frame, in the word of the metric."""
        self._facts = facts
        self._gateway, self._outputs = parts.gateway, parts.outputs
        self._requests, self._aside, self._time = parts.requests, parts.aside, parts.time
        self._done = done
        self._committed = committed
        self._fit_to_send = fit_to_send
        self.state = ShardState(self.policy, facts.shard(shard).audience)
        place = JournalPlace(topics.outcomes(parts.lane), parts.lane, shard, parts.settings.accepted_losses)
        self.journal = Journal(place, self.apply, reader=parts.journal_reader, producer=parts.journals, time=parts.time)
        self._engine: Engine | None = None
        self._opted_out: list[Suppression] = []
        """Suppressions that follow from answers in the journal; kept until the topic ``suppressions`` has them."""
        self._inbox: deque[Delivered] = deque()
        self._open_inputs: dict[Origin, Delivered] = {}
        self._parts: Counter[Origin] = Counter()
        self._uncommitted = Uncommitted()
        self._task = ShardTask("deliver", shard)
        self._sending: asyncio.Task[None] | None = None

    # -- called by the worker

    def deliver(self, record: Delivered) -> None:
        """A record of ``work``; kept until the journal is open."""
        self._inbox.append(record)
        self._uncommitted.add(record.offset, record.timestamp_ms)
        self.wake.set()

    def start(self, terms: JournalTerms) -> None:
        """The shard is ours."""
        self._task.start(lambda: self._serve(terms))

    async def finish(self, within_s: float) -> None:
        """Before an orderly stop: take and send nothing more, and have the answer to the frame in the air in the journal."""
        self._finishing = True
        ends_ms = clock.monotonic_ms() + int(within_s * 1000)
        while self._engine is not None and self._engine.unsaid and clock.monotonic_ms() < ends_ms:
            await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """The shard is not ours any more: decide and send nothing, wait for the append in flight, forget the inputs."""
        await self._task.stop()
        if self._sending is not None:
            # The frame may arrive all the same. The next owner finds its messages without an answer and sends the same names.
            self._sending.cancel()
            self._sending = None
        await self.journal.quiesce()
        self._engine = None
        self._inbox.clear()
        self._open_inputs.clear()
        self._parts.clear()
        self._uncommitted.clear()
        await self._gateway.drop(self.policy.shard)

    def apply(self, record: LogRecord, header: Header) -> None:
        """Fold one valid record of the journal; the only way in which the state changes."""
        body = body_of_outcome(header, record.value)
        if body is not None:
            # Before the fold, for this answer may close its request, and then nobody knows any more whom it was about.
            self._opted_out += opt_outs(self.state, header, body, self._facts.shard(self.policy.shard).audience)
            refused = self.state.refused
            self.state.apply(header, body)
            if self.state.refused > refused:
                record_metrics.moves_refused(self.policy.shard, record.offset, self.state.refused - refused)

    @property
    def is_open(self) -> bool:
        """Returns whether the journal is ours and decisions are made."""
        return self._engine is not None

    @property
    def backlog(self) -> int:
        """Open items and inputs not yet taken over."""
        return len(self._inbox) + (self._engine.backlog if self._engine else 0)

    # -- the task

    async def _serve(self, terms: JournalTerms) -> None:
        shard = self.policy.shard
        await self._facts.follow([shard])
        self._facts.shard(shard).heard_ms.clear()  # of before it was ours
        started_ms = clock.monotonic_ms()
        await self.journal.open(terms)
        crash_points.point("deliver.claimed")
        self._engine = engine = Engine(
            self.policy,
            self.state,
            epoch=self.journal.epoch,
            now_ms=self._time.now_ms(),
            claims=self.journal.claims,
            claims_in_a_row=self.journal.fold.claims_in_a_row,
        )
        record_metrics.opened("outcomes", self.policy.lane, shard, self.journal, _seconds_since(started_ms))
        while True:
            await self._suppress()
            if not self._finishing:
                self._take_inputs(engine)
            moved = await self._append(engine)
            moved = self._launch(engine) or moved
            if not moved:
                await self.wake.wait(_pause_s(engine, self._time.now_ms()))

    def _take_inputs(self, engine: Engine) -> None:
        while self._inbox and not engine.full:
            record = self._inbox.popleft()
            origin = Origin(record.partition, record.offset)
            items = work_in(record, self._aside)
            self._open_inputs[origin], self._parts[origin] = record, len(items)
            for item in items:
                engine.take(item, origin, self._time.now_ms())
            if not items:
                self._finish(origin, 0)

    async def _append(self, engine: Engine) -> bool:
        self._tell_obeyed()
        append = engine.step(self._time.now_ms(), self._now_facts())
        for offset in engine.bound():
            record_metrics.stopped(self.policy.lane, self._facts.said_ms[offset])
        if engine.restating.claim_due is not None:
            await self.journal.repeat_claim(engine.restating.claim_due)
            engine.restating.claimed()
        if append is None:
            return False
        started_ms, before = clock.monotonic_ms(), (self.journal.fold.voids, self.journal.gaps)
        heartbeats = record_metrics.heartbeats_in(append, self.state)
        await self.journal.append(self._record(append))
        _pass_points(append)
        for origin in engine.acked(append):
            self._finish(origin, 1)
        record_metrics.journaled("outcomes", self.policy.lane, self.journal, _seconds_since(started_ms), before)
        record_metrics.appended(self.policy.lane, append, heartbeats)
        return True

    def _tell_obeyed(self) -> None:
        """Counts opt-outs as obeyed once no frame is in the air that may have been built before they were read."""
        heard_ms = self._facts.shard(self.policy.shard).heard_ms
        while heard_ms and (self._sending is None or self._sending.done()):
            record_metrics.stopped(self.policy.lane, heard_ms.popleft(), "stop")

    async def _suppress(self) -> None:
        """Let alone whom answers told to have opted out. A new owner folds the same answers, and says what nobody knows yet."""
        if not self._opted_out:
            return
        consent = self._facts.shard(self.policy.shard).consent
        news = [entry for entry in self._opted_out if not consent.holds(entry)]
        if news:
            await self._outputs.confirm(suppression_records(news, lane=self.policy.lane, shard=self.policy.shard))
            record_metrics.suppressed(news)
        self._opted_out.clear()

    def _record(self, append: Append) -> bytes:
        header = Header(append.kind, self.policy.lane, self.policy.shard, self.journal.epoch, append.at_ms)
        return pack(header, append.body, self.policy.record_format)

    def _finish(self, origin: Origin, parts: int) -> None:
        self._parts[origin] -= parts
        if self._parts[origin] <= 0:
            del self._parts[origin]
            self._done(self._open_inputs.pop(origin))

    def _now_facts(self) -> Facts:
        uncommitted_ms = self._uncommitted.oldest_ms(self._committed(topics.work(self.policy.lane), self.policy.shard))
        return self._facts.of(self.policy.shard, uncommitted_ms=uncommitted_ms, now_ms=self._time.now_ms())

    # -- the gateway

    def _launch(self, engine: Engine) -> bool:
        batch = None if self._finishing else engine.frame(self._time.now_ms(), self._now_facts())
        if batch is None:
            return False
        if not self._fit_to_send():
            fatal(Exit.WATCHDOG, step="hand_off", shard=self.policy.shard)
        self._sending = asyncio.ensure_future(self._send(engine, batch))
        self._sending.add_done_callback(self._sent)
        return True

    async def _send(self, engine: Engine, batch: Batch) -> None:
        """Hand a frame to the gateway and tell the engine how it ended; the HTTP of it is in ``streams/gateway/frames.py``."""
        assert batch.frame is not None
        started_ms = clock.monotonic_ms()
        try:
            answer = await self._gateway.send(batch.frame, timeout_ms=self.policy.windows.gateway_timeout_ms)
            crash_points.point("deliver.frame")
            engine.answered(batch, answer, self._time.now_ms())
            self._last_answer = "taken"
            record_metrics.clock_compared(self.policy.lane, engine.gateway_clock.ahead_ms)
            record_metrics.handed_off(self.policy.lane, self.state, batch, answer, _seconds_since(started_ms))
            self._requests.handed_off(self.state, self.policy.shard, batch, answer)
        except Fenced:
            fatal(Exit.FENCED, step="frame", shard=self.policy.shard, epoch=engine.epoch)
        except Throttled as throttled:
            engine.throttled(batch, throttled.retry_after_ms, self._time.now_ms())
            self._unanswered(throttled.how)
        except Unknown as unknown:
            engine.unknown(batch, self._time.now_ms(), maybe_sent=not unknown.surely_not_taken)
            self._unanswered(unknown.kind.value)
        except MisshapenAnswerError:
            # Whoever answers has read the frame, so its messages may be on their way whatever the answer fails to say.
            engine.unknown(batch, self._time.now_ms(), maybe_sent=True)
            self._unanswered("unreadable")
        self.wake.set()

    def _unanswered(self, how: str) -> None:
        """Count a frame that ended without an answer; a line of log for the first in a row that ended so."""
        record_metrics.unanswered(self.policy.lane, how)
        if how != self._last_answer:
            event = Event.GATEWAY_THROTTLED if how == "throttled" else Event.GATEWAY_UNKNOWN
            log.log(event, component="deliver", shard=self.policy.shard, how=how)
        self._last_answer = how

    def _sent(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            fatal(Exit.CRASHED, step="send", shard=self.policy.shard, error=type(error).__name__)


def _pass_points(append: Append) -> None:
    """The points after an acknowledgement, by what the record holds."""
    if not isinstance(append.body, Outcome):
        return
    if append.body.opened:
        crash_points.point("deliver.opened")
    if append.body.decided:
        crash_points.point("deliver.decided")
    if append.body.answered:
        crash_points.point("deliver.answered")


def _policy(parts: LaneParts, shard: int) -> DeliverPolicy:
    settings = parts.settings
    policy = DeliverPolicy.of(parts.lane, shard, parts.ref_secret, limits=settings.limits, shards=settings.shards)
    gateway = parts.gateway
    return msgspec.structs.replace(
        policy,
        windows=parts.windows,
        gateway_dedupes=gateway.dedupes,
        codes=gateway.codes,
        record_format=settings.record_format,
    )


def _seconds_since(started_ms: int) -> float:
    return (clock.monotonic_ms() - started_ms) / 1000


def _pause_s(engine: Engine, now_ms: int) -> float:
    wait_s = (engine.wake_ms() - now_ms) / 1000
    return min(IDLE_S, max(POLL_S, wait_s))
