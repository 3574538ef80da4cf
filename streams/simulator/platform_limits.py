"""Limits what the platform takes: a token bucket for each sender, and one message in 6 s for each pair of sender and person.

Kept apart from the broker's limits on purpose: the broker must respect what it does not compute. The limits count within this
process, so a number that several listeners serve has its throughput divided among them in the registry (``Sender.shares``).

The second is WhatsApp's pair rate limit, of which 45 may be borrowed from the future. People who are written to a few at a
time stand in a dict; a number that writes to hundreds at once gets columns, in which a frame costs a third of a microsecond a
person. Whoever owes nothing any more is forgotten each time that a number's people have doubled.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.wire.columns import cells
from streams.simulator.id_set import ID_BYTES, IdTable

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


PAIR_EVERY_MS: Final = 6_000
PAIR_BURST: Final = 45

_FEW_BYTES: Final = 256 * ID_BYTES
_SWEEP_FLOOR: Final = 4_096
_NOBODY: Final[Mapping[bytes, int]] = MappingProxyType({})

_Columns = npt.NDArray[np.int64]


class PairLimit:
    """Bounds how often one sender may write to one person."""

    def __init__(self, every_ms: int = PAIR_EVERY_MS, burst: int = PAIR_BURST) -> None:
        self._every_ms = every_ms
        self._borrow_ms = every_ms * (burst - 1)
        self._senders: dict[str, _Few | _Many] = {}

    def __len__(self) -> int:
        """Returns how many people are remembered, over all senders."""
        return sum(map(len, self._senders.values()))

    def take(self, sender: str, column: bytes, now_ms: int) -> dict[int, int]:
        """Counts a message to each id of ``column``; the positions of those that may not pass, and how many milliseconds to wait.

        Who may not pass is not counted.
        """
        held = self._senders.setdefault(sender, _Few())
        if isinstance(held, _Few) and len(column) > _FEW_BYTES:
            held = self._senders[sender] = _Many(held.until_ms)
        waits = held.take(column, now_ms, self._every_ms, self._borrow_ms)
        if len(held) > held.sweep_at:
            self._senders[sender] = held.swept(now_ms)
        return waits


class _Few:
    """Until when people have paid, one by one."""

    def __init__(self, until_ms: Mapping[bytes, int] = _NOBODY) -> None:
        self.until_ms = dict(until_ms)
        self.sweep_at = max(_SWEEP_FLOOR, 2 * len(until_ms))

    def __len__(self) -> int:
        return len(self.until_ms)

    def take(self, column: bytes, now_ms: int, every_ms: int, borrow_ms: int) -> dict[int, int]:
        """Do what :meth:`PairLimit.take` says."""
        waits, people = {}, cells(column, ID_BYTES)
        strangers = dict.fromkeys(people, now_ms + every_ms)
        if len(strangers) == len(people) and self.until_ms.keys().isdisjoint(people):
            self.until_ms.update(strangers)
            return {}
        for place, person in enumerate(people):
            paid_ms = max(self.until_ms.get(person, now_ms), now_ms)
            if paid_ms - now_ms > borrow_ms:
                waits[place] = paid_ms - now_ms - borrow_ms
            else:
                self.until_ms[person] = paid_ms + every_ms
        return waits

    def swept(self, now_ms: int) -> "_Few":
        """Returns the same without whoever owes nothing."""
        return _Few({person: until for person, until in self.until_ms.items() if until > now_ms})


class _Many:
    """The same in columns: whose place in the table is n has paid until the n-th time."""

    def __init__(self, until_ms: Mapping[bytes, int] = _NOBODY) -> None:
        self._ids = IdTable()
        self._until_ms = np.empty(0, np.int64)
        self._add(b"".join(until_ms), np.fromiter(until_ms.values(), np.int64, len(until_ms)))
        self.sweep_at = max(_SWEEP_FLOOR, 2 * len(self))

    def __len__(self) -> int:
        return self._ids.count

    def take(self, column: bytes, now_ms: int, every_ms: int, borrow_ms: int) -> dict[int, int]:
        """Do what :meth:`PairLimit.take` says."""
        again = _again(column)
        if len(again):  # who stands there twice is judged twice, in order
            first = np.setdiff1d(np.arange(len(column) // ID_BYTES), again)
            parts = ((places, _part(column, places)) for places in (first, again))
            judged = [(places, self.take(part, now_ms, every_ms, borrow_ms)) for places, part in parts]
            return {int(places[at]): wait_ms for places, waits in judged for at, wait_ms in waits.items()}
        places = self._ids.places(column)
        known = places >= 0
        paid_ms = np.full(len(places), now_ms)
        paid_ms[known] = np.maximum(self._until_ms[places[known]], now_ms)
        passes = paid_ms - now_ms <= borrow_ms
        known &= passes
        self._until_ms[places[known]] = paid_ms[known] + every_ms
        fresh = np.flatnonzero(passes & ~known)
        if len(fresh):
            self._add(_part(column, fresh), np.full(len(fresh), now_ms + every_ms))
        late = np.flatnonzero(~passes)
        return dict(zip(late.tolist(), (paid_ms[late] - now_ms - borrow_ms).tolist(), strict=True))

    def swept(self, now_ms: int) -> "_Few | _Many":
        """Returns the same without whoever owes nothing; itself if those are fewer than half."""
        live = np.flatnonzero(self._until_ms[: len(self)] > now_ms)
        if not len(live):
            return _Few()
        swept = self
        if 2 * len(live) < len(self):
            swept = _Many()
            swept._add(self._ids.column(live), self._until_ms[live])
        swept.sweep_at = max(_SWEEP_FLOOR, 2 * len(swept))
        return swept

    def _add(self, column: bytes, until_ms: _Columns) -> None:
        """Take in people whom the table does not hold, each once."""
        at = len(self)
        self._ids.add(column)
        if len(self) > len(self._until_ms):
            self._until_ms = np.concatenate((self._until_ms[:at], np.empty(len(self), np.int64)))
        self._until_ms[at : len(self)] = until_ms


def _part(column: bytes, places: _Columns) -> bytes:
    if len(places) * ID_BYTES == len(column):
        return column
    return np.frombuffer(column, f"V{ID_BYTES}")[places].tobytes()


def _again(column: bytes) -> _Columns:
    """Return the places at which somebody stands who stands further ahead, too."""
    low = np.frombuffer(column, np.uint64)[::2]
    order = np.sort(low)
    if not (order[1:] == order[:-1]).any():
        return np.empty(0, np.int64)
    people = cells(column, ID_BYTES)
    first = {person: at for at, person in reversed(list(enumerate(people)))}
    return np.array([at for at, person in enumerate(people) if first[person] < at], np.int64)
