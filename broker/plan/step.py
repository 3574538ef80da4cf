"""Decides a batch of ``requests.<lane>``: journal entries to append, and outputs to publish once they are durable.

The shell does, for one partition, one step at a time:

1. ``step = decide(records, state, …)``; ``step.consumed`` of the records were taken.
2. If ``step.journal``: append it as one ``PLANNED`` record with ``at_ms = step.at_ms``, check adjacency, apply it to the
   state inside the acknowledgement. *Only then* may the next step be decided: a step does not see what is not applied.
3. Write :func:`~broker.plan.outputs.outputs` of every entry of ``step.journal`` and of ``step.again``, and ``step.direct``.
4. When all of that is acknowledged, the consumed records are done.

Nothing here changes the state; time is an argument.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias, assert_never

import msgspec

from broker.audience.sizes import NO_SIZES, ListSizes
from broker.heartbeat import is_heartbeat
from broker.plan.authorize import Authority, Authorized, Refused, Rejected, authorize
from broker.plan.backlog import Backlog, Owed
from broker.plan.decode import Malformed, Misrouted, Named, PlanInput, decode, origin_header
from broker.plan.outputs import Direct, Rerouted, dead_letter, refused_answer, repeated_answer, taken_answer
from broker.plan.parties import Registered
from broker.plan.policy import BODY_LIMIT_BYTES, PlanPolicy
from broker.plan.seen import Conflicting, Redelivered, Repeated, conflicting, seen
from broker.plan.state import Known, PlanState
from broker.plan.validate import name_asked, validate
from broker.plan.verdict import Debt, Taken, judge, refuse, refused
from broker.registry.fold import Registry, share_of
from schemas.plan_journal import Planned
from schemas.reasons import Reason, Refusal
from schemas.registry import Business

MAX_PEOPLE: Final = 4_096
"""Recipients and members that one step takes: about 60 ms of work, so that the loop answers in between."""

Verdict: TypeAlias = Planned | Taken | Redelivered | Repeated | Conflicting | Malformed | Misrouted | Refused
_encoder: Final = msgspec.msgpack.Encoder()


class PlanStep(msgspec.Struct, frozen=True):
    """Holds the result of one step: journal entries to append, records to route again, and answers that need no journal."""

    consumed: int
    at_ms: int
    """Time of the decisions, ms since the epoch."""
    journal: tuple[Planned, ...]
    """New verdicts: one ``PLANNED`` record, below the record limit; empty if there is none."""
    again: tuple[Planned, ...]
    """Verdicts of redelivered inputs: their outputs go out again, nothing is appended."""
    direct: tuple[Direct, ...]
    """Outputs that are joins, or pure functions of the input's bytes: repeated without harm."""


def decide(
    records: Sequence[PlanInput],
    state: PlanState,
    registry: Registry,
    policy: PlanPolicy,
    now_ms: int,
    *,
    sizes: ListSizes = NO_SIZES,
) -> PlanStep:
    """Decide as many records as one journal record holds, in order; at least the first. ``sizes``: how large lists are."""
    batch = _Batch(state, Registered(registry, policy.lane), policy, sizes, now_ms)
    for record in records:
        if batch.people >= MAX_PEOPLE or not batch.add(record, batch.verdict(record)):
            break
    return batch.step()


class _Batch:
    """Decides record after record, and collects what is appended, what goes out again, and what is only said.

    The state stays as it is until the batch is acknowledged; what the batch has decided itself lies over it.
    """

    def __init__(
        self, state: PlanState, registered: Registered, policy: PlanPolicy, sizes: ListSizes, now_ms: int
    ) -> None:
        self._state = state
        self._registered = registered
        self._policy = policy
        self._sizes = sizes
        self._now_ms = max(now_ms, state.last_ms)
        """Ms since the epoch; decisions never go back before the journal."""
        self._accepted: dict[bytes, Planned] = {}
        """By name."""
        self._debts: dict[str, Debt] = {}
        """By sender."""
        self._consumed = 0
        self._journal: list[Planned] = []
        self._again: list[Planned] = []
        self._direct: list[Direct] = []
        self._size = 0
        self.people = 0

    def verdict(self, record: PlanInput) -> Verdict:
        """Return what becomes of one record: the order of the files of this folder, and where each sends it out of the way."""
        state, policy, now_ms = self._state, self._policy, self._now_ms
        event = decode(record, policy)
        if isinstance(event, Misrouted):
            return event
        content = event if isinstance(event, Malformed) else validate(event, policy)
        # Copies in one batch are told apart, although nothing of the batch is in the journal yet.
        name = name_asked(content)
        here = self._accepted.get(name)
        known = state.known(name, now_ms) if here is None else Known.of(here, now_ms)
        if isinstance(content, Malformed):
            return conflicting(content, record.origin, known) or content
        before = seen(content, record.origin, state.decided_from(record.origin.offset), known)
        if isinstance(before, Redelivered | Repeated | Conflicting):
            return before
        found = self._registered.look_up(content)
        sender = found.sender
        authorized = authorize(content, found, known, policy, now_ms)
        if isinstance(authorized, Refused):
            return authorized
        if isinstance(authorized, Rejected):
            return refuse(authorized, record.origin, policy, now_ms)
        if (full := self._full(authorized, found.business)) is not None:
            return refuse(full, record.origin, policy, now_ms)
        return judge(authorized, record, self._debt(sender), policy, sizes=self._sizes, now_ms=now_ms)

    def _full(self, authorized: Authorized, business: Business | None) -> Rejected | None:
        """Refuse a request to people by number of a business that has as much waiting as it may."""
        if not isinstance(authorized, Authority) or business is None or not self._policy.limits:
            return None
        people = len(authorized.request.people)
        refusal = self._backlog(business).refusal(people, self._now_ms) if people else None
        return None if refusal is None else Rejected(authorized.request, refusal)

    def _backlog(self, business: Business) -> Backlog:
        """Return what waits of a business, by the journal and by what this batch has decided."""
        registry, lane = self._registered.registry, self._policy.lane
        debts = ((number, self._debt(number).free_us) for number in registry.senders_of(business.id))
        owed = [
            Owed(free_us, share_of(registry.senders[number], lane))
            for number, free_us in debts
            if free_us > self._now_ms * 1000
        ]
        return Backlog(business.backlog, owed)

    def _debt(self, sender: str) -> Debt:
        return self._debts.get(sender) or Debt.of(self._state, sender)

    def step(self) -> PlanStep:
        """Return all of it."""
        journal, again, direct = tuple(self._journal), tuple(self._again), tuple(self._direct)
        return PlanStep(self._consumed, self._now_ms, journal, again, direct)

    def add(self, record: PlanInput, verdict: Verdict) -> bool:
        """Take over what becomes of a record; False if its entry belongs to the next step."""
        match verdict:
            case Planned():
                if not self._append(verdict):
                    return False
            case Redelivered(entry=entry):
                self._again += [] if entry is None else [entry]
            case Misrouted():
                headers = (*record.headers, origin_header(record.origin))
                self._direct.append(
                    Rerouted(verdict.partition, verdict.business.encode(), record.value or b"", headers)
                )
            case _:
                self._say(record, verdict)
        self._consumed += 1
        return True

    def _append(self, entry: Planned) -> bool:
        size = len(_encoder.encode(entry))
        if size > BODY_LIMIT_BYTES:
            entry = refused(entry, Refusal(Reason.TOO_LARGE, "The request is too large: split it."))
            size = len(_encoder.encode(entry))
        if self._size + size > BODY_LIMIT_BYTES:
            return False
        self._journal.append(entry)
        self._size += size
        self.people += 0 if entry.rows is None else len(entry.rows)
        self._note(entry)
        return True

    def _note(self, entry: Planned) -> None:
        """Lay an entry that is going to be appended over the state."""
        if entry.verdict == 0:
            self._accepted[entry.name] = entry
        if entry.terms is not None and (entry.free_us or entry.through_ms):
            sender = entry.terms.sender
            debt = self._debt(sender)
            self._debts[sender] = Debt(entry.free_us or debt.free_us, entry.through_ms or debt.through_ms)

    def _say(self, record: PlanInput, verdict: Taken | Repeated | Conflicting | Malformed | Refused) -> None:
        """Add an answer that needs no entry, and the records that go with it."""
        offset, now_ms = record.origin.offset, self._now_ms
        match verdict:
            case Taken():
                self.people += verdict.people
                self._direct += verdict.records
                self._direct.append(taken_answer(verdict.named, offset, now_ms=now_ms, counts=verdict.counts))
            case Repeated(named=named, accepted_ms=accepted_ms):
                if self._is_told(named.business):
                    self._direct.append(repeated_answer(named, offset, now_ms=now_ms, accepted_ms=accepted_ms))
            case Conflicting() | Malformed() | Refused():
                self._refuse(record, verdict.refusal, verdict.named)
            case _:
                assert_never(verdict)

    def _refuse(self, record: PlanInput, refusal: Refusal, named: Named | None) -> None:
        """Say a refusal that is not appended: to the business if it has a status topic, else to the dead letters."""
        now_ms = self._now_ms
        if named is not None and self._is_told(named.business):
            self._direct.append(refused_answer(named, refusal, record.origin.offset, now_ms))
            return
        business = "" if named is None else named.business
        self._direct.append(dead_letter(record, refusal, policy=self._policy, now_ms=now_ms, business=business))

    def _is_told(self, business: str) -> bool:
        return business in self._registered.registry.businesses and not is_heartbeat(business)


# A record on which plan's own code raises: set aside, for it would end every owner of its partition in the same place.
#
# A refusal is a value; an exception is a defect of ours that the record has brought out. Nobody can be told about it, because
# nothing is known of what the record says.


def may_be_set_aside(state: PlanState, given: PlanInput) -> bool:
    """Return whether nothing was decided from this input: what was accepted is never dropped."""
    return state.decided_from(given.origin.offset) is None


def set_aside(given: PlanInput, error: str, *, state: PlanState, policy: PlanPolicy, now_ms: int) -> PlanStep:
    """Return the step that takes one input and makes a dead letter of it; ``error`` is the exception's class and nothing else."""
    refusal = Refusal(
        Reason.POISON,
        f"Judging it alone raised {error}: a defect of Fanfare. Report it; publish the event again when that is mended.",
    )
    at_ms = max(now_ms, state.last_ms)
    letter = dead_letter(given, refusal, policy=policy, now_ms=at_ms)
    return PlanStep(1, at_ms, (), (), (letter,))
