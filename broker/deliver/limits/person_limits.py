"""Folds all limits on what a person gets: who is over any of them, what is spent, and what has to be said again.

To add a limit: a module with a :class:`~broker.deliver.limits.limit.Limit`, and a row in :data:`LIMITS`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from broker.deliver.limits.limit import Limit, Unfolded
from broker.deliver.limits.pair import PairLimiter
from broker.deliver.policy import DeliverPolicy
from broker.heartbeat import is_heartbeat
from schemas.delivery_journal import Spent
from schemas.ids import NAME_BYTES
from schemas.plan_journal import Terms
from schemas.reasons import Reason
from schemas.wire.columns import cells, i64s, of_i64s

LIMITS: Final[tuple[Callable[[DeliverPolicy], Limit], ...]] = (lambda policy: PairLimiter(policy.pair_limit),)
"""Makes each limit of a lane, with nothing spent, in the order in which they are asked."""

_END: Final = "\0"
"""Ends the word in a key of the journal. No sender and no business has it in its name."""


class Counting(NamedTuple):
    """Holds a limit that counts the messages of a request, and the group that it counts them in."""

    limit: Limit
    group: str
    key: str
    """Names the group among those of all limits."""


class Messages(NamedTuple):
    """Holds messages that are to be decided, or were decided, to be sent."""

    people: bytes
    """16 bytes each."""
    tries: bytes
    """A byte each: the attempt that the hand-off is, from 1."""

    def first_tries(self, among: Sequence[int]) -> Sequence[int]:
        """Returns which of the positions ``among`` have messages that go for the first time."""
        if self.tries.count(1) == len(self.tries):
            return among
        return [position for position in among if self.tries[position] == 1]

    def people_at(self, positions: Collection[int]) -> bytes:
        """Returns the people at some positions, which are all of them or ascending."""
        if len(positions) == len(self.tries):
            return self.people
        return b"".join(self.people[at * NAME_BYTES : (at + 1) * NAME_BYTES] for at in positions)


class Over(NamedTuple):
    """Tells what becomes of a message that is over a limit."""

    reason: Reason | None
    """Ends it; None: it waits."""
    due_ms: int
    """When it may go at the earliest, milliseconds since the epoch."""


def over_limits(
    counting: Iterable[Counting], asked: Messages, unfolded: Mapping[str, Unfolded], now_ms: int
) -> dict[int, Over]:
    """Returns which messages are over a limit, by position, and counts the others into ``unfolded``."""
    found: dict[int, Over] = {}
    passed: list[tuple[Unfolded, Sequence[int]]] = []
    left: Sequence[int] = range(len(asked.tries))
    for limit, group, key in counting:
        places = left if limit.each_try else asked.first_tries(left)
        over = limit.due_ms(group, asked.people_at(places), now_ms, unfolded[key])
        if over:
            held_back = {places[position]: Over(limit.reason, due_ms) for position, due_ms in over.items()}
            # Limits that were asked before this one have counted these as sent.
            for before, counted in passed:
                before.take_back(asked.people_at([place for place in counted if place in held_back]))
            found |= held_back
            left = [place for place in left if place not in held_back]
        passed.append((unfolded[key], places))
    return found


def spend(counting: Iterable[Counting], people: bytes, tries: Callable[[], bytes], at_ms: int) -> None:
    """Folds messages to ``people`` that were decided to be sent at ``at_ms``; asks for their ``tries`` if a limit has to know."""
    for limit, group, _ in counting:
        if limit.each_try:
            limit.spend(group, people, at_ms)
            continue
        sent = Messages(people, tries())
        first = sent.first_tries(range(len(sent.tries)))
        if first:
            limit.spend(group, sent.people_at(first), at_ms)


class Limits:
    """Holds the limits of one shard of one lane."""

    __slots__ = ("_by_word", "_limits", "_stated_ms")

    def __init__(self, limits: Iterable[Limit]) -> None:
        self._limits = [(limit, _prefix(limit.word)) for limit in limits]
        """Each with what its keys in the journal begin with."""
        self._by_word = {limit.word: limit for limit, _ in self._limits}
        self._stated_ms: dict[tuple[str, bytes], int] = {}
        """When something was last restated, of what was restated since the last claim but one; most never lives to be."""

    @classmethod
    def of(cls, policy: DeliverPolicy) -> "Limits":
        """Returns the limits of a lane, with nothing spent; none if they are off."""
        return cls(make(policy) for make in LIMITS if policy.limits)

    def counting(self, terms: Terms) -> list[Counting]:
        """Returns the limits that count the messages of a request. Heartbeats reach nobody, so nothing counts them."""
        found: list[Counting] = []
        if is_heartbeat(terms.business):
            return found
        # A loop and no comprehension: it is run twice for each request of one message, and is half a microsecond quicker.
        for limit, prefix in self._limits:
            group = limit.group(terms)
            if group is not None:
                found.append(Counting(limit, group, prefix + group))
        return found

    def restate(self, before_ms: int, now_ms: int, most: int) -> tuple[Spent, ...]:
        """Returns up to ``most`` entries that still hold somebody back and were last restated until ``before_ms``, or never.

        A decision alone does not say who it is about: a fold that begins between an opening and the decision learns it here.
        """
        self._stated_ms = {entry: at_ms for entry, at_ms in self._stated_ms.items() if at_ms > before_ms}
        due = (
            (key, person, number)
            for limit, prefix in self._limits
            for group, person, number in limit.restate(now_ms)
            if ((key := prefix + group), person) not in self._stated_ms
        )
        by_key: dict[str, list[tuple[bytes, int]]] = {}
        for key, person, number in islice(due, most):
            by_key.setdefault(key, []).append((person, number))
        return tuple(
            Spent(key, b"".join(person for person, _ in owed), i64s(number for _, number in owed))
            for key, owed in by_key.items()
        )

    def restore(self, spent: Spent, at_ms: int) -> None:
        """Folds what was restated at ``at_ms``; what a limit said that the lane has no more is over."""
        word, _, group = spent.key.rpartition(_END)
        limit = self._by_word.get(word)
        if limit is not None:
            limit.restore(group, spent.recipients, of_i64s(spent.numbers), at_ms)
            for person in cells(spent.recipients, NAME_BYTES):
                self._stated_ms[spent.key, person] = at_ms


def _prefix(word: str) -> str:
    # The pair limit was the first and has no word: its entries are what they were before there were others.
    return word + _END if word else ""
