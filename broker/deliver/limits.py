"""The pair limit: how often one sender may write to one person. GCRA, folded from what was decided.

A stamp is spent when ``SEND`` is decided, in the fold, with the record's own ``at_ms``; so a crash spends nothing twice
and a new owner knows exactly what the old one did (PROTOCOL.md section 1.3, 8).
"""

from itertools import islice

from broker.deliver.policy import PairLimit
from schemas.names import NAME_BYTES
from schemas.outcome import Spent
from schemas.wire.columns import cells, i64s, of_i64s

_MINUTE_MS = 60_000
_SWEEP_AT = 50_000


class PairStamps:
    """GCRA's theoretical arrival times, milliseconds, by (sender, recipient)."""

    __slots__ = ("_interval_ms", "_limit", "_slack_ms", "_stamps", "_stated_ms")

    def __init__(self, limit: PairLimit | None) -> None:
        self._limit = limit
        self._interval_ms = _MINUTE_MS // limit.per_minute if limit else 0
        self._slack_ms = self._interval_ms * (limit.burst - 1) if limit else 0
        self._stamps: dict[tuple[str, bytes], int] = {}
        self._stated_ms: dict[tuple[str, bytes], int] = {}
        """When a stamp was last restated; most never live to be."""

    @property
    def on(self) -> bool:
        """Whether there is a limit at all."""
        return self._limit is not None

    def memory_ms(self) -> int:
        """Decisions older than this leave no trace in the stamps."""
        return self._slack_ms + self._interval_ms

    def due_ms(self, sender: str, recipient: bytes, now_ms: int, ahead: int = 0) -> int:
        """When the next message to this person may go (``now_ms``: at once), after ``ahead`` others decided but not folded."""
        stamp = self._stamps.get((sender, recipient), 0)
        if not stamp and not ahead:
            return now_ms
        return max(now_ms, max(stamp, now_ms) + ahead * self._interval_ms - self._slack_ms)

    def spend(self, sender: str, recipient: bytes, at_ms: int) -> None:
        """One message was decided at ``at_ms``."""
        key = (sender, recipient)
        self._stamps[key] = max(self._stamps.get(key, 0), at_ms) + self._interval_ms
        if len(self._stamps) >= _SWEEP_AT and len(self._stamps) % _SWEEP_AT == 0:
            self._sweep(at_ms)

    def stated_until(self, before_ms: int, now_ms: int, most: int) -> tuple[Spent, ...]:
        """Up to ``most`` stamps that still hold somebody back and were last restated until ``before_ms``, or never.

        A decision alone does not say who it is about: a fold that begins between an opening and the decision learns it here.
        """
        by_sender: dict[str, list[tuple[bytes, int]]] = {}
        due = (
            (key, stamp)
            for key, stamp in self._stamps.items()
            if stamp > now_ms and self._stated_ms.get(key, 0) <= before_ms
        )
        for (sender, recipient), stamp in islice(due, most):
            by_sender.setdefault(sender, []).append((recipient, stamp))
        return tuple(
            Spent(sender, b"".join(recipient for recipient, _ in owed), i64s(stamp for _, stamp in owed))
            for sender, owed in by_sender.items()
        )

    def restore(self, spent: Spent, at_ms: int) -> None:
        """Fold what was restated at ``at_ms``."""
        for recipient, stamp in zip(cells(spent.recipients, NAME_BYTES), of_i64s(spent.until_ms), strict=True):
            key = (spent.sender, recipient)
            self._stamps[key] = max(self._stamps.get(key, 0), stamp)
            self._stated_ms[key] = at_ms

    def _sweep(self, now_ms: int) -> None:
        self._stamps = {key: stamp for key, stamp in self._stamps.items() if stamp > now_ms}
        self._stated_ms = {key: stated for key, stated in self._stated_ms.items() if key in self._stamps}
