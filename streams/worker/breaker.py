"""Plan's judgement of its inputs, and what follows from it, behind a breaker: no record stops its partition for ever.

Whatever raises here is a defect of ours, and crash-only would meet the same record after every restart. So a batch on which
our code raises is halved until one record stands alone; if that raises again it is set aside as ``poison``. Outputs are made
before their verdicts are appended: what cannot be said is never accepted. If a heartbeat raises as well, or if the record was
accepted before, the fault lies elsewhere: nothing is set aside and the process ends.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from broker.audience.sizes import NO_SIZES, ListSizes
from broker.heartbeat import businesses, event
from broker.plan.control_events import ControlRecord
from broker.plan.decode import PlanInput
from broker.plan.opt_in import AudienceRecord
from broker.plan.outputs import outputs, pack_work
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState
from broker.plan.step import PlanStep, decide, may_be_set_aside, set_aside
from broker.registry.fold import Registry
from schemas import topics
from schemas.lanes import MINUTE_MS
from schemas.plan_journal import Origin, Planned, Work, WorkItem
from schemas.wire.header import Header, Kind, pack
from schemas.wire.timestamps import text_of as instant
from streams.kafka.producer import Outgoing
from streams.runtime.events import Event
from streams.runtime.log import log
from streams.worker.outputs import direct_records, status_record

MAX_INPUTS: Final = 256


class Judged(NamedTuple):
    """A step, and the records that it asks for once its verdicts stand in the journal."""

    step: PlanStep
    before: list[Outgoing]
    """To be acknowledged before the others are written: who opted in before a request is on the list before its work is, and
    a control event is answered when deliver is bound by it."""
    others: list[Outgoing]


class Judge:
    """The judge of one partition. Reads the state and changes nothing but its own caution."""

    def __init__(self, policy: PlanPolicy, registry: Registry, sizes: ListSizes = NO_SIZES) -> None:
        self._policy = policy
        self._registry = registry
        self._sizes = sizes
        self.bite = MAX_INPUTS
        """Inputs to take at once: fewer after one has raised, twice as many after each step that went well."""

    def judge(self, state: PlanState, inputs: Sequence[PlanInput], now_ms: int) -> Judged:
        """The next step over the first of ``inputs`` (at least one)."""
        while True:
            bite = inputs[: self.bite]
            try:
                judged = self._judged(state, bite, now_ms)
            except Exception as error:
                if len(bite) > 1:
                    self.bite = len(bite) // 2
                    continue
                if not may_be_set_aside(state, bite[0]):
                    raise
                self._judged(state, [self._heartbeat(bite[0].origin, now_ms)], now_ms)
                return self._set_aside(state, bite[0], error, now_ms)
            self.bite = min(MAX_INPUTS, 2 * self.bite)
            return judged

    def _judged(self, state: PlanState, inputs: Sequence[PlanInput], now_ms: int) -> Judged:
        step = decide(inputs, state, self._registry, self._policy, now_ms, sizes=self._sizes)
        return self._followed(step)

    def _followed(self, step: PlanStep) -> Judged:
        joins = [one for one in step.direct if isinstance(one, AudienceRecord | ControlRecord)]
        words = [one for one in step.direct if not isinstance(one, AudienceRecord | ControlRecord)]
        lane, at_ms = self._policy.lane, step.at_ms
        return Judged(
            step,
            direct_records(joins, lane=lane, now_ms=at_ms),
            self._asked((*step.journal, *step.again), at_ms) + direct_records(words, lane=lane, now_ms=at_ms),
        )

    def _asked(self, entries: Sequence[Planned], at_ms: int) -> list[Outgoing]:
        """Work records by shard, and the answers; a pure function of the entries."""
        lane, shards = self._policy.lane, self._policy.shards
        work: dict[int, list[WorkItem]] = defaultdict(list)
        answers: list[Outgoing] = []
        for entry in entries:
            asked = outputs(entry, shards)
            for shard, item in asked.work.items():
                work[shard].append(item)
            if asked.answer is not None:
                answers.append(status_record(asked.answer.business, asked.answer.status))
        records = [
            Outgoing(topics.work(lane), pack(Header(Kind.WORK, lane, shard, 0, at_ms), Work(items)), partition=shard)
            for shard, asked_items in sorted(work.items())
            for items in pack_work(asked_items)
        ]
        return records + answers

    # -- the breaker

    def _heartbeat(self, origin: Origin, now_ms: int) -> PlanInput:
        """A record that is surely sound. It is judged and forgotten: nothing of it goes out."""
        policy = self._policy
        times = (instant(now_ms), instant(now_ms + MINUTE_MS))
        beat = event(
            policy.lane,
            policy.shard,
            pepper=policy.pepper,
            shards=policy.shards,
            times=times,
            serial=f"probe-{origin.offset}",
        )
        key = businesses(policy.shards)[policy.shard].encode()
        return PlanInput(origin, key, msgspec.json.encode(beat), (), now_ms)

    def _set_aside(self, state: PlanState, given: PlanInput, error: Exception, now_ms: int) -> Judged:
        topic, origin, name = topics.requests(self._policy.lane), given.origin, type(error).__name__
        log(
            Event.POISON, component="plan", topic=topic, partition=origin.partition, offset=origin.offset, exc_info=True
        )
        return self._followed(set_aside(given, name, state=state, policy=self._policy, now_ms=now_ms))
