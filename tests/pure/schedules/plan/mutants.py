"""Planted bugs: shells of plan that break one rule of the protocol each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from broker.claims import Claims
from broker.plan import step
from broker.plan.backlog import Backlog
from broker.plan.decode import PlanInput
from broker.plan.outputs import Answer
from broker.plan.state import PlanState
from broker.plan.step import PlanStep
from schemas.wire.header import Header, Kind
from streams.kafka import journal
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.journal import Journal
from streams.kafka.journal_terms import JournalTerms
from streams.kafka.producer import Outgoing
from streams.kafka.reader import LogRecord
from streams.worker import plan
from streams.worker.breaker import Judge, Judged
from streams.worker.plan import PlanShard
from tests.pure.schedules.plan.owner import PlanOwner
from tests.pure.schedules.shells.journal_mutants import OWN_TIME, NoAdjacencyJournal
from tests.support import memory_kafka


class _JudgesAgain(PlanShard):
    def apply(self, record: LogRecord, header: Header) -> None:
        super().apply(record, header)
        self.state.names.clear()
        self.state.unfinished.clear()


class JudgesAgain(PlanOwner):
    """Row 1: a redelivered event is judged anew."""

    shard_type = _JudgesAgain


class _WritesFirst(PlanShard):
    async def _append(self, kind: Kind, at_ms: int, entries: Any) -> None:
        if kind is Kind.PLANNED:
            inputs = [plan._input(record) for record in self._inbox][:8]
            judged = self._judge.judge(self.state, inputs, self._parts.time.now_ms())
            if judged.others:
                await self._parts.outputs.confirm(judged.others)
        await super()._append(kind, at_ms, entries)


class WritesFirst(PlanOwner):
    """Row 1: the work leaves before its verdict is in the log."""

    shard_type = _WritesFirst


class _TakesRedeliveryForRepetition(PlanShard):
    def apply(self, record: LogRecord, header: Header) -> None:
        super().apply(record, header)
        self.state.unfinished.clear()
        for name, known in self.state.names.items():
            self.state.names[name] = msgspec.structs.replace(known, offset=-1, first=None)


class TakesRedeliveryForRepetition(PlanOwner):
    """Row 2: both look like "same id"."""

    shard_type = _TakesRedeliveryForRepetition


class _Silent(Judge):
    def _followed(self, step: PlanStep) -> Judged:
        said = tuple(one for one in step.direct if not (isinstance(one, Answer) and one.status.reason == "duplicate"))
        return super()._followed(msgspec.structs.replace(step, direct=said))


class SilentAboutRepetitions(PlanOwner):
    """Row 2: a second publication is taken for a redelivery, and the business is told nothing."""

    stand_ins = ((plan, "Judge", _Silent),)


class NoAdjacency(PlanOwner):
    """Row 5: writes work for verdicts without looking at the gap before them."""

    stand_ins = ((plan, "Journal", NoAdjacencyJournal),)


class AsksNobody(PlanOwner):
    """Row 5: serves once it has claimed, whether the group still knows it or not."""

    def assigned(self, terms: JournalTerms) -> None:
        super().assigned(msgspec.structs.replace(terms, known=memory_kafka.known))


class _ClaimsOnly(PlanShard):
    async def _restate(self) -> None:
        now_ms = max(self._parts.time.now_ms(), self.state.last_ms)
        due = self.journal.claims.due(now_ms, self.policy.windows.idempotency_ms // 4)
        if due is not None:
            await self.journal.repeat_claim(due.floor)


class NeverRestates(PlanOwner):
    """Row 11: claims with a higher floor, and has not said again what it must still know."""

    shard_type = _ClaimsOnly


class _NoRounds(PlanShard):
    async def _restate(self) -> None:
        """Never."""


class NeverBegins(PlanOwner):
    """Row 11: no round of restating, so no floor ever rises."""

    shard_type = _NoRounds


class _ByOwnClaim(Claims):
    def due_ms(self, now_ms: int, quarter_ms: int) -> int:
        return self._ms[-1] + quarter_ms if self._ms else super().due_ms(now_ms, quarter_ms)


class _FloorsByOwnClaim(Journal):
    async def _first_offset(self) -> int:
        offset = await super()._first_offset()
        if not isinstance(self.claims, _ByOwnClaim):
            self.claims = _ByOwnClaim(self.claims.floor)
        return offset


class FloorsByOwnClaim(PlanOwner):
    """Section 1.2, 5: a round is due by the age of one's own claim, so owners that live for less raise no floor."""

    stand_ins = ((plan, "Journal", _FloorsByOwnClaim),)


class _ForgetsDebts(PlanShard):
    def apply(self, record: LogRecord, header: Header) -> None:
        super().apply(record, header)
        if self.journal._ownership is None:
            self.state.free.clear()


class ForgetsDebts(PlanOwner):
    """Row 8: what a sender has used up lives in memory alone."""

    shard_type = _ForgetsDebts


class _NoQuota(Backlog):
    def refusal(self, count: int, now_ms: int) -> None:  # noqa: ARG002 - asks for nothing
        return None


class TakesWhateverBegins(PlanOwner):
    """Section 3.2: whatever begins before it expires is accepted, however much of the business waits already."""

    stand_ins = ((step, "Backlog", _NoQuota),)


class _CommitsEarly(PlanShard):
    async def _confirm(self, records: Sequence[Outgoing], taken: Sequence[Delivered]) -> None:
        for record in taken:
            self._done(record)
        await super()._confirm(records, taken)


class CommitsEarly(PlanOwner):
    """Rule 3: an input is finished before its work is acknowledged."""

    shard_type = _CommitsEarly


class FoldsWithoutBodies(PlanOwner):
    """Row 1: takes all that was published for finished, so a fold leaves nothing to carry out."""

    def finished(self) -> int:
        return self.world.requests.end


class _Hasty(Judge):
    def _followed(self, step: PlanStep) -> Judged:
        judged = super()._followed(step)
        return Judged(step, [], judged.before + judged.others)


class OptInsWithTheRest(PlanOwner):
    """Section 1.5: later work does not wait until who opted in before it is on the list."""

    stand_ins = ((plan, "Judge", _Hasty),)


class BelievesItsClock(PlanOwner):
    """Row 24: nobody ends a process whose clock has jumped."""

    watches_clock = False


class DecidesByItsClock(PlanOwner):
    """Row 24: was started an hour ahead, and judges by that."""

    stand_ins = (OWN_TIME,)


class TakesTimesAsTheyStand(PlanOwner):
    """Row 24: the claim of a process that was started an hour ahead says what time it is."""

    stand_ins = ((journal, "dated", lambda header, *_: header),)


class _NoMemoryOfTime(Judge):
    def judge(self, state: PlanState, inputs: Sequence[PlanInput], now_ms: int) -> Judged:
        state.last_ms = 0
        return super().judge(state, inputs, now_ms)


class GoesBackInTime(PlanOwner):
    """Row 24: judges at the time of its own clock, and not after what was judged before."""

    stand_ins = ((plan, "Judge", _NoMemoryOfTime),)


MUTANTS: Final[Mapping[str, type[PlanOwner]]] = {
    "row 1: a redelivered event is judged again": JudgesAgain,
    "row 1: work is written before its verdict": WritesFirst,
    "row 1: a fold keeps no body of what is not committed": FoldsWithoutBodies,
    "row 2: a redelivery is taken for a repetition": TakesRedeliveryForRepetition,
    "row 2: a repetition is taken for a redelivery": SilentAboutRepetitions,
    "row 5: no adjacency check": NoAdjacency,
    "row 5: serves without asking the group once more": AsksNobody,
    "row 8: a new owner knows of no throughput used up": ForgetsDebts,
    "row 11: claims a floor without restating": NeverRestates,
    "row 11: never restates": NeverBegins,
    "row 24: lives on after a clock jump": BelievesItsClock,
    "row 24: judges by a clock that is an hour off": DecidesByItsClock,
    "row 24: folds the time of a clock that is an hour ahead": TakesTimesAsTheyStand,
    "row 24: verdicts go back in time": GoesBackInTime,
    "section 3.2: a business may have any number waiting": TakesWhateverBegins,
    "section 1.2, 5: floors rise by the age of the last claim": FloorsByOwnClaim,
    "rule 3: an input is finished before its work is written": CommitsEarly,
    "section 1.5: work does not wait for opt-ins": OptInsWithTheRest,
}
