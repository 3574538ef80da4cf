"""States the seam that every limit on what a person gets fits in, and counts what is decided before the journal has it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from schemas.ids import NAME_BYTES
from schemas.plan_journal import Terms
from schemas.reasons import Reason
from schemas.wire.columns import cells


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
