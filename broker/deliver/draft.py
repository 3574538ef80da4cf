"""Makes one ``OUTCOME`` record of deliver's journal: what is opened, frozen and decided in one append."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pyroaring import BitMap

from broker.deliver.decide import Facts, Rules, all_alike, decide
from broker.deliver.item import Item
from broker.deliver.scheduler import Turn
from broker.deliver.state import ShardState, sends_in
from schemas.delivery_journal import Answered, Decided, Held, ItemPart, Members, Opened, OpenItem, Outcome
from schemas.plan_journal import Origin, WorkItem
from schemas.reasons import Reason
from schemas.wire.arrays import runs_of
from schemas.wire.head import RECORD_LIMIT_BYTES
from schemas.wire.item_parts import parts_of

_OPEN_BYTES = 300_000
"""Bytes of items that are opened in one record; a single one may be larger, but plan bounds a request."""
_MEMBERS_BYTES = 200_000
"""Bytes of members in one record. A list with more is frozen by parts."""
_PART_BYTES = RECORD_LIMIT_BYTES // 2
_SECTION_BYTES = 80
"""Bytes of a section beside its columns."""
_HELD_BYTES = 40
_LOOK_AHEAD = 8
"""Ranks that a slot looks at for each message it holds: of a list of which 7 in 8 may not be told, no slot is lost."""


@dataclass(slots=True)
class Draft:
    """Collects what one record is to say."""

    rules: Rules
    now_ms: int
    """The time of the step, milliseconds since the epoch; the record's head has it."""
    ranks_left: int
    """Ranks that may still be decided at the opening or freezing of their request."""
    opened: list[Opened] = field(default_factory=list)
    members: list[Members] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    taken: list[Origin] = field(default_factory=list)
    turned: set[bytes] = field(default_factory=set)
    """Requests that had a turn in this record. It is not folded yet, so another turn would decide the same ranks again."""
    opened_bytes: int = 0
    """About how many bytes the opened items take."""
    given_up: int = 0
    """Lists that end without members."""
    parts: Iterator[ItemPart] | None = None
    """Of a list that is frozen by parts: records to append behind this one."""
    frozen_bytes: int = 0
    """Bytes of the members that are frozen in this record."""

    def open(self, inbox: deque[Opened], state: ShardState, at_once: Callable[[Item], bool]) -> None:
        """Open what was taken, as much as fits; decide in the same append about explicit recipients that go ``at_once``."""
        weight, fresh = 0, set[bytes]()
        while inbox:
            opened = inbox[0]
            weight += _weight(opened.item)
            if self.taken and weight > _OPEN_BYTES:
                return
            inbox.popleft()
            self.opened_bytes = weight
            # Also of a copy of known work: it says nothing new, but its input is finished with this record.
            self.taken.append(opened.origin)
            if state.knows(opened.item.request) or opened.item.request in fresh:
                continue
            fresh.add(opened.item.request)
            self.opened.append(opened)
            if self._small(opened.item) and at_once(item := Item(opened, self.now_ms)):
                with self.rules.suspects.blaming(opened.item.request):
                    self._decide_all(item)

    def _small(self, work: WorkItem) -> bool:
        """Returns whether an item may be opened and decided in one append: few explicit recipients, due now."""
        fits = work.rows is not None and len(work.rows) <= self.ranks_left
        return fits and work.start_ms <= self.now_ms and not self.rules.suspects.careful

    def freeze(self, item: Item, *, paused: bool) -> bool:
        """Freeze who a list item's ranks are, and decide about them if they are few, need no slot, and are not ``paused``.

        False if its audience was not read to a time when this owner had the item, or if the record is full.
        """
        facts = self.rules.facts
        if not workable(item, facts) or self.parts is not None:
            return False
        members = members_of(item, self.rules.facts)
        if len(members.ordinals) > _MEMBERS_BYTES:
            self.parts = parts_of(_undecided(item, members), _PART_BYTES)
            return True
        if self.frozen_bytes + len(members.ordinals) > _MEMBERS_BYTES:
            return False
        self.members.append(members)
        self.frozen_bytes += len(members.ordinals)
        if 0 < members.count <= self.ranks_left and not self.rules.suspects.careful and not item.paced and not paused:
            # A copy: the state changes only by the fold, when this record is acknowledged.
            frozen = Item(item.opened, self.now_ms)
            frozen.freeze(members)
            self._decide_all(frozen)
        return True

    def decide(self, turn: Turn) -> None:
        """Decide the ranks of a turn. In a slot only what is sent counts: whoever may not be told gives way to the next."""
        most = min(turn.take, _LOOK_AHEAD * turn.sends) if turn.slot_ms else turn.take
        candidates = self._candidates(turn.item, most)
        # In a slot: as many as it still holds, and again for those among them who were refused or have to wait. So a list of
        # which most may not be told uses its slots as well as any other.
        while turn.decided < len(candidates):
            count = turn.sends - turn.sent if turn.slot_ms else len(candidates)
            if not count:
                return
            ranks = sorted(candidates[turn.decided : turn.decided + count])
            section = decide(turn.item, ranks, self.rules, self.now_ms)
            self.decided.append(section)
            turn.decided += len(ranks)
            turn.sent += sends_in(section)

    def give_up(self, turn: Turn) -> None:
        """End the ranks of a turn whose item crashed workers. A list of which nobody is a member yet ends without any."""
        if not turn.item.frozen:
            facts = self.rules.facts
            nobody = Members(turn.item.request, 0, BitMap().serialize(), facts.audience.upto, facts.suppressed_upto)
            self.members.append(nobody)
            self.given_up += 1
            return
        ranks = sorted(self._candidates(turn.item, turn.take))
        turn.decided = len(ranks)
        if ranks:
            self.decided.append(all_alike(turn.item, ranks, Reason.CRASHED_WORKER, self.rules))

    def fitting(
        self, answers: Sequence[Answered], held: Sequence[Held]
    ) -> tuple[tuple[Answered, ...], tuple[Held, ...]]:
        """Return as many answers and words of control, from the first, as the record has room for beside what it says already."""
        room = RECORD_LIMIT_BYTES - sum(map(_bytes_of_decided, self.decided)) - self.frozen_bytes - self.opened_bytes
        fit = 0
        for answer in answers:
            room -= _bytes_of_answer(answer)
            if room < 0 and fit:
                break
            fit += 1
        return tuple(answers[:fit]), tuple(held[: max(0, room) // _HELD_BYTES])

    def body(self, answered: tuple[Answered, ...], held: tuple[Held, ...] = ()) -> Outcome | None:
        """Return the record's body, with the answers ``answered`` and what is ``held``; None if there is nothing to say."""
        if not (self.opened or self.members or self.decided or answered or held or self.taken):
            return None
        return Outcome(tuple(self.opened), tuple(self.members), tuple(self.decided), answered, held)

    def _decide_all(self, item: Item) -> None:
        self.ranks_left -= item.pending
        self.decided.append(decide(item, range(item.pending), self.rules, self.now_ms))

    def _candidates(self, item: Item, most: int) -> list[int]:
        """Return the ranks that can be decided now: those whose wait is over, then those never decided. None at a second turn."""
        if item.request in self.turned:
            return []
        self.turned.add(item.request)
        ended = item.ended(self.now_ms)
        due = sorted(rank for rank, at in item.dues.items() if ended or at <= self.now_ms)[:most]
        return due + item.next_pending(most - len(due))


def workable(item: Item, facts: Facts) -> bool:
    """Returns whether work on an item can begin: who its ranks are is known, or the audience was read far enough to say it.

    Who joined before the request was taken must be a member, so the audience has to be read to a later moment than that.
    """
    if item.frozen:
        return True
    if item.known_ms is None:
        # By this process's own clock: the opening's time may be another owner's, whose wall clock was ahead or behind.
        item.known_ms = facts.monotonic_ms
    return facts.audience_read_ms >= item.known_ms


def members_of(item: Item, facts: Facts) -> Members:
    """The frozen members of a list item: everybody on the list in this shard now, in the order of their ordinals."""
    ordinals = facts.audience.freeze(item.terms.business, item.opened.item.list)
    packed = ordinals.serialize()
    if len(packed) > _MEMBERS_BYTES:  # of a list that most people are on, runs are shorter
        runs = BitMap(ordinals)
        runs.run_optimize()
        packed = runs.serialize()
    return Members(item.request, len(ordinals), packed, facts.audience.upto, facts.suppressed_upto)


def _undecided(item: Item, members: Members) -> OpenItem:
    """Returns an item as it stands once its members are frozen: nothing is decided."""
    nothing = runs_of(bytes(members.count))
    return OpenItem(item.opened, members, nothing, nothing, held=item.held)


def _bytes_of_decided(section: Decided) -> int:
    columns = (section.ranks, section.statuses, section.attempts, section.markets, section.due_ms)
    return _SECTION_BYTES + sum(map(len, columns))


def _bytes_of_answer(section: Answered) -> int:
    columns = (
        section.ranks,
        section.except_ranks,
        section.except_statuses,
        section.except_codes,
        section.except_due_ms,
    )
    return _SECTION_BYTES + sum(map(len, columns))


def _weight(item: WorkItem) -> int:
    """About how many bytes an opened item takes in a record."""
    own = 400 + sum(len(key) + len(text) for key, text in item.terms.params.items())
    if item.rows is None:
        return own
    each = sum(len(key) + len(text) for params in item.rows.params for key, text in params.items())
    return own + 60 * len(item.rows) + each
