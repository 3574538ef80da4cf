"""Sender throughput: one GCRA per sender, reserved at acceptance for explicit recipients; and when a list will be through.

Plan is the one writer of a business in its lane, so the limit is exact at its source and no shard talks to another
(PROTOCOL.md section 5, 1). The state of a sender is one instant: when all that was reserved is paid for. It stands in the
journal (``Planned.free_us``), so the fold needs neither the registry nor the rate of that time.

*Bound.* In any window of T seconds the starts of at most rate * T + burst recipients lie: a request of more people than a burst
is not sent at its start but goes out in the sender's slots, as lists do (``broker/deliver/pace.py``). Lists reserve nothing.
"""

from typing import Final

import msgspec

_SECOND_US: Final = 1_000_000
_BURSTS_PER_S: Final = 10
"""A burst is a tenth of a second's worth: enough that single messages seldom wait, and in any second at most a tenth
above the rate."""


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


class Outlook(msgspec.Struct, frozen=True):
    """How a request goes out: what the business is told when it is accepted."""

    per_s: int = 0
    """Messages a second of the sender's slots; 0: all of it at once."""
    people: int = 0
    """0: not known."""
    through_ms: int = 0
    """0: at once, or not known."""


def outlook(people: int, rate: Rate, *, listed: bool, start_ms: int, through_ms: int) -> Outlook:
    """Returns how ``people`` go out from ``start_ms`` on, after what the sender's slots owe until ``through_ms``.

    An estimate: what else the number sends meanwhile takes its part of the slots.
    """
    if not listed and people <= rate.burst:
        return Outlook(0, people, 0)
    begins_ms = max(start_ms, through_ms) if listed else start_ms
    ends_ms = begins_ms + -(-rate.cost_us(people) // 1000) if people else 0
    return Outlook(rate.per_s, people, ends_ms)


def unreached(view: Outlook, expires_ms: int) -> int:
    """Returns how many people a request cannot reach before it expires, at its rate."""
    late_ms = view.through_ms - expires_ms
    return min(view.people, -(-late_ms * view.per_s // 1000)) if late_ms > 0 else 0
