"""Planted bugs: owners of plan that break one rule of the protocol each."""

from collections.abc import Generator, Mapping
from typing import Final

import msgspec

from broker.plan.step import Answer, PlanInput, PlanStep, decide
from schemas.plan_journal import PlannedBatch
from schemas.wire.header import Header, Kind, pack
from tests.pure.schedules.plan.owner import PlanOwner
from tests.pure.schedules.runner import Steps


class JudgesAgain(PlanOwner):
    """Row 1: a redelivered event is judged anew."""

    def apply(self, header: Header, record: bytes) -> None:
        super().apply(header, record)
        self.state.names.clear()
        self.state.unfinished.clear()


class WritesFirst(PlanOwner):
    """Row 1: the work leaves before its verdict is in the log."""

    def judge(self, inputs: list[PlanInput]) -> Steps:
        step = self.decide(inputs)
        for log, record in self.records(step):
            yield from self.put(log, record)
        if step.journal:
            yield from self.append_record(pack(self.header(Kind.PLANNED, step.at_ms), PlannedBatch(step.journal)))
        taken = range(self.read_to, self.read_to + step.consumed)
        self.read_to = taken.stop
        self.done.update(taken)


class TakesRedeliveryForRepetition(PlanOwner):
    """Row 2: both look like "same id"."""

    def apply(self, header: Header, record: bytes) -> None:
        super().apply(header, record)
        self.state.unfinished.clear()
        for name, known in self.state.names.items():
            self.state.names[name] = msgspec.structs.replace(known, offset=-1, first=None)


class SilentAboutRepetitions(PlanOwner):
    """Row 2: a second publication is taken for a redelivery, and the business is told nothing."""

    def decide(self, inputs: list[PlanInput]) -> PlanStep:
        step = super().decide(inputs)
        said = tuple(one for one in step.direct if not (isinstance(one, Answer) and one.status.reason == "duplicate"))
        return msgspec.structs.replace(step, direct=said)


class NoAdjacency(PlanOwner):
    """Row 5: writes work for verdicts without looking at the gap before them."""

    def append_record(self, record: bytes) -> Generator[None, None, int]:
        return self.append_blindly(record)


class NeverRestates(PlanOwner):
    """Row 11: claims with a higher floor, and has not said again what it must still know."""

    def restate(self) -> Steps:
        now_ms = max(self.clock(), self.state.last_ms)
        if now_ms - self.claimed_ms >= self.world.policy.windows.idempotency_ms // 4:
            yield from self.repeat_claim()
            self.claimed_ms = now_ms


class ForgetsDebts(PlanOwner):
    """Row 8: what a sender has used up lives in memory alone."""

    def apply(self, header: Header, record: bytes) -> None:
        super().apply(header, record)
        if self.ownership is None:
            self.state.free.clear()


class CommitsEarly(PlanOwner):
    """Rule 3: commits what it has read, not what it has taken over."""

    def commit(self) -> None:
        self.done.update(range(self.read_to))
        super().commit()


class BelievesItsClock(PlanOwner):
    """Row 24: nobody ends a process whose clock has jumped."""

    watches_clock = False


class GoesBackInTime(PlanOwner):
    """Row 24: judges at the time of its own clock, and not after what was judged before."""

    def decide(self, inputs: list[PlanInput]) -> PlanStep:
        world, self.state.last_ms = self.world, 0
        return decide(inputs, self.state, world.registry, world.policy, self.clock())


MUTANTS: Final[Mapping[str, type[PlanOwner]]] = {
    "row 1: a redelivered event is judged again": JudgesAgain,
    "row 1: work is written before its verdict": WritesFirst,
    "row 2: a redelivery is taken for a repetition": TakesRedeliveryForRepetition,
    "row 2: a repetition is taken for a redelivery": SilentAboutRepetitions,
    "row 5: no adjacency check": NoAdjacency,
    "row 8: a new owner knows of no throughput used up": ForgetsDebts,
    "row 11: claims a floor without restating": NeverRestates,
    "row 24: lives on after a clock jump": BelievesItsClock,
    "row 24: verdicts go back in time": GoesBackInTime,
    "rule 3: commits before taking over": CommitsEarly,
}
