"""Deliver as a step function: (state, inputs, now) -> (one append, one frame).

The shell appends what :meth:`Engine.step` returns, checks that it is still the owner, calls :meth:`Engine.acked`, and sends
what :meth:`Engine.frame` returns; one append and one frame are under way at a time. Nothing here knows Kafka, HTTP or a
clock, so the scheduler of ``tests/pure`` drives this very code through kills, pauses and several living owners.

Order of one message: taken -> *opened* and *decided* appended -> checked -> framed -> *answered* appended.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from broker.deliver.agenda import Agenda
from broker.deliver.answer import backoff_ms
from broker.deliver.decide import Facts, Rules, all_alike, decide
from broker.deliver.frame import Flight, flight_of, flights_again, frame_of, withhold
from broker.deliver.hearing import answers_to, members_of
from broker.deliver.item import Item
from broker.deliver.policy import DeliverPolicy
from broker.deliver.restate import restatement
from broker.deliver.state import Body, ShardState
from schemas.outcome import Answered, Decided, LimitsRestated, Members, Opened, Outcome, Restated, Trying
from schemas.planned import Origin, WorkItem
from schemas.reasons import Reason
from schemas.wire.frames import FrameAnswer
from schemas.wire.header import RECORD_LIMIT_BYTES, Kind

MAX_FLIGHTS = 2
"""Decided chunks that wait for the gateway before no more are decided."""

_TAKE_BYTES = RECORD_LIMIT_BYTES // 2
_POISON_CLAIMS = 3
_POISON_TRIES = 2


@dataclass(frozen=True, slots=True)
class Append:
    """What to append next. ``at_ms`` goes into the head."""

    kind: Kind
    at_ms: int
    body: Body
    taken: tuple[Origin, ...] = ()
    """Inputs that are finished once this is acknowledged."""


@dataclass(slots=True)
class _Draft:
    opened: list[Opened] = field(default_factory=list)
    members: list[Members] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    taken: list[Origin] = field(default_factory=list)
    room: int = 0
    frozen_bytes: int = 0


class Engine:
    """One shard of one lane under one epoch. Made anew for each ownership, from a folded state."""

    def __init__(
        self, policy: DeliverPolicy, state: ShardState, *, epoch: int, now_ms: int, claims_in_a_row: int = 0
    ) -> None:
        self.policy = policy
        self.state = state
        self.epoch = epoch
        self._now_ms = max(now_ms, state.last_ms)
        self._inbox: deque[Opened] = deque()
        self._agenda = Agenda()
        self._heard: list[Answered] = []
        self._flights: deque[Flight] = deque(flights_again(state, policy.chunk))
        self._flying: Flight | None = None
        self._claimed_ms = self._now_ms
        """When the journal was last claimed: what was said before is restated in the next round."""
        self.claim_due = False
        """A round of restating is complete: the owner is to claim again and to call :meth:`claimed`."""
        self._careful = claims_in_a_row >= _POISON_CLAIMS or bool(state.tries)
        self._tried: set[bytes] = set()
        for item in state.items.values():
            self._agenda.schedule(item, self._now_ms)

    # -- what comes in

    def take(self, item: WorkItem, origin: Origin, now_ms: int) -> None:
        """A work item arrived; its input is finished when an append that names its origin is acknowledged."""
        now = self._clock(now_ms)
        self.state.versions.see(item.terms)
        self._inbox.append(Opened(item, origin, now))

    def answered(self, flight: Flight, answer: FrameAnswer, now_ms: int) -> None:
        """The gateway answered the frame of ``flight``."""
        self._heard += answers_to(flight, answer, self._clock(now_ms))
        self._flying = None

    def throttled(self, flight: Flight, retry_after_ms: int, now_ms: int) -> None:
        """The gateway refused the frame as a whole before it looked at it."""
        flight.retry_ms = self._clock(now_ms) + max(retry_after_ms, 1)
        self._again(flight)

    def unknown(self, flight: Flight, now_ms: int, *, maybe_sent: bool = True) -> None:
        """No answer: the same names go again, for the gateway dedupes them."""
        flight.maybe_sent |= maybe_sent
        flight.tries += 1
        flight.retry_ms = self._clock(now_ms) + backoff_ms(flight.parts[0].request, 0, flight.tries) // 4
        self._again(flight)

    def _again(self, flight: Flight) -> None:
        self._flights.appendleft(flight)
        self._flying = None

    # -- what goes out

    def step(self, now_ms: int, facts: Facts) -> Append | None:
        """The next append, or None if there is nothing to say."""
        now = self._clock(now_ms)
        rules = self._rules(facts)
        again = self._restate(now)
        if again is not None:
            return again
        draft = _Draft(room=self.policy.chunk)
        self._agenda.wake(self.state.items, now)
        trying = self._untried()
        if trying is not None:
            return Append(Kind.TRYING, now, trying)
        may_decide = now - facts.suppressed_fresh_ms <= self.policy.fresh_ms and len(self._flights) < MAX_FLIGHTS
        self._open(draft, rules, now, may_decide=may_decide)
        if may_decide:
            self._work(draft, rules, now)
        heard, self._heard = tuple(self._heard), []
        if not (draft.opened or draft.members or draft.decided or heard or draft.taken):
            return None
        body = Outcome(tuple(draft.opened), tuple(draft.members), tuple(draft.decided), heard)
        return Append(Kind.OUTCOME, now, body, tuple(draft.taken))

    def acked(self, append: Append) -> tuple[Origin, ...]:
        """The append is in the log, valid and folded into the state: let its decisions fly. Returns the finished inputs."""
        match append.body:
            case Outcome() as body:
                flight = flight_of(body.decided)
                if flight is not None:
                    self._flights.append(flight)
                self._reschedule(body)
            case Trying() as trying:
                self._tried.add(trying.request)
            case Restated() | LimitsRestated():
                pass
        return append.taken

    def frame(self, now_ms: int, facts: Facts) -> Flight | None:
        """The next flight with its frame, to be sent now; None if one is in the air or nothing may go."""
        now = self._clock(now_ms)
        if self._flying is not None or now - facts.suppressed_fresh_ms > self.policy.fresh_ms:
            return None
        while self._flights and self._flights[0].retry_ms <= now:
            flight = self._flights.popleft()
            rules = self._rules(facts)
            self._heard += withhold(flight, self.state, rules, now)
            if flight.parts:
                flight.frame = frame_of(flight, self.state, rules, self.epoch)
                self._flying = flight
                return flight
        return None

    def claimed(self, now_ms: int) -> None:
        """The claim was repeated; everything open has been said since the one before."""
        self._claimed_ms, self.claim_due = self._clock(now_ms), False

    def wake_ms(self) -> int:
        """When something falls due without any input; the shell need not ask before."""
        times = [self._claimed_ms + self.policy.windows.fold_ms // 4]
        due_ms = self._agenda.next_ms()
        if due_ms is not None:
            times.append(due_ms)
        if self._flights:
            times.append(self._flights[0].retry_ms)
        if self._inbox or self._heard:
            times.append(0)
        return min(times)

    @property
    def full(self) -> bool:
        """Whether the shard holds as many open items as it should."""
        return len(self.state.items) + len(self._inbox) >= self.policy.max_open

    @property
    def backlog(self) -> int:
        """Items taken or open."""
        return len(self.state.items) + len(self._inbox)

    @property
    def unsaid(self) -> bool:
        """Whether a frame is in the air, or an answer was heard that the journal does not hold yet."""
        return self._flying is not None or bool(self._heard)

    # -- within a step

    def _clock(self, now_ms: int) -> int:
        self._now_ms = max(self._now_ms, now_ms)
        return self._now_ms

    def _rules(self, facts: Facts) -> Rules:
        return Rules(self.policy, facts, self.state.versions, self.state.stamps, Counter())

    def _restate(self, now: int) -> Append | None:
        if self.claim_due or now - self._claimed_ms < self.policy.windows.fold_ms // 4:
            return None
        body = restatement(self.state, self._claimed_ms, now)
        if body is not None:
            kind = Kind.OUTCOME_RESTATED if isinstance(body, Restated) else Kind.LIMITS_RESTATED
            return Append(kind, now, body)
        self.claim_due = True
        return None

    def _open(self, draft: _Draft, rules: Rules, now: int, *, may_decide: bool) -> None:
        weight, fresh = 0, set[bytes]()
        while self._inbox:
            opened = self._inbox[0]
            weight += _weight(opened.item)
            if draft.taken and weight > _TAKE_BYTES:
                return
            self._inbox.popleft()
            draft.taken.append(opened.origin)
            if self.state.knows(opened.item.request) or opened.item.request in fresh:
                continue
            fresh.add(opened.item.request)
            draft.opened.append(opened)
            if may_decide and self._decidable(opened.item, draft.room, now):
                item = Item(opened, now)
                draft.room -= item.pending
                draft.decided.append(decide(item, range(item.pending), rules, now))

    def _decidable(self, item: WorkItem, room: int, now: int) -> bool:
        """Whether an item may be opened and decided in one append: few explicit recipients, due now."""
        return item.rows is not None and len(item.rows) <= room and item.start_ms <= now and not self._careful

    def _untried(self) -> Trying | None:
        """Under suspicion of poison every item is announced before it is worked on, one an append."""
        item = self._agenda.first() if self._careful else None
        return None if item is None or item.request in self._tried else Trying(item.request)

    def _work(self, draft: _Draft, rules: Rules, now: int) -> None:
        for item, take in self._agenda.turns(draft.room, now):
            if not item.frozen:
                self._freeze(item, draft, rules, now)
                continue
            ranks = self._ranks(item, take, now)
            if not ranks:
                continue
            poison = self.state.tries[item.request] >= _POISON_TRIES
            draft.decided.append(
                all_alike(item, ranks, Reason.CRASHED_WORKER, rules) if poison else decide(item, ranks, rules, now)
            )
            if self._careful:
                break

    def _freeze(self, item: Item, draft: _Draft, rules: Rules, now: int) -> None:
        """Freeze who a list item's ranks are, and decide about them in the same append if they are few."""
        if rules.facts.audience_fresh_ms < item.opened.taken_ms or draft.frozen_bytes > _TAKE_BYTES:
            self._agenda.postpone(item)
            return
        members = members_of(item, rules.facts)
        draft.members.append(members)
        draft.frozen_bytes += len(members.ordinals)
        if 0 < members.count <= draft.room and not self._careful:
            draft.room -= members.count
            frozen = Item(item.opened, now)
            frozen.freeze(members)
            draft.decided.append(decide(frozen, range(members.count), rules, now))

    def _ranks(self, item: Item, take: int, now: int) -> Sequence[int]:
        due = sorted(rank for rank, at in item.dues.items() if at <= now or item.terms.expires_ms <= now)[:take]
        if len(due) == take:
            return due
        fresh = item.next_pending(take - len(due))
        return sorted(due + fresh) if due else fresh

    def _reschedule(self, body: Outcome) -> None:
        touched = dict.fromkeys(opened.item.request for opened in body.opened)
        touched |= dict.fromkeys(one.request for one in body.members)
        touched |= dict.fromkeys(one.request for one in body.decided)
        touched |= dict.fromkeys(one.request for one in body.answered)
        for request in touched:
            item = self.state.items.get(request)
            if item is not None:
                self._agenda.schedule(item, self._now_ms)


def _weight(item: WorkItem) -> int:
    """About how many bytes an opened item takes in a record."""
    own = 400 + sum(len(key) + len(text) for key, text in item.terms.params.items())
    if item.rows is None:
        return own
    each = sum(len(key) + len(text) for params in item.rows.params for key, text in params.items())
    return own + 60 * len(item.rows) + each
