"""Deliver as a step function: (state, inputs, now) -> (one append, one frame).

The shell appends what :meth:`Engine.step` returns, checks that it is still the owner, calls :meth:`Engine.acked`, and sends
what :meth:`Engine.frame` returns; one append and one frame are under way at a time. Nothing here knows Kafka, HTTP or a
clock, so the scheduler of ``tests/pure`` drives this very code through kills, pauses and several living owners.

Order of one message: taken -> *opened* and *decided* appended -> checked -> framed -> *answered* appended.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator

from broker.claims import Claims
from broker.deliver.decide import Facts, Rules
from broker.deliver.draft import Draft, workable
from broker.deliver.frame import Batch, batch_of, frame_of, given_up, withhold
from broker.deliver.gate import HELD_BY_CONTROL, ControlWatch, StepGate, held_by, is_full
from broker.deliver.gateway_answer import AnswerContext, GatewayClock, answers_to
from broker.deliver.handoffs import HandOffs, recovered
from broker.deliver.item import Item
from broker.deliver.limits.limit import Unfolded
from broker.deliver.limits.slots import Slots
from broker.deliver.moves import legal
from broker.deliver.policy import DeliverPolicy
from broker.deliver.restating import Restating
from broker.deliver.scheduler import Scheduler, Turn, work_on
from broker.deliver.state import Append, ShardState, touched_by
from broker.deliver.suspects import SuspectError, Suspects
from broker.standing import Controls
from schemas.delivery_journal import (
    ItemPart,
    LimitsRestated,
    Opened,
    Outcome,
    Restated,
    Trying,
)
from schemas.gateway_api import FrameAnswer
from schemas.plan_journal import Origin, WorkItem
from schemas.wire.header import Kind

MAX_BATCHES = 2
"""Decided chunks that wait for the gateway before no more are decided."""


class Engine:
    """Runs one shard of one lane under one epoch. Made anew for each ownership, from a folded state."""

    def __init__(
        self,
        policy: DeliverPolicy,
        state: ShardState,
        *,
        epoch: int,
        now_ms: int,
        claims: Claims,
        claims_in_a_row: int = 0,
    ) -> None:
        self.policy = policy
        self.state = state
        self.epoch = epoch
        # A clock that is behind the journal would give limits and expiries back what they had taken (PROTOCOL.md row 24).
        self._now_ms = max(now_ms, state.last_ms)
        self._inbox: deque[Opened] = deque()
        self._scheduler = Scheduler(by_deadline=policy.lane.rules.by_deadline)
        batches, self._answers = recovered(state, policy)
        self._handoffs = HandOffs(batches)
        self._slots = Slots(self._now_ms)
        self._control = ControlWatch()
        self.gateway_clock = GatewayClock()
        self.restating = Restating(policy, state, claims)
        self._suspects = Suspects(state.tries, claims_in_a_row)
        self._parts: Iterator[ItemPart] = iter(())
        """Those of a list that is frozen by parts, to be appended next."""
        for item in state.items.values():
            self._scheduler.schedule(item, self._now_ms)

    # -- what comes in

    def take(self, item: WorkItem, origin: Origin, now_ms: int) -> None:
        """A work item arrived; its input is finished when an append that names its origin is acknowledged."""
        now = self._clock(now_ms)
        # From here on and not from its opening: what is decided meanwhile must not be an older version than this.
        self.state.versions.see(item.terms)
        self._inbox.append(Opened(item, origin, now))

    def answered(self, batch: Batch, answer: FrameAnswer, now_ms: int) -> None:
        """The gateway answered the frame of ``batch``."""
        now = self._clock(now_ms)
        learnt = self.gateway_clock.note(batch.sent_ms, answer.at_ms, now)
        outcome = answers_to(batch, answer, AnswerContext(now, self.policy.retry_ceiling_ms, learnt, self.policy.codes))
        self._unpark(batch)
        self._answers += outcome.answered + self._handoffs.answered(batch, outcome.unanswered, self.policy, now)

    def throttled(self, batch: Batch, retry_after_ms: int, now_ms: int) -> None:
        """The gateway refused the frame as a whole before it looked at it: it may mean one of several businesses.

        Then each is asked for by itself; who is refused again waits by itself, and holds back its own messages only.
        """
        now = self._clock(now_ms)
        self._unpark(batch)
        self._handoffs.throttled(batch, self.state, now + max(retry_after_ms, 1))

    def unknown(self, batch: Batch, now_ms: int, *, maybe_sent: bool = True) -> None:
        """No answer: the same names go again, or are in doubt where neither gateway nor lane allows it."""
        now = self._clock(now_ms)
        self._unpark(batch)
        batch.maybe_sent |= maybe_sent
        self._answers += self._handoffs.unanswered(batch, self.policy, now)

    def _unpark(self, batch: Batch) -> None:
        waited_for = self._handoffs.unpark(batch)
        if waited_for is not None:
            self._scheduler.release(waited_for, self._now_ms)

    # -- what goes out

    def step(self, now_ms: int, facts: Facts) -> Append | None:
        """The next append, or None if there is nothing to say. Raises :class:`broker.deliver.moves.IllegalMoveError`.

        If work on a request raises, the append says so, and its acknowledgement raises it again (``suspects.py``).
        """
        now = self._clock(now_ms)
        try:
            return self._blamed(now) or self._step(now, facts)
        except SuspectError as suspect:
            self._suspects.note(suspect)
            return self._blamed(now)

    def _blamed(self, now: int) -> Append | None:
        blamed = self._suspects.unsaid
        return None if blamed is None else Append(Kind.TRYING, now, blamed)

    def _step(self, now: int, facts: Facts) -> Append | None:
        rules = self._rules(facts)
        # Nothing is said between the parts of an item, and nobody decides about it before the last one.
        if (part := self._part(now)) is not None:
            return part
        # Before anything else: a round that never ended would raise no floor, and folds would reach ever further back.
        again = self.restating.next(now, facts.uncommitted_ms)
        if again is not None:
            self._clock(again.at_ms)
            return again
        self._scheduler.wake(self.state.items, now)
        self._obey(facts.controls, now)
        gate = self._gate(rules, now)
        # Asked once a step. A view that is too old to decide on still lets answers be said and work be taken over.
        may_decide = now - facts.suppressed_fresh_ms <= self.policy.fresh_ms and self._handoffs.ahead < MAX_BATCHES
        # Only what is worked on at once is announced: two owners that are killed while it waits would end it for a crasher.
        trying = self._untried(gate, facts) if may_decide else None
        if trying is not None:
            return Append(Kind.TRYING, now, trying)
        draft = Draft(rules, now, self.policy.chunk)
        # Taken over in any case, also when nothing may be decided: from then on no input offset is held back.
        draft.open(self._inbox, self.state, self._at_once(gate, may_decide=may_decide))
        if may_decide:
            self._work(draft, gate)
        self._parts = draft.parts or self._parts
        answered, held = draft.fitting(self._answers, self._control.due(self.state, facts.controls))
        self._answers = self._answers[len(answered) :]
        body = legal(self.state.items, draft.body(answered, held))
        return self._part(now) if body is None else Append(Kind.OUTCOME, now, body, tuple(draft.taken), draft.given_up)

    def _part(self, now: int) -> Append | None:
        part = next(self._parts, None)
        return None if part is None else Append(Kind.ITEM_PART, now, part)

    def acked(self, append: Append) -> tuple[Origin, ...]:
        """The append is in the log, valid and folded into the state: let its decisions fly. Returns the finished inputs.

        Raises what work on a request had raised, if it says so.
        """
        match append.body:
            case Outcome() as body:
                # Made from the record and not from the draft: what flies is what the journal says.
                batch = batch_of(body.decided, append.at_ms)
                if batch is not None:
                    self._handoffs.add(batch)
                self._reschedule(touched_by(body))
                self._control.opened(opened.item.request for opened in body.opened)
                self._let_go(section.request for section in body.held if not section.held)
            case Trying() as trying:
                self._suspects.said(trying)
            case ItemPart() as part:
                self._reschedule([part.opened.item.request])
            case Restated() | LimitsRestated():
                pass
        return append.taken

    def frame(self, now_ms: int, facts: Facts) -> Batch | None:
        """The next batch with its frame, to be sent now; None if one is in the air or nothing may go."""
        now = self._clock(now_ms)
        # Two frames of a shard at once could overtake each other, and with them the versions of a fact.
        if self._handoffs.in_flight is not None or now - facts.suppressed_fresh_ms > self.policy.fresh_ms:
            return None
        try:
            return self._frame(now, self._rules(facts))
        except SuspectError as suspect:
            self._suspects.note(suspect)
            return None

    def _frame(self, now: int, rules: Rules) -> Batch | None:
        while (batch := self._handoffs.take(now)) is not None:
            self._answers += given_up(batch, self._suspects)
            # What is held and may be out goes first: withheld it would be in doubt. Slots last: only who may leave needs one.
            self._handoffs.park_held(batch, self.state, rules, now)
            self._answers += withhold(batch, self.state, rules, now)
            self._handoffs.park_late(batch, self.state, self._gate(rules, now))
            if batch.parts:
                batch.frame = frame_of(batch, self.state, rules, self.epoch, self.gateway_clock.ahead_ms)
                batch.sent_ms = now
                self._handoffs.in_flight = batch
                return batch
            self._unpark(batch)
        return None

    def bound(self) -> list[int]:
        """The offset of a word of control for each request that it has stopped here since the last call."""
        return self._control.bound(self._handoffs.in_flight)

    def wake_ms(self) -> int:
        """When something falls due without any input; the shell need not ask before."""
        if self._inbox or self._answers or self._control.pending or self._suspects.unsaid is not None:
            return 0
        times = (self.restating.due_ms(self._now_ms), self._scheduler.next_ms(), self._handoffs.next_ms())
        return min(time_ms for time_ms in times if time_ms is not None)

    @property
    def full(self) -> bool:
        """Returns whether the shard takes no more: what is not to be decided now does not count, up to a limit of its own."""
        return is_full(self.backlog, self._scheduler.asleep, self.policy.max_open)

    @property
    def backlog(self) -> int:
        """Items taken or open."""
        return len(self.state.items) + len(self._inbox)

    @property
    def unsaid(self) -> bool:
        """Returns whether a frame is in the air, or an answer was heard that the journal does not hold yet."""
        return self._handoffs.in_flight is not None or bool(self._answers)

    # -- within a step

    def _let_go(self, requests: Iterable[bytes]) -> None:
        """Look again at what words of control held of these requests."""
        for request in requests:
            self._scheduler.release(held_by(request), self._now_ms)
            self._handoffs.recall(held_by(request))

    def _obey(self, controls: Controls, now: int) -> None:
        """Take up what words of control have changed: what was cancelled is due, what was held is looked at again."""
        news = self._control.look(self.state, controls)
        if news is None:
            return
        self._handoffs.recall(HELD_BY_CONTROL)
        self._let_go((*news.freed, *(item.request for item in news.cancelled)))
        for item in news.cancelled:
            self._scheduler.schedule(item, now)

    def _clock(self, now_ms: int) -> int:
        self._now_ms = max(self._now_ms, now_ms)
        return self._now_ms

    def _rules(self, facts: Facts) -> Rules:
        return Rules(self.policy, facts, self.state.versions, self.state.limits, defaultdict(Unfolded), self._suspects)

    def _gate(self, rules: Rules, now: int) -> StepGate:
        return StepGate(rules, self._slots, self._handoffs.waits, now)

    def _at_once(self, gate: StepGate, *, may_decide: bool) -> Callable[[Item], bool]:
        return lambda item: may_decide and not self._scheduler.waits_for_slots(item) and gate.held(item) is None

    def _untried(self, gate: StepGate, facts: Facts) -> Trying | None:
        """Under suspicion of poison every item is announced before it is worked on, one an append."""
        item = self._scheduler.first(gate.now_ms, gate) if self._suspects.careful else None
        return self._suspects.announce(work_on(item)) if item is not None and workable(item, facts) else None

    def _work(self, draft: Draft, gate: StepGate) -> None:
        for turn in self._scheduler.turns(draft.ranks_left, gate.now_ms, gate, alone=self._suspects.careful):
            with self._suspects.blaming(turn.work):
                self._turn(draft, gate, turn)

    def _turn(self, draft: Draft, gate: StepGate, turn: Turn) -> None:
        if self._suspects.ended(turn.work):
            draft.give_up(turn)
        elif not turn.item.frozen:
            if not draft.freeze(turn.item, paused=gate.paused(turn.item)):
                self._scheduler.postpone(turn.item)
        else:
            draft.decide(turn)
            if turn.sent and turn.slot_ms:
                gate.slots.spend(turn.item.terms.sender, turn.slot_ms, turn.sent)

    def _reschedule(self, requests: Iterable[bytes]) -> None:
        for request in requests:
            if (item := self.state.items.get(request)) is None:
                self._scheduler.drop(request)
            else:
                self._scheduler.schedule(item, self._now_ms)
