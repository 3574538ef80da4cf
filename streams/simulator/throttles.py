"""The platform's own limits, kept apart from the broker's on purpose: the broker must respect what it does not compute.

*Throughput*: a token bucket per sender that holds one second of its rate. *Pair*: one message per (sender, recipient) every
6 s, where up to 45 may be borrowed from the future (WhatsApp's pair rate limit). Limits count within this process, so a number
that several listeners serve has its throughput divided among them in the registry (``Sender.shares``).
"""

from collections.abc import Sequence
from typing import Final

import msgspec

PAIR_EVERY_MS: Final = 6_000
PAIR_BURST: Final = 45

_SWEEP_FLOOR: Final = 4_096
_US: Final = 1_000
_TOKEN: Final = 1_000_000


class _Bucket(msgspec.Struct):
    """Tokens of a number, in parts: a token has :data:`_TOKEN` of them, and each microsecond brings ``rate_per_s``, exactly."""

    rate_per_s: int
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
        """How long until there will be ``place`` + 1 tokens again."""
        bucket = self._buckets[sender]
        missing = (place + 1) * _TOKEN - bucket.parts
        due_us = bucket.at_us - (-missing // bucket.rate_per_s)
        return max(1, -(-(due_us - now_ms * _US) // _US))


class PairLimit:
    """How often one sender may write to one person."""

    def __init__(self, every_ms: int = PAIR_EVERY_MS, burst: int = PAIR_BURST) -> None:
        self._every_ms = every_ms
        self._borrow_ms = every_ms * (burst - 1)
        self._paid_until_ms: dict[str, dict[bytes, int]] = {}
        self._sweep_at: dict[str, int] = {}

    def take(self, sender: str, recipient: bytes, now_ms: int) -> int:
        """Count one message; 0 if it may pass, else how many milliseconds to wait (and nothing is counted)."""
        pairs = self._paid_until_ms.setdefault(sender, {})
        paid_ms = max(pairs.get(recipient, now_ms), now_ms)
        over_ms = paid_ms - now_ms - self._borrow_ms
        if over_ms > 0:
            return over_ms
        pairs[recipient] = paid_ms + self._every_ms
        if len(pairs) > self._sweep_at.get(sender, _SWEEP_FLOOR):
            self._sweep(sender, now_ms)
        return 0

    def take_all(self, sender: str, recipients: Sequence[bytes], now_ms: int) -> dict[int, int]:
        """Count a message to each; the positions of those that may not pass, and how many milliseconds they have to wait."""
        pairs = self._paid_until_ms.setdefault(sender, {})
        if pairs.keys().isdisjoint(recipients) and len(set(recipients)) == len(recipients):
            pairs.update(dict.fromkeys(recipients, now_ms + self._every_ms))
            if len(pairs) > self._sweep_at.get(sender, _SWEEP_FLOOR):
                self._sweep(sender, now_ms)
            return {}
        waits = ((place, self.take(sender, one, now_ms)) for place, one in enumerate(recipients))
        return {place: wait_ms for place, wait_ms in waits if wait_ms}

    def _sweep(self, sender: str, now_ms: int) -> None:
        """Forget the pairs that owe nothing; again when there are twice as many as are left now."""
        live = {person: until for person, until in self._paid_until_ms[sender].items() if until > now_ms}
        self._paid_until_ms[sender] = live
        self._sweep_at[sender] = max(_SWEEP_FLOOR, 2 * len(live))
