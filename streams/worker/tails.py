"""Follows other logs for a lane's shards, each by a tail: suppressions, audiences, words of control and the registry.

A shard's tails start when it is first assigned and stay warm until the process ends: a rebalance revokes every shard each
time, and most come back at once. The freshness of a tail is the age of the moment up to which everything acknowledged has
been applied (PROTOCOL.md section 1.7).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from broker.audience.consent import Consent
from broker.audience.members import Audience
from broker.audience.sizes import ListSizes
from broker.deliver.decide import Facts
from broker.registry.fold import RegisteredRates, Registry
from broker.standing import Controls
from schemas import topics
from schemas.facts import AudienceChange, ControlWord, Suppressions
from schemas.lanes import Lane
from schemas.wire.header import Kind, NewerRecordError, unpack
from streams.kafka.reader import LogRecord
from streams.kafka.set_aside import SetAside, refuse_newer
from streams.kafka.tail import REGISTRY_WAIT_MS, Tail
from streams.registry.follow import registry_tail
from streams.runtime import clock
from streams.runtime.kafka_access import Address

CATCH_UP_S = 30.0
"""Seconds for which reading what a shard needs may stand still; then the process ends and tries again."""

_HEARD = 1_000
"""Opt-outs while one frame is in the air, of one shard."""


class ShardFacts:
    """The joins of one shard."""

    def __init__(self) -> None:
        self.consent = Consent()
        self.audience = Audience()
        self.suppressed_upto = -1
        self.heard_ms: deque[int] = deque(maxlen=_HEARD)
        """Kafka's times of opt-outs of which a frame in the air may not know; of a shard that is not ours, the last ones."""


class LaneFacts:
    """Tails for the shards of one process, and the registry. A lane without lists (``sizes`` is None) needs no audiences."""

    def __init__(
        self,
        bootstrap: Address,
        registry: Registry,
        changed: Callable[[int], None],
        *,
        lane: Lane,
        aside: SetAside,
        sizes: ListSizes | None,
    ) -> None:
        self._bootstrap = bootstrap
        self._aside = aside
        self._changed = changed
        self._lists = sizes is not None
        self._rate_of = RegisteredRates(registry.senders, lane)
        self._lane = lane
        self.waiting = 0
        """Counts who waits for logs that are being read: inputs may lie meanwhile, for one that stands still ends the process."""
        self.said_ms: dict[int, int] = {}
        """Offset of each word of control to Kafka's time of it."""
        self.registry = registry
        self._shards: dict[int, ShardFacts] = {}
        self._tails: dict[int, tuple[Tail, ...]] = {}
        """In the order of :attr:`followed`."""
        self._starting = asyncio.Lock()
        self._controls = Controls()
        self._controls_tail = Tail(bootstrap, topics.CONTROLS, self._on_controls)
        self._common = [
            registry_tail(bootstrap, registry, aside),
            self._controls_tail,
        ]
        if sizes is not None:
            self._sizes = sizes
            self._common.append(Tail(bootstrap, topics.SIZES, self._on_sizes, wait_ms=REGISTRY_WAIT_MS))

    @property
    def followed(self) -> tuple[str, ...]:
        """Returns the topics that are followed for each shard."""
        return (topics.SUPPRESSIONS, topics.AUDIENCE) if self._lists else (topics.SUPPRESSIONS,)

    async def start(self) -> None:
        """Follow the registry, words of control and the sizes of lists; returns when they have been read to their ends."""
        await asyncio.gather(*(tail.start() for tail in self._common))
        await self._caught_up(self._common)

    async def stop(self) -> None:
        """Follow nothing any more."""
        for tail in self._common:
            await tail.stop()
        for tail in self._tails_of(self._tails):
            await tail.stop()

    def shard(self, shard: int) -> ShardFacts:
        """The joins of ``shard``; empty before :meth:`follow`."""
        return self._shards.setdefault(shard, ShardFacts())

    async def follow(self, shards: Iterable[int]) -> None:
        """Follow these shards as well; returns when what is known of them has been read to its ends."""
        wanted = sorted(shards)
        async with self._starting:  # two assignments may follow one another faster than a tail starts
            missing = [shard for shard in wanted if shard not in self._tails]
            if missing:
                await self._follow_more(missing)
        await self._caught_up(self._tails_of(wanted))

    def _tails_of(self, shards: Iterable[int]) -> Iterable[Tail]:
        """Returns each tail that follows some of ``shards`` once; in an order, so that a schedule can be run again."""
        return dict.fromkeys(tail for shard in shards for tail in self._tails[shard])

    async def _caught_up(self, tails: Iterable[Tail]) -> None:
        self.waiting += 1
        try:
            await asyncio.gather(*(tail.caught_up(CATCH_UP_S) for tail in tails))
        finally:
            self.waiting -= 1

    async def _follow_more(self, shards: list[int]) -> None:
        apply = {topics.SUPPRESSIONS: self._on_suppressions, topics.AUDIENCE: self._on_audience}
        tails = [Tail(self._bootstrap, topic, apply[topic], partitions=shards) for topic in self.followed]
        await asyncio.gather(*(tail.start() for tail in tails))
        self._tails.update(dict.fromkeys(shards, tuple(tails)))

    def of(self, shard: int, *, uncommitted_ms: int | None, now_ms: int) -> Facts:
        """Returns the facts for one decision at ``now_ms``, with the moments up to which they are complete."""
        facts = self._shards[shard]
        monotonic = clock.monotonic_ms()
        suppressed_age_ms, *audience_age_ms = (tail.fresh_ms(shard) for tail in self._tails[shard])
        return Facts(
            consent=facts.consent,
            audience=facts.audience,
            suppressed_upto=facts.suppressed_upto,
            suppressed_fresh_ms=now_ms - max(suppressed_age_ms, self._controls_tail.fresh_ms(0)),
            audience_read_ms=monotonic - max(audience_age_ms, default=0),
            monotonic_ms=monotonic,
            rate_of=self._rate_of,
            controls=self._controls,
            uncommitted_ms=uncommitted_ms,
        )

    def oldest_ms(self, topic: str, shards: Iterable[int]) -> int:
        """Returns the age of the oldest view of ``topic`` among ``shards``, or of the one view that all shards share."""
        shared = [tail.fresh_ms(0) for tail in self._common if tail.topic == topic]
        if shared:
            return max(shared)
        tails = ((shard, tail) for shard in shards for tail in self._tails.get(shard, ()))
        return max((tail.fresh_ms(shard) for shard, tail in tails if tail.topic == topic), default=0)

    def _on_controls(self, partition: int, records: Sequence[LogRecord]) -> None:
        self._aside.each(topics.CONTROLS, partition, records, self._control)
        for shard in self._tails:
            self._changed(shard)

    def _control(self, record: LogRecord) -> None:
        header, word = unpack(record.value or b"", ControlWord, Kind.CONTROL)
        if header.lane is self._lane:
            self._controls.apply(word, record.offset)
            self.said_ms[record.offset] = record.timestamp_ms

    def _on_sizes(self, partition: int, records: Sequence[LogRecord]) -> None:
        self._aside.each(topics.SIZES, partition, records, lambda record: self._sizes.read(record.value or b""))

    def _on_suppressions(self, shard: int, records: Sequence[LogRecord]) -> None:
        facts = self.shard(shard)
        self._aside.each(topics.SUPPRESSIONS, shard, records, lambda record: _suppress(facts, record))
        facts.suppressed_upto = records[-1].offset
        self._changed(shard)

    def _on_audience(self, shard: int, records: Sequence[LogRecord]) -> None:
        audience = self.shard(shard).audience
        self._aside.each(topics.AUDIENCE, shard, records, lambda record: _change(audience, shard, record))
        self._changed(shard)


def _suppress(facts: ShardFacts, record: LogRecord) -> None:
    """Folds what people said in one record; whatever of it can be read holds, then ``ValueError`` for the rest."""
    entries = unpack(record.value or b"", Suppressions, Kind.SUPPRESSION)[1].entries
    unknown: ValueError | None = None
    for entry in entries:
        try:
            facts.consent.apply(entry)
        except ValueError as error:  # a scope of a newer release
            unknown = error
    if any(entry.revoke for entry in entries):
        facts.heard_ms.append(record.timestamp_ms)
    if unknown is not None:
        raise unknown


def _change(audience: Audience, shard: int, record: LogRecord) -> None:
    """Folds one change of lists. Ends the process at one that a newer release can read.

    Ordinals are the order of first appearance, and frozen members are ordinals: who counts otherwise tells other people.
    """
    try:
        change = unpack(record.value or b"", AudienceChange, Kind.AUDIENCE)[1]
    except NewerRecordError as error:
        refuse_newer(topics.AUDIENCE, shard, record.offset, error)
    audience.apply(change, record.offset)
