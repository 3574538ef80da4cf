"""Planted bugs of pace and patience: owners that break one rule of PROTOCOL.md section 5 each."""

import dataclasses
from collections.abc import Mapping
from typing import Final

import msgspec

from broker.deliver.decide import Facts, Rules
from broker.deliver.engine import Engine
from broker.deliver.frame import Batch
from broker.deliver.gate import StepGate
from broker.deliver.gateway_answer import GatewayClock
from broker.deliver.handoffs import HandOffs
from broker.deliver.item import Item
from broker.deliver.limits.slots import Pace, Slots
from broker.deliver.state import Append, ShardState
from schemas.gateway_api import Code, FrameAnswer, Refused
from tests.pure.schedules.deliver.owner import Owner


class _SavingGate(StepGate):
    def left(self, sender: str, pace: Pace) -> int:
        return super().left(sender, pace) + 3 * pace.quantum


class _SharelessGate(StepGate):
    def pace(self, item: Item) -> Pace:
        return msgspec.structs.replace(super().pace(item), shards=1)


class _Saving(Engine):
    def _gate(self, rules: Rules, now: int) -> StepGate:
        return _as(_SavingGate, super()._gate(rules, now))


class _Shareless(Engine):
    def _gate(self, rules: Rules, now: int) -> StepGate:
        return _as(_SharelessGate, super()._gate(rules, now))


def _as(kind: type[StepGate], gate: StepGate) -> StepGate:
    """The same answers, but for what ``kind`` answers otherwise."""
    return kind(*(getattr(gate, field.name) for field in dataclasses.fields(gate)))


class SavesSlots(Owner):
    """5.2: what a slot did not use is saved for a later one."""

    engine_type = _Saving


class IgnoresPhase(Owner):
    """5.2: every slot is this shard's own."""

    engine_type = _Shareless


class _UncountedSlots(Slots):
    def spend(self, sender: str, slot_ms: int, count: int) -> None:
        """Count nothing: a slot is as large for every request as for the first."""


class SlotForEachRequest(Owner):
    """5.2: each request of a number has the whole slot."""

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine._slots = _UncountedSlots(engine.state.last_ms)
        return engine


class UsesSlotsOfTheOwnerBefore(Owner):
    """5.2: a new owner uses slots that began before it did."""

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine._slots = Slots(0)
        return engine


class _Unslotted(HandOffs):
    __slots__ = ()

    def park_late(self, batch: Batch, state: ShardState, gate: StepGate) -> None:
        """Let everything go that was ever decided."""


class LateFlightsGo(Owner):
    """5.2: what missed its slot leaves without another."""

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine._handoffs.__class__ = _Unslotted
        return engine


class _Deaf(GatewayClock):
    def note(self, sent_ms: int, gateway_ms: int, received_ms: int) -> bool:
        """Hear no time of the gateway's."""
        return sent_ms + gateway_ms + received_ms < 0


class StampsByItsOwnClock(Owner):
    """5.5: a stale frame is sent again as it was stamped before, whatever the gateway's clock says."""

    def engaged(self) -> Engine:
        engine = super().engaged()
        engine.gateway_clock = _Deaf()
        return engine


class _Answering(Owner):
    """An owner that hears the gateway's refusals otherwise."""

    def heard(self, refused: Refused) -> Refused:
        """What it makes of one."""
        raise NotImplementedError

    def answered(self, engine: Engine, batch: Batch, answer: FrameAnswer) -> None:
        sections = tuple(tuple(map(self.heard, section)) for section in answer.sections)
        super().answered(engine, batch, FrameAnswer(answer.at_ms, sections))


class ThrottlesEnd(_Answering):
    """5.5: a throttle ends a message."""

    def heard(self, refused: Refused) -> Refused:
        throttled = refused.code in {Code.SENDER_THROTTLED, Code.PAIR_THROTTLED}
        return msgspec.structs.replace(refused, code=Code.UNDELIVERABLE) if throttled else refused


class HearsNoRetryAfter(_Answering):
    """5.5: a throttled message comes again before the gateway said."""

    def heard(self, refused: Refused) -> Refused:
        return msgspec.structs.replace(refused, retry_after_ms=0)


class _Impatient(Engine):
    def step(self, now_ms: int, facts: Facts) -> Append | None:
        for item in self.state.items.values():
            if item.dues:
                item.dues = dict.fromkeys(item.dues, now_ms)
                self._scheduler.schedule(item, now_ms)
        return super().step(now_ms, facts)


class DecidesBeforeDue(Owner):
    """Row 11: what waits is decided at the next step."""

    engine_type = _Impatient


PACE_MUTANTS: Final[Mapping[str, type[Owner]]] = {
    "section 5.2: an unused slot is saved": SavesSlots,
    "section 5.2: slots of other shards are used": IgnoresPhase,
    "section 5.2: a slot for each request": SlotForEachRequest,
    "section 5.2: slots of the owner before are used": UsesSlotsOfTheOwnerBefore,
    "section 5.2: late flights leave without a slot": LateFlightsGo,
    "section 5.5: frames are stamped by the own clock": StampsByItsOwnClock,
    "section 5.5: a throttle ends a message": ThrottlesEnd,
    "section 5.5: Retry-After is not heard": HearsNoRetryAfter,
    "row 11: what waits is decided before it is due": DecidesBeforeDue,
}
