"""Estimates how far the gateway's clock is ahead of ours, from the times in its answers.

An answer's time lies between the moments at which the frame left and the answer came, so each answer bounds the difference
from both sides; the tightest bounds of the last minute count. If they allow that there is no difference, none is assumed.
"""

from collections import deque
from typing import Final

_BUCKET_MS: Final = 1_000
_BUCKETS: Final = 60
"""Buckets of a second for which an answer counts. Not longer, for clocks drift, and are set."""


class GatewayClock:
    """Bounds of (gateway's clock - ours), milliseconds, over the last minute."""

    __slots__ = ("_bounds",)

    def __init__(self) -> None:
        self._bounds: deque[tuple[int, int, int]] = deque(maxlen=_BUCKETS)
        """(second, least difference, greatest difference): the tightest bounds of each second with an answer."""

    def note(self, sent_ms: int, gateway_ms: int, received_ms: int) -> bool:
        """Take an answer's time into account; return whether that changes the estimate.

        If older answers contradict it, a clock was set: they are forgotten.
        """
        believed_ms = self.ahead_ms
        bucket, low, high = received_ms // _BUCKET_MS, gateway_ms - received_ms, gateway_ms - sent_ms
        while self._bounds and self._bounds[0][0] <= bucket - _BUCKETS:
            self._bounds.popleft()
        if self._bounds and (low > self._greatest() or high < self._least()):
            self._bounds.clear()
        if self._bounds and self._bounds[-1][0] == bucket:
            _, least, greatest = self._bounds.pop()
            low, high = max(low, least), min(high, greatest)
        self._bounds.append((bucket, low, high))
        return self.ahead_ms != believed_ms

    @property
    def ahead_ms(self) -> int:
        """Returns how far the gateway is surely ahead, or surely not less behind: a frame's end moved by it is never too late."""
        if not self._bounds:
            return 0
        least = self._least()
        return 0 if least <= 0 <= self._greatest() else least

    def _least(self) -> int:
        return max(low for _, low, _ in self._bounds)

    def _greatest(self) -> int:
        return min(high for _, _, high in self._bounds)
