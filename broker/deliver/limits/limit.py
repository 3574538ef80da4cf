"""Bounds what one person gets: the seam that every limit fits in, and the fold over all limits of a lane.

Asked is who is over any of them, told what is spent, and what has to be said again. To add a limit: a module with a
:class:`Limit`, and a row in :data:`~broker.deliver.state.LIMITS`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from broker.heartbeat import is_heartbeat
from schemas.delivery_journal import Spent
from schemas.ids import NAME_BYTES
from schemas.plan_journal import Terms
from schemas.reasons import Reason
from schemas.wire.columns import cells, i64s, of_i64s

_END: Final = "\0"
"""Ends the word in a key of the journal. No sender and no business has it in its name."""


class Unfolded:
    """Messages of one group that are decided and not folded yet, by recipient.

    A large section is counted one by one only if another section follows in the same append, which is seldom.
    """

    __slots__ = ("_columns", "_counts")

    def __init__(self) -> None:
        self._counts: Counter[bytes] = Counter()
        self._columns: list[bytes] = []

    def counts(self) -> Counter[bytes]:
        """Returns how many there are for each recipient; to be counted up by the caller."""
        for column in self._columns:
            self._counts.update(cells(column, NAME_BYTES))
        self._columns.clear()
        return self._counts

    def add(self, column: bytes) -> None:
        """Counts one more for each of a column of recipients."""
        self._columns.append(column)

    def take_back(self, column: bytes) -> None:
        """Counts one less for each of a column of recipients: another limit holds them back."""
        self.counts().subtract(cells(column, NAME_BYTES))

    def misses(self, column: bytes) -> bool:
        """Returns True if nobody in ``column`` has any."""
        return not (self._columns or self._counts) or self.counts().keys().isdisjoint(cells(column, NAME_BYTES))


class Limit(Protocol):
    """Bounds how many messages one person gets. Pure: each call is given the time.

    People are counted in *groups*: of the same sender, of the same business. ``people`` is a column of their 16-byte ids. What
    was spent follows from the journal alone: an owner that dies spends nothing twice, and the next one knows what it spent.
    """

    @property
    def word(self) -> str:
        """Marks the limit's entries in the journal: no other has it, and it is never changed."""

    @property
    def reason(self) -> Reason | None:
        """Ends a message that is over the limit. None: it waits until it is due, and is decided again then."""

    @property
    def each_try(self) -> bool:
        """True: every hand-off counts. False: a message counts at its first, and is not asked about when it goes again."""

    def group(self, terms: Terms) -> str | None:
        """Returns in which group the messages of a request count; None: they do not count, and are not held back."""

    def due_ms(self, group: str, people: bytes, now_ms: int, unfolded: Unfolded) -> Mapping[int, int]:
        """Returns who of ``people`` is over the limit at ``now_ms``: positions, ascending, and when each may go at the earliest.

        Counts the others into ``unfolded``, which has what was decided just now and is not spent yet.
        """

    def spend(self, group: str, people: bytes, at_ms: int) -> None:
        """Counts a message to each of ``people``, decided to be sent at ``at_ms``. The fold alone calls it."""

    def restate(self, now_ms: int) -> Iterator[tuple[str, bytes, int]]:
        """Yields what still counts: a group, a person, and a number that :meth:`restore` understands.

        Each person once in a group: a second number is lost. What needs several, packs them into 63 bits.
        """

    def restore(self, group: str, people: bytes, numbers: Sequence[int], at_ms: int) -> None:
        """Folds what was restated at ``at_ms``. A join: what is known already, or more than that, stays as it is."""


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

    __slots__ = ("_by_word", "_limits")

    def __init__(self, limits: Iterable[Limit]) -> None:
        self._limits = [(limit, _prefix(limit.word)) for limit in limits]
        """Each with what its keys in the journal begin with."""
        self._by_word = {limit.word: limit for limit, _ in self._limits}

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

    def restate(self, now_ms: int) -> Iterator[tuple[str, bytes, int]]:
        """Yields what still holds somebody back: the key of a limit's group, a person, a number; see :func:`said`.

        A decision alone does not say who it is about: a fold that begins between an opening and the decision learns it here.
        Nothing may be spent before the last of them is in the journal, for its number would be lost.
        """
        for limit, prefix in self._limits:
            for group, person, number in limit.restate(now_ms):
                yield prefix + group, person, number

    def restore(self, spent: Spent, at_ms: int) -> None:
        """Folds what was restated at ``at_ms``; what a limit said that the lane has no more is over."""
        word, _, group = spent.key.rpartition(_END)
        limit = self._by_word.get(word)
        if limit is not None:
            limit.restore(group, spent.recipients, of_i64s(spent.numbers), at_ms)


def said(owing: Iterable[tuple[str, bytes, int]]) -> tuple[Spent, ...]:
    """Returns what the journal is to say of some that :meth:`Limits.restate` yields."""
    by_key: dict[str, list[tuple[bytes, int]]] = {}
    for key, person, number in owing:
        by_key.setdefault(key, []).append((person, number))
    return tuple(
        Spent(key, b"".join(person for person, _ in owed), i64s(number for _, number in owed))
        for key, owed in by_key.items()
    )


def _prefix(word: str) -> str:
    # The pair limit was the first and has no word: its entries are what they were before there were others.
    return word + _END if word else ""
