"""The pair limit: how often one sender may write to one person. GCRA, folded from what was decided.

A stamp is spent when ``SEND`` is decided, in the fold, with the record's own ``at_ms``; so a crash spends nothing twice
and a new owner knows exactly what the old one did (PROTOCOL.md section 1.3, 8).
"""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final

import numpy as np

from broker.deliver.person_times import FEW, MANY, FewTimes, ManyTimes, distinct
from broker.deliver.policy import PairLimit
from schemas.delivery_journal import Spent
from schemas.ids import NAME_BYTES
from schemas.wire.columns import cells, i64s, of_i64s

_MINUTE_MS: Final = 60_000
_NOBODY: Final = FewTimes()


class Ahead:
    """Messages of one sender that are decided and not folded yet, by recipient.

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
        """Counts one more for each of a column of ranks."""
        self._columns.append(column)

    def misses(self, column: bytes) -> bool:
        """Returns True if nobody in ``column`` has any."""
        return not (self._columns or self._counts) or self.counts().keys().isdisjoint(cells(column, NAME_BYTES))


class PairStamps:
    """GCRA's theoretical arrival times, milliseconds, of each recipient by sender.

    Chunks of a list are asked about and spent in columns (``person_times.py``).
    """

    __slots__ = ("_interval_ms", "_limit", "_slack_ms", "_stamps", "_stated_ms")

    def __init__(self, limit: PairLimit | None) -> None:
        self._limit = limit
        self._interval_ms = _MINUTE_MS // limit.per_minute if limit else 0
        self._slack_ms = self._interval_ms * (limit.burst - 1) if limit else 0
        self._stamps: dict[str, FewTimes | ManyTimes] = {}
        self._stated_ms: dict[tuple[str, bytes], int] = {}
        """When a stamp was last restated, of those restated since the last claim but one; most never live to be."""

    @property
    def on(self) -> bool:
        """Returns whether there is a limit at all."""
        return self._limit is not None

    def __len__(self) -> int:
        """Returns how many people are remembered, over all senders."""
        return sum(map(len, self._stamps.values()))

    def memory_ms(self) -> int:
        """Decisions older than this leave no trace in the stamps."""
        return self._slack_ms + self._interval_ms

    def dues(self, sender: str, column: bytes, now_ms: int, ahead: Ahead) -> dict[int, int]:
        """Returns which people of ``column`` have to wait, by position, and until when; counts the others into ``ahead``."""
        stamps = self._stamps.get(sender, _NOBODY)
        if (
            isinstance(stamps, ManyTimes)
            and len(column) > FEW * NAME_BYTES
            and distinct(column)
            and ahead.misses(column)
        ):
            owed_ms = np.maximum(stamps.column(column), now_ms) - self._slack_ms
            late = (owed_ms > now_ms).nonzero()[0]
            ids = np.frombuffer(column, f"V{NAME_BYTES}")
            ahead.add(np.delete(ids, late).tobytes() if len(late) else column)
            return dict(zip(late.tolist(), owed_ms[late].tolist(), strict=True))
        people = cells(column, NAME_BYTES)
        if isinstance(stamps, FewTimes) and stamps.strangers(people) and ahead.misses(column):
            ahead.add(column)
            return {}
        return self._one_by_one(people, stamps.of(column), now_ms, ahead.counts())

    def _one_by_one(
        self, people: Sequence[bytes], stamps_ms: Sequence[int], now_ms: int, counts: Counter[bytes]
    ) -> dict[int, int]:
        found: dict[int, int] = {}
        for position, (recipient, stamp_ms) in enumerate(zip(people, stamps_ms, strict=True)):
            due_ms = max(stamp_ms, now_ms) + counts[recipient] * self._interval_ms - self._slack_ms
            if due_ms > now_ms:
                found[position] = due_ms
            else:
                counts[recipient] += 1
        return found

    def spend(self, sender: str, column: bytes, at_ms: int) -> None:
        """A message to each of the people in ``column`` was decided at ``at_ms``."""
        stamps, many = self._stamps.get(sender), len(column) >= MANY * NAME_BYTES
        match stamps:
            case None:
                stamps = ManyTimes() if many else FewTimes()
            case FewTimes() if many:
                stamps = ManyTimes(stamps.after(at_ms))
            case ManyTimes() if not many and stamps.latest_ms <= at_ms:
                stamps = FewTimes()
            case _:
                """It is kept as it is."""
        self._stamps[sender] = stamps
        stamps.raise_to(column, at_ms, self._interval_ms, over_ms=at_ms)

    def stated_until(self, before_ms: int, now_ms: int, most: int) -> tuple[Spent, ...]:
        """Up to ``most`` stamps that still hold somebody back and were last restated until ``before_ms``, or never.

        A decision alone does not say who it is about: a fold that begins between an opening and the decision learns it here.
        """
        by_sender: dict[str, list[tuple[bytes, int]]] = {}
        self._stated_ms = {pair: at_ms for pair, at_ms in self._stated_ms.items() if at_ms > before_ms}
        due = (
            (sender, recipient, stamp)
            for sender, stamps in self._stamps.items()
            for recipient, stamp in stamps.after(now_ms)
            if (sender, recipient) not in self._stated_ms
        )
        for sender, recipient, stamp in islice(due, most):
            by_sender.setdefault(sender, []).append((recipient, stamp))
        return tuple(
            Spent(sender, b"".join(recipient for recipient, _ in owed), i64s(stamp for _, stamp in owed))
            for sender, owed in by_sender.items()
        )

    def restore(self, spent: Spent, at_ms: int) -> None:
        """Fold what was restated at ``at_ms``."""
        stamps = self._stamps.setdefault(spent.sender, FewTimes())
        stamps.raise_each(spent.recipients, of_i64s(spent.until_ms), over_ms=at_ms)
        for recipient in cells(spent.recipients, NAME_BYTES):
            self._stated_ms[spent.sender, recipient] = at_ms
