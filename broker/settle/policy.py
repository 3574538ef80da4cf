"""Defines settle's policy, its outputs, and its counts."""

from typing import NamedTuple

import msgspec

from broker.settle.deadlines import QUIET_MS
from schemas.facts import Charge
from schemas.status import Status
from schemas.topics import SHARDS


class SettlePolicy(msgspec.Struct, frozen=True):
    """Holds what is fixed for one shard of one lane."""

    shard: int
    settle_ms: int
    """Evidence counts this long after the request's expiry."""
    speak_ms: int = 1_000
    """Between two running statuses of a request."""
    prompt_ranks: int = 8
    """Requests of so many explicit recipients here are told at once."""
    quarantine_limit: int = 65_536
    calm_ms: int = 60_000
    """A closed request of few recipients goes to the shelf when nothing has happened to it for so long."""
    shards: int = SHARDS
    """Over how many shards a sender's rate is spread."""

    @property
    def quiet_ms(self) -> int:
        """Silence after which a log counts as read to its end; short when tests have short windows."""
        return min(QUIET_MS, self.settle_ms)

    @property
    def ending_ms(self) -> int:
        """Returns how long after the end of its window a request may still be kept: so much more a fold has to hold."""
        return self.quiet_ms + self.end_width_ms

    @property
    def end_width_ms(self) -> int:
        """Returns how exactly the end of a window is kept."""
        return max(1, min(QUIET_MS, self.settle_ms // 8))


class SettleEffects(NamedTuple):
    """Holds what is to be written: charges for the ledger, statuses for businesses."""

    charges: list[Charge]
    statuses: list[tuple[str, Status]]


class SettleCounts(msgspec.Struct):
    """Counts what the join has met since it began, in messages; ``worker/record_metrics.py`` shows what no rebuild counted."""

    received: int = 0
    """Receipts that counted."""
    late: int = 0
    """Receipts after the window: never billed."""
    stray: int = 0
    """Receipts about ranks that do not exist."""
    charged: int = 0
    contradictions: int = 0
    """Failed and delivered."""
    known: int = 0
    """Had a final word when their window ended; no heartbeats."""
    unknown: int = 0
    """Had none; no heartbeats."""
    heartbeat_ms: int = 0
    """Event time of the newest heartbeat that came through."""
