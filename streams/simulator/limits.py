"""The platform's throughput limit: a token bucket per sender that holds one second of its rate.

Kept apart from the broker's limits on purpose, as the one per person is (``pairs.py``): the broker must respect what it does not
compute. Both count within this process, so a number that several listeners serve has its throughput divided among them in the
registry (``Sender.shares``).
"""

from typing import Final

import msgspec

_US: Final = 1_000
_TOKEN: Final = 1_000_000


class _Bucket(msgspec.Struct):
    """Tokens of a number, in parts: a token has :data:`_TOKEN` of them, and each microsecond brings ``rate_per_s``, exactly."""

    rate_per_s: int
    """Tokens a second."""
    at_us: int
    parts: int

    def fill(self, now_us: int) -> None:
        """Add what came since the last time, up to one second's worth. A clock that was set back waits for its old time."""
        if now_us > self.at_us:
            self.parts = min(self.rate_per_s * _TOKEN, self.parts + (now_us - self.at_us) * self.rate_per_s)
            self.at_us = now_us


class SenderThroughput:
    """Tokens of each sender."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}

    def take(self, sender: str, rate_per_s: int, wanted: int, now_ms: int) -> int:
        """Take up to ``wanted`` tokens; returns how many there were."""
        rate, now_us = max(1, rate_per_s), now_ms * _US
        bucket = self._buckets.get(sender)
        if bucket is None or bucket.rate_per_s != rate:
            bucket = self._buckets[sender] = _Bucket(rate, now_us, rate * _TOKEN)
        bucket.fill(now_us)
        granted = min(wanted, bucket.parts // _TOKEN) if now_us >= bucket.at_us else 0
        bucket.parts -= granted * _TOKEN
        return granted

    def wait_ms(self, sender: str, place: int, now_ms: int) -> int:
        """Returns how long until there will be ``place`` + 1 tokens again."""
        bucket = self._buckets[sender]
        missing = (place + 1) * _TOKEN - bucket.parts
        due_us = bucket.at_us - (-missing // bucket.rate_per_s)
        return max(1, -(-(due_us - now_ms * _US) // _US))
