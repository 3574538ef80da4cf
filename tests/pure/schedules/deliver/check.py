"""What must hold at the end of every schedule: the book, the world and the promises agree."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from pyroaring import BitMap

from broker.audience.consent import NEVER, Consent
from broker.audience.members import Audience
from broker.audit.prohibitions import cancelled, forbidden_between
from broker.journal import Fold, dated
from broker.kafka_clock import AHEAD_MS
from schemas.delivery_journal import Decided, Held, Members, Outcome
from schemas.lanes import Category
from schemas.plan_journal import Work, WorkItem
from schemas.reasons import Reason, State, word_of
from schemas.wire.columns import cells, of_u32s, ranks_of, values_of
from schemas.wire.header import Kind, body_of
from tests.pure.schedules.deliver.gateway import Accepted
from tests.pure.schedules.deliver.offer_cap import MOST, SPAN_MS
from tests.pure.schedules.deliver.pace_check import pace_violations
from tests.pure.schedules.deliver.people import Lists
from tests.pure.schedules.deliver.world import PAIRS, DeliverWorld, change_in, outcome_in
from tests.pure.schedules.log import Stamped

STOP_BOUND_MS = 100
"""And the frame's own span on top (``not_after``)."""
SKEW_MS = 1_000
"""More than small errors of clocks add up to within one schedule."""

_UNASKED = frozenset(
    {Reason.NOT_OPTED_IN, Reason.STOPPED, Reason.STOPPED_ALL, Reason.BLOCKED, Reason.RECIPIENT_OPTED_OUT}
)

Key = tuple[bytes, int]


class Book:
    """The journal as an outsider reads it: every valid status of every message, in order."""

    def __init__(self, world: DeliverWorld) -> None:
        self.history: dict[Key, list[int]] = defaultdict(list)
        self.opened: Counter[bytes] = Counter()
        self.items = {item.request: item for item in world.items}
        self.people: dict[bytes, list[bytes]] = {}
        """Who the ranks of a request are."""
        self.sent: dict[tuple[str, bytes], list[int]] = defaultdict(list)
        """When hand-offs to one person were decided, by sender."""
        self.offers: dict[bytes, list[int]] = defaultdict(list)
        """When offers to one person were first decided to be sent."""
        self.expired: list[tuple[bytes, int]] = []
        """Requests of which a rank was given up as expired, and when that was appended."""
        self.held: dict[bytes, Held] = {}
        """What the journal says of pauses so far."""
        self.sent_while_held = 0
        """Messages decided to be sent while the journal said that their request was held."""
        self.valid: set[int] = set()
        """Offsets of valid records."""
        self.backwards = 0
        """Valid records that are said to be older than the one before."""
        self.ahead_ms = 0
        """How far the time of a decision was ahead of Kafka's time of its record."""
        self.wrong: list[str] = []
        """Decisions, and freezes, that the facts which they name do not bear out."""
        self.lists = Lists(world.audience)
        self._lane = world.policy.lane
        self._suppressions = [entry for _, entry in world.stops]
        """One a record, so that their places are offsets."""
        self._asked_ms = _asked_ms(world)
        self._joined_ms = [one.at_ms for one in world.audience.whole]
        self._ordinals = _people_of(world.audience.whole)
        fold, last_ms = Fold(), 0
        for offset, at_ms, record in world.journal.whole:
            header = fold.admit(record)
            if header is None:
                continue
            self.valid.add(offset)
            if header.kind is Kind.CLAIM:
                continue
            self.ahead_ms = max(self.ahead_ms, header.at_ms - at_ms)
            header = dated(header, at_ms, last_ms)
            self.backwards += header.at_ms < last_ms
            last_ms = max(last_ms, header.at_ms)
            body = outcome_in(record)
            if isinstance(body, Outcome):
                self._outcome(body, header.at_ms, at_ms)

    def _outcome(self, body: Outcome, said_ms: int, at_ms: int) -> None:
        for opened in body.opened:
            item = opened.item
            self.opened[item.request] += 1
            if item.rows is not None:
                self.people.setdefault(item.request, cells(item.rows.recipients, 16))
        for members in body.members:
            people = [self._ordinals[ordinal] for ordinal in BitMap.deserialize(members.ordinals)]
            if self.people.setdefault(members.request, people) is not people:
                self.wrong.append("members were frozen twice")
            self._frozen(members, people)
        for decided in body.decided:
            self._decided(decided, said_ms, at_ms)
        for answered in body.answered:
            said = dict(zip(of_u32s(answered.except_ranks), answered.except_statuses, strict=True))
            for rank in ranks_of(answered.ranks):
                self.history[answered.request, rank].append(said.get(rank, State.ACCEPTED))
        for held in body.held:
            if held.upto >= self.held.get(held.request, held).upto:
                self.held[held.request] = held

    def _decided(self, decided: Decided, said_ms: int, at_ms: int) -> None:
        terms = self.items[decided.request].terms
        for rank, status in zip(ranks_of(decided.ranks), values_of(decided.statuses), strict=True):
            history, person = self.history[decided.request, rank], self.people[decided.request][rank]
            first = State.SENDING not in history
            history.append(status)
            if status == State.SENDING:
                held = self.held.get(decided.request)
                self.sent_while_held += held is not None and held.held
                self.sent[terms.sender, person].append(said_ms)
                if first and terms.category == Category.MARKETING:
                    self.offers[person].append(said_ms)
            if status == State.SENDING or status in _UNASKED:
                self._judge(decided, person, status)
            elif status == Reason.EXPIRED:
                self.expired.append((decided.request, at_ms))

    def _frozen(self, members: Members, people: list[bytes]) -> None:
        """Members are those of the list at the offset named, which is not older than the request's own work."""
        list_id, upto = self.items[members.request].list, members.audience_upto
        if set(people) != self.lists.members(list_id, upto):
            self.wrong.append("the frozen members are not those of the list")
        asked_ms = self._asked_ms[members.request]
        if any(at_ms <= asked_ms for at_ms in self._joined_ms[upto + 1 :]):
            self.wrong.append("frozen without those who had joined before they were asked for")

    def _judge(self, decided: Decided, person: bytes, status: int) -> None:
        """A decision agrees with list and suppressions as of the offsets that it names."""
        item = self.items[decided.request]
        consent = Consent()
        for entry in self._suppressions[: decided.suppressed_upto + 1]:
            if entry.recipient == person:
                consent.apply(entry)
        returns = self.lists.returns(item.list, person, upto=decided.audience_upto) if item.list else NEVER
        verdict = consent.verdict(person, "airline", lane=self._lane, list_id=item.list, returns=returns)
        left = item.rows is None and not self.lists.on(item.list, person, decided.audience_upto)
        right = verdict or (Reason.NOT_OPTED_IN if left else State.SENDING)
        if status != right:
            self.wrong.append(f"decided {word_of(status)}, where {word_of(right)} was right")


def violations(world: DeliverWorld) -> list[str]:
    """Every broken promise, as a sentence."""
    book = Book(world)
    stale = [f"a frame left with a view of suppressions that was {age_ms} ms old" for age_ms in world.stale_frames]
    return [
        *_conservation(world.items, book),
        *_agreement(world, book),
        *_promises(world, book.lists),
        *_control(world, book),
        *_limits(book),
        *book.wrong,
        *stale,
        *(f"acted on the void record at {offset}" for offset in world.acted if offset not in book.valid),
        *(f"a frame left {age_ms} ms after the last sign of the group" for age_ms in world.unfit_frames),
        *pace_violations(world),
        *([f"{world.refused} moves that the life cycle does not have were folded over"] if world.refused else []),
    ]


def _asked_ms(world: DeliverWorld) -> dict[bytes, int]:
    """When each request's work was first appended."""
    asked: dict[bytes, int] = {}
    for _, at_ms, record in world.work.whole:
        for item in body_of(record, Work).items:
            asked.setdefault(item.request, at_ms)
    return asked


def _people_of(log: Iterable[Stamped]) -> list[bytes]:
    audience = Audience()
    people: dict[bytes, None] = {}
    for offset, _, record in log:
        change = change_in(record)
        audience.apply(change, offset)
        people |= dict.fromkeys(cells(change.recipients, 16))
    return list(people)


def _conservation(items: Iterable[WorkItem], book: Book) -> list[str]:
    found = []
    for item in items:
        name = item.request.hex()[-4:]
        if book.opened[item.request] == 0:
            found.append(f"request {name} was never opened")
        if book.opened[item.request] > 1:
            found.append(f"request {name} was opened {book.opened[item.request]} times")
        for rank in range(len(book.people.get(item.request, ()))):
            history = book.history[item.request, rank]
            if not history or history[-1] <= State.WAITING:
                found.append(f"message {name}/{rank} has no final status: {history}")
    return found


def _agreement(world: DeliverWorld, book: Book) -> list[str]:
    found = []
    visible = {(one.request, one.rank) for one in world.gateway.log}
    people: Counter[tuple[bytes, bytes]] = Counter((one.request, one.recipient) for one in world.gateway.log)
    may_be_twice = world.policy.resends_unknown and not world.policy.gateway_dedupes
    found += [f"visible {count} times" for count in people.values() if count > 1 and not may_be_twice]
    for one in world.gateway.log:
        if one.recipient not in book.people.get(one.request, [])[one.rank : one.rank + 1]:
            found.append(f"rank {one.rank} of {one.request.hex()[-4:]} was somebody else when it was frozen")
    for key in visible:
        if State.SENDING not in book.history[key]:
            found.append(f"visible without a valid decision: {key[0].hex()[-4:]}/{key[1]} {book.history[key]}")
    for key, history in book.history.items():
        last = history[-1] if history else State.PENDING
        if last == State.ACCEPTED and key not in visible:
            found.append(f"accepted in the book, unknown to the gateway: {key[0].hex()[-4:]}/{key[1]}")
        # Where a name is judged anew each time, what was shown once may be refused when it comes again.
        if key in visible and last not in (State.ACCEPTED, State.IN_DOUBT) and not may_be_twice:
            found.append(f"visible, but the book says {last}: {key[0].hex()[-4:]}/{key[1]} {history}")
    return found


def _limits(book: Book) -> list[str]:
    """Both limits over all decisions; nothing given up before its time; decisions that never go back in time."""
    found = [f"{book.backwards} records are older than the one before"] if book.backwards else []
    if book.ahead_ms > AHEAD_MS + SKEW_MS:
        found.append(f"a decision was written {book.ahead_ms} ms ahead of Kafka's time")
    every_ms = 60_000 // PAIRS.per_minute
    for times in book.sent.values():
        paid_ms = 0
        for at_ms in times:
            paid_ms = max(paid_ms, at_ms) + every_ms
            if paid_ms - at_ms > every_ms * PAIRS.burst:
                found.append(f"{len(times)} messages to one person, faster than the pair limit")
                break
    for times in book.offers.values():
        spans_ms = [later_ms - at_ms for at_ms, later_ms in zip(times, times[MOST:], strict=False)]
        found += [f"{MOST + 1} offers to one person within {span_ms} ms" for span_ms in spans_ms if span_ms < SPAN_MS]
    for request, at_ms in book.expired:
        early_ms = book.items[request].terms.expires_ms - at_ms
        if early_ms > SKEW_MS:
            found.append(f"given up as expired {early_ms} ms before its time")
    return found


def _promises(world: DeliverWorld, lists: Lists) -> list[str]:
    found: list[str] = []
    told: dict[tuple[bytes, str], int] = {}
    list_of = {item.request: item.list for item in world.items}
    for one in world.gateway.log:
        if one.at_ms + min(world.gateway.ahead_ms, 0) >= one.expires_ms:
            found.append(f"handed off {one.at_ms - one.expires_ms} ms after its expiry")
        if one.version >= 0:
            if told.get((one.recipient, one.collapse), -1) > one.version:
                found.append(f"version {one.version} after {told[one.recipient, one.collapse]}")
            told[one.recipient, one.collapse] = max(one.version, told.get((one.recipient, one.collapse), -1))
        found += _unasked(world, lists, one, list_of[one.request])
    return found


def _unasked(world: DeliverWorld, lists: Lists, one: Accepted, list_id: str) -> Iterator[str]:
    """What a person forbade, or left, so long before a hand-off that it should have been heeded."""
    # Nobody knows that a gateway's clock is behind before its first answer.
    behind_ms = max(-world.gateway.ahead_ms, 0)
    bound_ms = one.at_ms - STOP_BOUND_MS - world.policy.windows.frame_ms - behind_ms
    if list_id and lists.off_throughout(list_id, one.recipient, bound_ms, one.at_ms):
        yield "handed off after the person had left the list"
    consent = Consent()
    for acknowledged_ms, entry in world.stops:
        if entry.recipient == one.recipient and acknowledged_ms <= bound_ms:
            consent.apply(entry)
    # What the person took back within the bound may count, or not yet.
    returns = lists.returns(list_id, one.recipient, at_ms=one.at_ms) if list_id else NEVER
    verdict = consent.verdict(one.recipient, "airline", lane=world.policy.lane, list_id=list_id, returns=returns)
    if verdict is not None and not _restored(world, one.recipient, bound_ms, one.at_ms):
        yield f"handed off after {verdict.word} was acknowledged"


def _control(world: DeliverWorld, book: Book) -> list[str]:
    """Nothing leaves later than the bound after a pause or a cancel; nothing is cancelled that nobody cancelled."""
    found = [f"{book.sent_while_held} decided while the journal said held"] if book.sent_while_held else []
    bound_ms = STOP_BOUND_MS + world.policy.windows.frame_ms
    words = {name: world.said.concerning(world.policy.lane, name, item.terms) for name, item in book.items.items()}
    for one in world.gateway.log:
        time_ms = book.items[one.request].terms.time_ms
        behind_ms = max(-world.gateway.ahead_ms, 0)
        known = forbidden_between(words[one.request], time_ms, one.at_ms - bound_ms - behind_ms, one.at_ms)
        if known:
            found.append(f"handed off after {known} was acknowledged")
    for (request, rank), history in book.history.items():
        if Reason.CANCELLED in history and not cancelled(words[request], book.items[request].terms.time_ms):
            found.append(f"message {request.hex()[-4:]}/{rank} was cancelled by nobody")
    return found


def _restored(world: DeliverWorld, recipient: bytes, after_ms: int, until_ms: int) -> bool:
    """Whether the person took something back within the bound: then either word may count."""
    return any(
        entry.recipient == recipient and not entry.revoke and after_ms < acknowledged_ms <= until_ms
        for acknowledged_ms, entry in world.stops
    )
