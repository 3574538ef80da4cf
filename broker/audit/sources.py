"""Describes the auditor's sources as plain values: records of topics, rows of the ledger, events of the gateway, its rules."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from schemas.gateway_api import GatewayEvent
from schemas.lanes import Lane, Windows
from schemas.registry import DEFAULT_SHARES

Place = tuple[str, int]
"""Topic and partition."""


class Logged(msgspec.Struct, frozen=True, gc=False):
    """Holds one record as it stands in Kafka."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Log time: when the broker appended it, milliseconds since the epoch."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def where(self) -> str:
        """Topic, partition and offset as they are printed: ``outcomes.otp/3@17``."""
        return f"{self.topic}/{self.partition}@{self.offset}"


class LedgerRow(msgspec.Struct, frozen=True, gc=False):
    """Holds the ranks that the ledger's book has charged of one request in one shard."""

    request: bytes
    shard: int
    ranks: bytes
    """A serialised roaring bitmap."""


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """Holds one side of a posting: positive if the business owes the amount, negative if it is credited."""

    posting: int
    business: str
    account: str
    currency: str
    amount_micro: int
    """Millionths of the currency."""


class LedgerPosting(msgspec.Struct, frozen=True, gc=False):
    """A row of the book that a billing event must repeat."""

    business: str
    partition: int
    """Of ``charges``."""
    offset: int
    at_ms: int
    """When the charge was decided, milliseconds since the epoch."""
    request: bytes
    messages: int
    amount_micro: int
    """Millionths of the currency, of all messages of the posting."""
    currency: str


class Ledger(msgspec.Struct, frozen=True):
    """The book. ``upto`` maps a partition of ``charges`` to the offset that is read next."""

    rows: Iterable[LedgerRow] = ()
    entries: Sequence[LedgerEntry] = ()
    upto: Mapping[int, int] = {}
    postings: Iterable[LedgerPosting] = ()
    """Those of each business in the order of posting: its first one is serial 1."""


class Dump(msgspec.Struct, frozen=True):
    """All that one audit is about. Each iterable is read once, topic by topic; each partition in the order of its offsets."""

    topics: Mapping[str, Iterable[Logged]]
    ledger: Ledger = Ledger()
    gateway: Sequence[Iterable[GatewayEvent]] = ()
    """The logs of the gateway's listeners, each with its oldest event first."""


class Limits(msgspec.Struct, frozen=True):
    """Holds the gateway's limits, recomputed over the union of its logs. Fanfare's own: ``audit/limit_checks.py``."""

    pair_every_ms: int = 6_000
    """Milliseconds in which one more message to the same person is allowed: ten a minute."""
    pair_burst: int = 45
    sender_burst_ms: int = 1_000
    """Milliseconds of its own throughput that a sender may have saved up; counted once per listener."""
    jitter_ms: int = 50
    """Between the moment that a listener judged and the one it wrote down."""
    drift_ms: int = 300
    """``e`` of the rate bound. 2e: a slot is used 240 ms late, its frame leaves 160 ms later, clocks and ways differ 200."""
    shares: Mapping[str, int] = msgspec.field(default_factory=lambda: DEFAULT_SHARES)
    """Lane -> percent of a sender's throughput, where the sender names none."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Holds the spans and bounds that the logs are checked against."""

    now_ms: int
    """When the reading began: what is younger cannot be missed yet."""
    shards: int
    pepper: bytes | None = None
    """Recomputes recipient ids; None: cannot."""
    windows: Mapping[Lane, Windows] = msgspec.field(default_factory=lambda: {lane: lane.rules.windows for lane in Lane})
    lag_ms: int = 10 * 60_000
    """Milliseconds that an input may wait for its verdict, work for being opened, a delivery for its charge."""
    finish_ms: int = 60_000
    """Milliseconds after its expiry at which a message may still be open in deliver."""
    stop_ms: int = 100
    """The STOP bound without the frame's own span, which is the lane's."""
    skew_ms: int = 50
    """Milliseconds by which the clocks of Kafka and the gateway may differ."""
    limits: Limits | None = Limits()
    """None: switched off."""
    quiet: bool = False
    """Nothing more is to come: what is unfinished, uncharged or unbooked is a violation whatever its window says."""
    canary: str = ""
    """A secret that must be found nowhere; empty: none."""
    committed: Mapping[Place, int] = {}
    """Offsets of the lanes' groups."""
    starts: Mapping[Place, int] = {}
    """Where each log begins; below lies what retention took."""

    def stop_bound_ms(self, lane: Lane) -> int:
        """Returns how long after the acknowledgement of a STOP a hand-off of ``lane`` may still be accepted."""
        return self.stop_ms + self.windows[lane].frame_ms

    def late(self, at_ms: int, grace_ms: int | None = None) -> bool:
        """Returns whether something that happened at ``at_ms`` should have had its consequence by now."""
        return self.quiet or self.now_ms - at_ms > (self.lag_ms if grace_ms is None else grace_ms)
