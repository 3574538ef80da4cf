"""The pair limit: how often one sender may write to one person. GCRA, folded from what was decided.

A stamp is spent when ``SEND`` is decided, in the fold, with the record's own ``at_ms``; so a crash spends nothing twice
and a new owner knows exactly what the old one did (PROTOCOL.md section 1.3, 8).
"""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from broker.deliver.policy import PairLimit
from schemas.names import NAME_BYTES
from schemas.outcome import Spent
from schemas.wire.columns import cells, i64s, of_i64s

_MINUTE_MS = 60_000
_SWEEP_AT = 50_000


class PairStamps:
    """GCRA's theoretical arrival times, milliseconds, of each recipient by sender.

    Most people of a chunk were not written to of late, and all of them are asked about at once: that is quick.
    """

    __slots__ = ("_interval_ms", "_limit", "_slack_ms", "_stamps", "_stated_ms", "_sweep_at")

    def __init__(self, limit: PairLimit | None) -> None:
        self._limit = limit
        self._interval_ms = _MINUTE_MS // limit.per_minute if limit else 0
        self._slack_ms = self._interval_ms * (limit.burst - 1) if limit else 0
        self._stamps: dict[str, dict[bytes, int]] = {}
        self._stated_ms: dict[tuple[str, bytes], int] = {}
        """When a stamp was last restated; most never live to be."""
        self._sweep_at: dict[str, int] = {}

    @property
    def on(self) -> bool:
        """Whether there is a limit at all."""
        return self._limit is not None

    def memory_ms(self) -> int:
        """Decisions older than this leave no trace in the stamps."""
        return self._slack_ms + self._interval_ms

    def dues(self, sender: str, recipients: Sequence[bytes], now_ms: int, ahead: Counter[bytes]) -> dict[int, int]:
        """Returns which of ``recipients`` have to wait, by position, and until when; counts the others into ``ahead``.

        ``ahead``: messages of this sender that are decided and not folded yet, by recipient.
        """
        stamps = self._stamps.get(sender, {})
        strangers = stamps.keys().isdisjoint(recipients) and ahead.keys().isdisjoint(recipients)
        if strangers and len(set(recipients)) == len(recipients):
            ahead.update(recipients)
            return {}
        found: dict[int, int] = {}
        for position, recipient in enumerate(recipients):
            owed_ms = max(stamps.get(recipient, 0), now_ms) + ahead[recipient] * self._interval_ms - self._slack_ms
            if owed_ms > now_ms:
                found[position] = owed_ms
            else:
                ahead[recipient] += 1
        return found

    def spend(self, sender: str, recipients: Sequence[bytes], at_ms: int) -> None:
        """A message to each of ``recipients`` was decided at ``at_ms``."""
        stamps = self._stamps.setdefault(sender, {})
        if stamps.keys().isdisjoint(recipients):
            stamps.update(dict.fromkeys(recipients, at_ms + self._interval_ms))
        else:
            for recipient in recipients:
                stamps[recipient] = max(stamps.get(recipient, 0), at_ms) + self._interval_ms
        if len(stamps) >= self._sweep_at.get(sender, _SWEEP_AT):
            self._sweep(sender, at_ms)

    def stated_until(self, before_ms: int, now_ms: int, most: int) -> tuple[Spent, ...]:
        """Up to ``most`` stamps that still hold somebody back and were last restated until ``before_ms``, or never.

        A decision alone does not say who it is about: a fold that begins between an opening and the decision learns it here.
        """
        by_sender: dict[str, list[tuple[bytes, int]]] = {}
        due = (
            (sender, recipient, stamp)
            for sender, stamps in self._stamps.items()
            for recipient, stamp in stamps.items()
            if stamp > now_ms and self._stated_ms.get((sender, recipient), 0) <= before_ms
        )
        for sender, recipient, stamp in islice(due, most):
            by_sender.setdefault(sender, []).append((recipient, stamp))
        return tuple(
            Spent(sender, b"".join(recipient for recipient, _ in owed), i64s(stamp for _, stamp in owed))
            for sender, owed in by_sender.items()
        )

    def restore(self, spent: Spent, at_ms: int) -> None:
        """Fold what was restated at ``at_ms``."""
        stamps = self._stamps.setdefault(spent.sender, {})
        for recipient, stamp in zip(cells(spent.recipients, NAME_BYTES), of_i64s(spent.until_ms), strict=True):
            stamps[recipient] = max(stamps.get(recipient, 0), stamp)
            self._stated_ms[spent.sender, recipient] = at_ms

    def _sweep(self, sender: str, now_ms: int) -> None:
        """Forget whom nothing holds back any more; again when there are twice as many as are left now."""
        stamps = self._stamps[sender]
        live = {recipient: stamp for recipient, stamp in stamps.items() if stamp > now_ms}
        for recipient in stamps.keys() - live.keys() if self._stated_ms else ():
            self._stated_ms.pop((sender, recipient), None)
        self._stamps[sender] = live
        self._sweep_at[sender] = max(_SWEEP_AT, 2 * len(live))
