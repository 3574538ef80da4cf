"""Planted bugs: owners that break one rule of the protocol each. The scheduler has to catch every one of them."""

import asyncio
import contextlib
import dataclasses
import pickle
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pyroaring import BitMap

from broker.audience.consent import Consent, Returns
from broker.audience.members import Audience
from broker.deliver.decide import Facts
from broker.deliver.draft import Draft, members_of
from broker.deliver.engine import Engine
from broker.deliver.frame import Batch, batch_of, frame_of
from broker.deliver.gate import StepGate
from broker.deliver.handoffs import HandOffs
from broker.deliver.item import Item
from broker.deliver.scheduler import Turn
from broker.deliver.state import Append, ShardState
from broker.standing import Controls
from schemas import topics
from schemas.delivery_journal import Outcome, Restated
from schemas.facts import AudienceChange, ControlAction, ControlWord, Suppression
from schemas.gateway_api import FrameAnswer
from schemas.wire.header import Header, Kind
from streams.kafka import journal
from streams.kafka.tail import Tail
from streams.runtime import clock
from streams.worker import deliver, tails
from tests.pure.schedules.deliver.gateway import FencedError, LostError, ThrottledError
from tests.pure.schedules.deliver.owner import Owner, WatchedShard
from tests.pure.schedules.deliver.world import SHARD
from tests.pure.schedules.shells.journal_mutants import OWN_TIME, NoAdjacencyJournal
from tests.support.virtual_loop import running_loop

_SLEEPS_S: Final = 2.0
"""The longest that a drowsy tail keeps what it has fetched."""


class NoAdjacency(Owner):
    """Row 9: acts on its append without looking at the gap before it."""

    stand_ins = ((deliver, "Journal", NoAdjacencyJournal),)


class FollowsTheList(Owner):
    """Row 6: a new owner takes the list as it is now for the members."""

    def engaged(self) -> Engine:
        for item in self.state.items.values():
            if item.members is not None:
                now = members_of(item, self.facts())
                if now.count == item.members.count:
                    item.ordinals = None
                    statuses, attempts = item.statuses, item.attempts
                    left, pending, markets = item.left, item.pending, item.markets
                    item.freeze(now)
                    item.statuses, item.attempts = statuses, attempts
                    item.left, item.pending, item.markets = left, pending, markets
        return super().engaged()


class _ActsFirst(WatchedShard):
    def _record(self, append: Append) -> bytes:
        record = super()._record(append)
        if isinstance(append.body, Outcome):
            batch = batch_of(append.body.decided)
            if batch is not None:
                self._hand_off(batch, append)
        return record

    def _hand_off(self, batch: Batch, append: Append) -> None:
        world, engine = running_loop().owner.world, self._engine
        assert engine is not None
        ahead: ShardState = pickle.loads(pickle.dumps(self.state))
        header = Header(append.kind, self.policy.lane, SHARD, engine.epoch, append.at_ms)
        ahead.apply(header, append.body)
        frame = frame_of(batch, ahead, engine._rules(self._now_facts()), engine.epoch)
        with contextlib.suppress(FencedError, LostError, ThrottledError):
            world.gateway.take(frame, world.now)


class ActsFirst(Owner):
    """Row 7: the frame leaves before its decision is in the log."""

    shard_type = _ActsFirst


class ForgetsAnswers(Owner):
    """Row 7: recovery takes what was decided and not answered for done."""

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine._handoffs._queue.clear()
        return engine


class _CommitsEarly(WatchedShard):
    def _record(self, append: Append) -> bytes:
        for origin in append.taken:
            self._done(self._open_inputs[origin])
        return super()._record(append)


class CommitsEarly(Owner):
    """Rule 3: an input is finished before the append that takes it over is acknowledged."""

    shard_type = _CommitsEarly


class _NeverRestates(Engine):
    def step(self, now_ms: int, facts: Facts) -> Append | None:
        append = super().step(now_ms, facts)
        if append is None or not isinstance(append.body, Restated):
            return append
        for item in self.state.items.values():
            item.stated_ms = append.at_ms
        self.state.closed = {name: (keep, append.at_ms) for name, (keep, _) in self.state.closed.items()}
        return Append(Kind.OUTCOME_RESTATED, append.at_ms, Restated())


class NeverRestates(Owner):
    """Row 11: claims with a higher floor, and has not said again what is open."""

    engine_type = _NeverRestates


class _LastWriterWins(Consent):
    __slots__ = ("_answers",)

    def apply(self, suppression: Suppression) -> None:
        self._answers = getattr(self, "_answers", 0) + 1
        super().apply(msgspec.structs.replace(suppression, evidence_ms=self._answers, received_ms=self._answers))


class LogOrderConsent(Owner):
    """Row 16: the word that stands last in the log counts, whenever it was given."""

    stand_ins = ((tails, "Consent", _LastWriterWins),)


class BelievesItsClock(Owner):
    """Row 24: nobody ends a process whose clock has jumped."""

    watches_clock = False


class DecidesByItsClock(Owner):
    """Row 24: was started an hour ahead, and decides by that."""

    stand_ins = (OWN_TIME,)


class TakesTimesAsTheyStand(Owner):
    """Row 24: the claim of a process that was started an hour ahead says what time it is."""

    stand_ins = ((journal, "dated", lambda header, *_: header),)


class _NoMemoryOfTime(Engine):
    def _clock(self, now_ms: int) -> int:
        self._now_ms = now_ms
        return now_ms


class GoesBackInTime(Owner):
    """Row 24: decides at the time of its own clock, and not after what was decided before."""

    engine_type = _NoMemoryOfTime


class _Drowsy(Tail):
    """Reads one topic now and then, and believes that it knows everything of it."""

    drowsy = ""

    def fresh_ms(self, partition: int) -> int:
        return 0 if self.topic == self.drowsy else super().fresh_ms(partition)

    async def _follow(self, consumer: Any) -> None:
        await super()._follow(_Slow(consumer) if self.topic == self.drowsy else consumer)


class _Slow:
    """A consumer that hands over late what it has fetched."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.position = consumer.position

    async def getmany(self, *, timeout_ms: int) -> Any:
        fetched = await self._consumer.getmany(timeout_ms=timeout_ms)
        await asyncio.sleep(running_loop().owner.world.rng.random() * _SLEEPS_S)
        return fetched


class _DrowsyAboutPeople(_Drowsy):
    drowsy = topics.SUPPRESSIONS


class StaleConsent(Owner):
    """The barrier: believes that its tail is always fresh."""

    stand_ins = ((tails, "Tail", _DrowsyAboutPeople),)


class _Flattered(Tail):
    def _time_fetches(self, fetcher: Any) -> None:
        answered = fetcher._proc_fetch_request

        async def timed(assignment: Any, node_id: int, request: Any) -> bool:
            states = {row[0]: assignment.state_value(self._place(row[0])) for _, rows in request.topics for row in rows}
            woken: bool = await answered(assignment, node_id, request)
            for partition, state in states.items():
                self._asked[partition] = (clock.monotonic_ms(), state.highwater)
                self._judge(partition)
            return woken

        fetcher._proc_fetch_request = timed


class FreshByTheAnswer(Owner):
    """The barrier: a view is as old as the answer that it came with, and not as the question."""

    stand_ins = ((tails, "Tail", _Flattered),)


class SendsThoughSilent(Owner):
    """Rule 14: frames leave though the group has not shown for long that it knows who sends them."""

    def fit_to_send(self) -> bool:
        return True


class _AnyView(Engine):
    def frame(self, now_ms: int, facts: Facts) -> Batch | None:
        strict, self.policy = self.policy, msgspec.structs.replace(self.policy, fresh_ms=1 << 40)
        try:
            return super().frame(now_ms, facts)
        finally:
            self.policy = strict


class FramesAnyView(Owner):
    """STOP barrier: builds a frame behind a view of suppressions of any age; the gateway refuses it when it is too late."""

    engine_type = _AnyView


class _NobodyLeaves(Audience):
    """Somebody's audience, as if everybody were on every list."""

    def __init__(self, audience: Audience) -> None:
        for slot in Audience.__slots__:
            setattr(self, slot, getattr(audience, slot))

    def freeze(self, business: str, list_id: str) -> BitMap:  # noqa: ARG002 - whichever list it is
        return BitMap(range(len(self)))


def _without_leavers(facts: Facts) -> Facts:
    return facts._replace(audience=_NobodyLeaves(facts.audience))


class _ForgivingDraft(Draft):
    __slots__ = ()

    def decide(self, turn: Turn) -> None:
        honest = self.rules
        self.rules = honest._replace(facts=_without_leavers(honest.facts))
        super().decide(turn)
        self.rules = honest


class _HastyDraft(Draft):
    __slots__ = ()

    def freeze(self, item: Item, *, paused: bool) -> bool:
        honest = self.rules
        self.rules = honest._replace(facts=honest.facts._replace(audience_read_ms=1 << 62))
        frozen = super().freeze(item, paused=paused)
        self.rules = honest
        return frozen


def _as(kind: type[Draft], draft: Draft) -> Draft:
    """The same record in the making, made otherwise."""
    return kind(*(getattr(draft, field.name) for field in dataclasses.fields(draft)))


class _DecidesForLeavers(Engine):
    def _work(self, draft: Draft, gate: StepGate) -> None:
        super()._work(_as(_ForgivingDraft, draft), gate)


class DecidesForLeavers(Owner):
    """Section 1.5: whoever was a member when the list was frozen is one when it is decided."""

    engine_type = _DecidesForLeavers


class _FramesForLeavers(Engine):
    def frame(self, now_ms: int, facts: Facts) -> Batch | None:
        return super().frame(now_ms, _without_leavers(facts))


class FramesForLeavers(Owner):
    """Section 1.5: nobody is asked again whether they are on the list when the frame is built."""

    engine_type = _FramesForLeavers


class _FreezesAtOnce(Engine):
    def _work(self, draft: Draft, gate: StepGate) -> None:
        super()._work(_as(_HastyDraft, draft), gate)


class FreezesAtOnce(Owner):
    """Section 1.5: members are frozen before the audience is read to the time when the work was taken."""

    engine_type = _FreezesAtOnce


class _EverybodyActed(Audience):
    __slots__ = ()

    def apply(self, change: AudienceChange, offset: int) -> None:
        super().apply(msgspec.structs.replace(change, acted=True, offers=True), offset)


class ImportsTakeStopsBack(Owner):
    """Section 1.7: an import counts as an act of the person."""

    audience_type = _EverybodyActed


class _NobodyActed(Audience):
    __slots__ = ()

    def apply(self, change: AudienceChange, offset: int) -> None:
        super().apply(msgspec.structs.replace(change, acted=False), offset)


class StopsAreForEver(Owner):
    """Section 1.7: whoever joins again after a STOP is refused all the same."""

    audience_type = _NobodyActed


class _LatestActOnly(Audience):
    __slots__ = ()

    def returns(self, business: str, list_id: str, ordinal: int) -> Returns:
        members = self._lists.get((business, list_id))
        stamp = -1 if members is None else members.stamps.get(ordinal, -1)
        return super().returns(business, list_id, ordinal) if stamp & 3 in (1, 2) else Returns()


class ForgetsOlderActs(Owner):
    """Rule 2: an import after an opt-in makes it forgotten, so that the order of the log decides."""

    audience_type = _LatestActOnly


class _DrowsyAboutControls(_Drowsy):
    drowsy = topics.CONTROLS


class StaleControls(Owner):
    """The barrier: takes up words of control now and then, and believes that it knows them all."""

    stand_ins = ((tails, "Tail", _DrowsyAboutControls),)


class _AsksOnce(Engine):
    """Asks words of control at the decision, not at the frame."""

    def frame(self, now_ms: int, facts: Facts) -> Batch | None:
        return super().frame(now_ms, facts._replace(controls=Controls()))


class AsksControlsOnce(Owner):
    """Section 3.1: what was decided before a pause leaves after it."""

    engine_type = _AsksOnce


class _ParksNobody(HandOffs):
    __slots__ = ()

    def park_held(self, *_: Any) -> None:
        pass


class _AsksAgain(Engine):
    def frame(self, now_ms: int, facts: Facts) -> Batch | None:
        again = self._handoffs.ahead and self._handoffs._queue[0].maybe_sent
        return super().frame(now_ms, facts._replace(controls=Controls()) if again else facts)


class AsksAgainThoughHeld(Owner):
    """Section 3.1: asks the gateway again about what is held, and the gateway takes it for the first time."""

    engine_type = _AsksAgain

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine._handoffs.__class__ = _ParksNobody
        return engine


class _Revivable(Controls):
    __slots__ = ()

    def apply(self, word: ControlWord, offset: int) -> None:
        super().apply(word, offset)
        if word.action == ControlAction.RESUME:
            for register in self._registers.values():
                register.cancelled_ms = -1


class ResumesTheCancelled(Owner):
    """Section 3.1: a resume brings back what was cancelled."""

    stand_ins = ((tails, "Controls", _Revivable),)


class TakesLostForAccepted(Owner):
    """Rule 10: a lost answer counts as accepted."""

    def unanswered(self, engine: Engine, batch: Batch, **_how: bool) -> None:
        assert batch.frame is not None
        self.answered(engine, batch, FrameAnswer(self.world.now, tuple(() for _ in batch.frame.sections)))


class HearsTwice(Owner):
    """The life cycle: an answer of the gateway is written down twice."""

    def answered(self, engine: Engine, batch: Batch, answer: FrameAnswer) -> None:
        super().answered(engine, batch, answer)
        engine._answers += engine._answers[-1:]


MUTANTS: Final[Mapping[str, type[Owner]]] = {
    "row 6: ranks follow the list as it is now": FollowsTheList,
    "row 7: acts before the append": ActsFirst,
    "row 7: decided and unanswered is taken for done": ForgetsAnswers,
    "row 9: no adjacency check": NoAdjacency,
    "row 11: claims a floor without restating": NeverRestates,
    "row 16: consent by the order of the log": LogOrderConsent,
    "row 24: lives on after a clock jump": BelievesItsClock,
    "row 24: decides by a clock that is an hour off": DecidesByItsClock,
    "row 24: folds the time of a clock that is an hour ahead": TakesTimesAsTheyStand,
    "row 24: decisions go back in time": GoesBackInTime,
    "rule 3: an input is finished before it is taken over": CommitsEarly,
    "STOP barrier: a stale tail is believed fresh": StaleConsent,
    "STOP barrier: a view is as old as its answer": FreshByTheAnswer,
    "STOP barrier: a frame is built behind any view": FramesAnyView,
    "rule 14: frames leave unknown to the group": SendsThoughSilent,
    "section 1.5: decides for those who left": DecidesForLeavers,
    "section 1.5: frames for those who left": FramesForLeavers,
    "section 1.5: freezes before those who joined are read": FreezesAtOnce,
    "section 1.7: an import takes a STOP back": ImportsTakeStopsBack,
    "section 1.7: nothing takes a STOP back": StopsAreForEver,
    "section 1.7: an act is forgotten after an import": ForgetsOlderActs,
    "control barrier: a stale tail is believed fresh": StaleControls,
    "control: asked at the decision only": AsksControlsOnce,
    "control: what may be out is asked about though held": AsksAgainThoughHeld,
    "control: a resume revives what was cancelled": ResumesTheCancelled,
    "rule 10: a lost answer is taken for accepted": TakesLostForAccepted,
    "life cycle: an answer is written down twice": HearsTwice,
}
