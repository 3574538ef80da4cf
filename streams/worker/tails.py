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
from broker.registry.fold import RateOf, Registry
from broker.standing import Controls
from schemas import topics
from schemas.facts import AudienceChange, ControlWord, Suppressions
from schemas.lanes import Lane
from schemas.wire.header import body_of, unpack
from streams.kafka.reader import LogRecord
from streams.kafka.tail import REGISTRY_WAIT_MS, Tail
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from streams.runtime.log import Event, log

CATCH_UP_S = 30.0
"""Seconds that a shard may take to read its people; then the process ends and tries again."""

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
        rate_of: RateOf,
        sizes: ListSizes | None,
    ) -> None:
        self._bootstrap = bootstrap
        self._changed = changed
        self._lists = sizes is not None
        self._rate_of = rate_of
        self._lane = lane
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
            Tail(bootstrap, topics.REGISTRY, self._on_registry, wait_ms=REGISTRY_WAIT_MS),
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
        await asyncio.gather(*(tail.caught_up(CATCH_UP_S) for tail in self._common))

    async def stop(self) -> None:
        """Follow nothing any more."""
        for tail in self._common:
            await tail.stop()
        for tail in {tail for tails in self._tails.values() for tail in tails}:
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
        followed = {tail for shard in wanted for tail in self._tails[shard]}
        await asyncio.gather(*(tail.caught_up(CATCH_UP_S) for tail in followed))

    async def _follow_more(self, shards: list[int]) -> None:
        apply = {topics.SUPPRESSIONS: self._on_suppressions, topics.AUDIENCE: self._on_audience}
        tails = [Tail(self._bootstrap, topic, apply[topic], partitions=shards) for topic in self.followed]
        await asyncio.gather(*(tail.start() for tail in tails))
        self._tails.update(dict.fromkeys(shards, tuple(tails)))

    def of(self, shard: int, *, uncommitted_ms: int | None) -> Facts:
        """Returns the facts for one decision, with the moments up to which they are complete."""
        facts = self._shards[shard]
        now, monotonic = clock.now_ms(), clock.monotonic_ms()
        suppressed_age_ms, *audience_age_ms = (tail.fresh_ms(shard) for tail in self._tails[shard])
        return Facts(
            consent=facts.consent,
            audience=facts.audience,
            suppressed_upto=facts.suppressed_upto,
            suppressed_fresh_ms=now - max(suppressed_age_ms, self._controls_tail.fresh_ms(0)),
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

    def _on_registry(self, _partition: int, records: Sequence[LogRecord]) -> None:
        for record in records:
            if record.key is not None:
                self.registry.apply(record.key.decode(), record.value, offset=record.offset)
        log(Event.REGISTRY_APPLIED, component="facts", entries=len(records), upto=records[-1].offset + 1)

    def _on_controls(self, _partition: int, records: Sequence[LogRecord]) -> None:
        for record in records:
            header, word = unpack(record.value, ControlWord)
            if header.lane is self._lane:
                self._controls.apply(word, record.offset)
                self.said_ms[record.offset] = record.timestamp_ms
        for shard in self._tails:
            self._changed(shard)

    def _on_sizes(self, _partition: int, records: Sequence[LogRecord]) -> None:
        for record in records:
            self._sizes.read(record.value)

    def _on_suppressions(self, shard: int, records: Sequence[LogRecord]) -> None:
        facts = self.shard(shard)
        for record in records:
            entries = body_of(record.value, Suppressions).entries
            for entry in entries:
                facts.consent.apply(entry)
            if any(entry.revoke for entry in entries):
                facts.heard_ms.append(record.timestamp_ms)
            facts.suppressed_upto = record.offset
        self._changed(shard)

    def _on_audience(self, shard: int, records: Sequence[LogRecord]) -> None:
        audience = self.shard(shard).audience
        for record in records:
            audience.apply(body_of(record.value, AudienceChange), record.offset)
        self._changed(shard)
