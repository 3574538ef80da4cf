"""Sender throughput: one GCRA per sender, reserved at acceptance for explicit recipients.

Plan is the one writer of a business in its lane, so the limit is exact at its source and no shard talks to another
(PROTOCOL.md section 5, 1). The state of a sender is one instant: when all that was reserved is paid for. It stands in the
journal (``Planned.free_us``), so the fold needs neither the registry nor the rate of that time.

*Bound.* In any window of T seconds the starts of at most rate * T + max(burst, n) recipients lie, n being the size of the
last request in it. List requests reserve nothing; the gateway's own throttle paces them.
"""

from typing import Final

import msgspec

from schemas.names import Lane
from schemas.registry import Sender

_SECOND_US: Final = 1_000_000
_BURSTS_PER_S: Final = 10
"""A burst is a tenth of a second's worth: enough that single messages seldom wait, and in any second at most a tenth
above the rate."""


def share_of(sender: Sender, lane: Lane) -> int:
    """Recipients a second that a lane may be sent (PROTOCOL.md section 5); 0 if it has no share."""
    return sender.rate_per_s * sender.shares.get(lane.word, 0) // 100 if sender.shares else sender.rate_per_s


class Rate(msgspec.Struct, frozen=True):
    """What a sender may do: recipients per second, and how many at once."""

    per_s: int
    burst: int

    @classmethod
    def of(cls, per_s: int) -> "Rate":
        """A rate with the burst that goes with it."""
        return cls(per_s, max(1, per_s // _BURSTS_PER_S))

    def cost_us(self, count: int) -> int:
        """How long ``count`` recipients take, rounded up: an error is never in the sender's favour."""
        return -(-count * _SECOND_US // self.per_s)


class Reservation(msgspec.Struct, frozen=True):
    """When a request may begin, and when its sender's throughput is paid for."""

    start_ms: int
    free_us: int


def reserve(free_us: int, now_ms: int, count: int, rate: Rate) -> Reservation:
    """Reserve ``count`` recipients of a sender whose throughput is used up until ``free_us``.

    A request larger than the burst begins when nothing is owed, and owes all it takes.
    """
    tolerance_us = rate.burst * _SECOND_US // rate.per_s
    earliest_us = free_us + rate.cost_us(min(count, rate.burst)) - tolerance_us
    start_ms = max(now_ms, -(-earliest_us // 1000))
    return Reservation(start_ms, max(free_us, start_ms * 1000) + rate.cost_us(count))
