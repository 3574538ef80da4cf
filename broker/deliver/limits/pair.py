"""Bounds how often one sender may write to one person: GCRA, in columns of people.

GCRA (generic cell rate algorithm) keeps one time for each (sender, person), here called a *stamp*: when all that was sent will
have been paid for, at one message an interval. A message may go while the stamp is no further ahead than a burst is worth.

    6 a minute, burst 3:   interval 10 s, slack 20 s
    sent at 0 s            stamp 10 s
    sent at 0 s            stamp 20 s
    sent at 0 s            stamp 30 s
    asked at 1 s           30 - 20 = 10 s: due then

A stamp is raised when ``SENDING`` is decided, in the fold, by the record's own ``at_ms``; so a crash spends nothing twice and a
new owner knows exactly what the old one did (PROTOCOL.md section 1.3, 8).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from broker.deliver.limits.limit import Unfolded
from broker.deliver.limits.person_times import FEW, MANY, FewTimes, ManyTimes, distinct
from schemas.ids import NAME_BYTES
from schemas.lanes import PairLimit
from schemas.plan_journal import Terms
from schemas.reasons import Reason
from schemas.wire.columns import cells

_MINUTE_MS: Final = 60_000
_NOBODY: Final = FewTimes()


class PairLimiter:
    """Keeps the stamps of one lane. Chunks of a list are asked about and spent in columns (``person_times.py``)."""

    __slots__ = ("_interval_ms", "_slack_ms", "_stamps")

    word: Final = ""
    reason: Final[Reason | None] = None
    """It only delays: whoever is over it waits for the stamp to come near enough."""
    each_try: Final = True
    """The gateway counts whatever is handed to it."""

    def __init__(self, limit: PairLimit) -> None:
        self._interval_ms = _MINUTE_MS // limit.per_minute
        self._slack_ms = self._interval_ms * (limit.burst - 1)
        self._stamps: dict[str, FewTimes | ManyTimes] = {}
        """By sender."""

    def __len__(self) -> int:
        """Returns how many people are remembered, over all senders."""
        return sum(map(len, self._stamps.values()))

    def group(self, terms: Terms) -> str | None:
        """Returns the sender: each of its numbers has the limit by itself."""
        return terms.sender

    def due_ms(self, group: str, people: bytes, now_ms: int, unfolded: Unfolded) -> dict[int, int]:
        """Does what :meth:`~broker.deliver.limits.limit.Limit.due_ms` says."""
        stamps = self._stamps.get(group, _NOBODY)
        # A column costs microseconds a numpy call, and may be asked at once only if nobody's second message is in it.
        if (
            isinstance(stamps, ManyTimes)
            and len(people) > FEW * NAME_BYTES
            and distinct(people)
            and unfolded.misses(people)
        ):
            owed_ms = np.maximum(stamps.column(people), now_ms) - self._slack_ms
            late = (owed_ms > now_ms).nonzero()[0]
            ids = np.frombuffer(people, f"V{NAME_BYTES}")
            unfolded.add(np.delete(ids, late).tobytes() if len(late) else people)
            return dict(zip(late.tolist(), owed_ms[late].tolist(), strict=True))
        persons = cells(people, NAME_BYTES)
        if isinstance(stamps, FewTimes) and stamps.strangers(persons) and unfolded.misses(people):
            unfolded.add(people)
            return {}
        return self._one_by_one(persons, stamps.of(people), now_ms, unfolded.counts())

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

    def spend(self, group: str, people: bytes, at_ms: int) -> None:
        """Raises the stamp of each of ``people`` by one message."""
        stamps, many = self._stamps.get(group), len(people) >= MANY * NAME_BYTES
        match stamps:
            case None:
                stamps = ManyTimes() if many else FewTimes()
            case FewTimes() if many:
                stamps = ManyTimes(stamps.after(at_ms))
            case ManyTimes() if not many and stamps.latest_ms <= at_ms:
                stamps = FewTimes()
            case _:
                """It is kept as it is."""
        self._stamps[group] = stamps
        stamps.raise_to(people, at_ms, self._interval_ms, over_ms=at_ms)

    def restate(self, now_ms: int) -> Iterator[tuple[str, bytes, int]]:
        """Yields the stamps that lie ahead; those behind ``now_ms`` hold nobody back."""
        return (
            (sender, person, stamp_ms)
            for sender, stamps in self._stamps.items()
            for person, stamp_ms in stamps.after(now_ms)
        )

    def restore(self, group: str, people: bytes, numbers: Sequence[int], at_ms: int) -> None:
        """Raises stamps to what was restated: of two the later counts, so it may be said again and again."""
        self._stamps.setdefault(group, FewTimes()).raise_each(people, numbers, over_ms=at_ms)
