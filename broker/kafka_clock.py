"""Estimates how far a process's wall clock is from Kafka's, by the times of its own appends, and what to take off it.

Kafka tells its time in one answer only: an append is acknowledged with LogAppendTime, when the broker put the record into its
log. That lies between the moments at which the record was sent and its acknowledgement came, so each append bounds
(our clock - Kafka's) from both sides, to as much as the way took.

*What is taken off.* Nothing while the difference may be below :data:`AHEAD_MS`: clocks that NTP keeps differ by less, and then
time is the machine's, undisturbed. Beyond it, so much that the rest is surely not ahead of Kafka, and behind by no more than the
fastest way took. It stays taken off until the difference is below half of that, so that time does not go back and forth.

*Several brokers.* Bounds are kept by partition, those of the last minute. If they contradict each other, the brokers' own clocks
differ, and the one nearest to ours is believed: a broker whose clock is wrong moves nobody who also appends to another.
"""

from collections.abc import Hashable
from typing import Final, NamedTuple

AHEAD_MS: Final = 1_000
"""Milliseconds by which a clock may differ from Kafka's unnoticed, and by which a record's own time may be later than Kafka's
time of it (:func:`broker.journal.dated`)."""
_RECENT_MS: Final = 60_000
"""For so long the bounds of a partition count: a heartbeat crosses each journal every 10 s."""
_MOST: Final = 64
"""Partitions that are kept, those appended to last: enough to meet every broker."""


class _Bounds(NamedTuple):
    """Bounds of (our clock - Kafka's), milliseconds, by the appends to one partition."""

    least: int
    greatest: int
    noted_ms: int
    """When the last append was acknowledged, by the monotonic clock."""

    @property
    def surely_ms(self) -> int:
        """Returns by how much our clock is surely ahead; negative: surely behind; 0 if the two may agree."""
        return max(self.least, 0) + min(self.greatest, 0)


class KafkaClock:
    """Compares one process's wall clock with Kafka's."""

    __slots__ = ("_bounds", "ahead_ms", "correction_ms")

    def __init__(self) -> None:
        self._bounds: dict[Hashable, _Bounds] = {}
        """By partition, the one appended to last at the end."""
        self.ahead_ms = 0
        """By how much our clock is surely ahead of Kafka's, milliseconds; negative: surely behind; 0 if they may agree."""
        self.correction_ms = 0
        """Milliseconds to take off our clock; 0 while it agrees with Kafka's to :data:`AHEAD_MS`."""

    @property
    def known(self) -> bool:
        """Returns whether there was an append to compare with."""
        return bool(self._bounds)

    def note(self, place: Hashable, appended_ms: int, *, now_ms: int, took_ms: int, monotonic_ms: int) -> None:
        """Takes an acknowledgement into account that came at ``now_ms`` by our clock, ``took_ms`` after the record was sent.

        ``appended_ms`` is LogAppendTime. ``took_ms`` is by the monotonic clock, so a wall clock that is set meanwhile spoils
        nothing.
        """
        least, greatest = now_ms - took_ms - appended_ms, now_ms - appended_ms
        held = self._bounds.pop(place, None)
        # Older bounds that contradict the newest were of a clock that has been set since, ours or the broker's.
        if held is not None and held.least <= greatest and held.greatest >= least:
            least, greatest = max(least, held.least), min(greatest, held.greatest)
        self._bounds[place] = _Bounds(least, greatest, monotonic_ms)
        while len(self._bounds) > _MOST or self._oldest.noted_ms < monotonic_ms - _RECENT_MS:
            del self._bounds[next(iter(self._bounds))]
        believed = self._believed()
        self.ahead_ms = believed.surely_ms
        off = abs(self.ahead_ms) > (AHEAD_MS // 2 if self.correction_ms else AHEAD_MS)
        self.correction_ms = believed.greatest if off else 0

    @property
    def _oldest(self) -> _Bounds:
        return next(iter(self._bounds.values()))

    def _believed(self) -> _Bounds:
        bounds = self._bounds.values()
        least, greatest = max(each.least for each in bounds), min(each.greatest for each in bounds)
        if least <= greatest:
            return _Bounds(least, greatest, 0)
        return min(bounds, key=lambda each: abs(each.surely_ms))
