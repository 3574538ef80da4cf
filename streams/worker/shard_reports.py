"""Publishes what is known of a worker's shards: their heartbeats (``broker/heartbeat.py``), and how many people are on a list."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from broker.heartbeat import businesses, event
from schemas import topics
from schemas.facts import ListSize
from schemas.wire.timestamps import text_of as instant
from streams.kafka.producer import Outgoing
from streams.runtime import metrics
from streams.runtime.events import Event
from streams.runtime.log import log
from streams.worker.resources import LaneParts
from streams.worker.settle import SettleShard
from streams.worker.tails import LaneFacts

_LIFE_BEATS = 6
"""A heartbeat that is later than this many intervals need not come any more."""


class Heart:
    """Beats for the shards that are served now."""

    def __init__(self, parts: LaneParts, serving: Callable[[], Mapping[int, SettleShard]]) -> None:
        self._parts = parts
        self._serving = serving
        self._shown: set[int] = set()
        self._late: set[int] = set()

    async def beat(self) -> None:
        """For ever, once an interval."""
        while True:
            await asyncio.sleep(self._parts.settings.heartbeat_ms / 1000)
            serving = self._serving()
            self._show(serving)
            # A time that nobody has compared may be an hour ahead: plan would refuse the heartbeat as one from the future.
            if serving and self._parts.time.known:
                await self._parts.outputs.confirm([self._beat(shard) for shard in serving])

    def _beat(self, shard: int) -> Outgoing:
        settings, now_ms = self._parts.settings, self._parts.time.now_ms()
        lane, shards = self._parts.lane, settings.shards
        body = event(
            lane,
            shard,
            pepper=self._parts.pepper,
            shards=shards,
            times=(instant(now_ms), instant(now_ms + _LIFE_BEATS * settings.heartbeat_ms)),
            serial=f"{settings.slot}-{shard}-{now_ms}",
        )
        key = businesses(shards)[shard].encode()
        return Outgoing(topics.requests(lane), msgspec.json.encode(body), key=key, partition=shard)

    def _show(self, serving: Mapping[int, SettleShard]) -> None:
        lane = self._parts.lane.word
        for shard in self._shown - set(serving):
            metrics.HEARTBEAT_AGE.drop(lane, str(shard))
        for shard, settle in serving.items():
            metrics.HEARTBEAT_AGE.of(lane, str(shard)).follow(self._age_of(settle))
        self._shown = set(serving)
        late = {shard for shard, settle in serving.items() if self._age_of(settle)() > self._late_s}
        for shard in sorted(late - self._late):
            log(Event.HEARTBEAT_LATE, component="heartbeat", shard=shard, seconds=round(self._age_of(serving[shard])()))
        self._late = late

    @property
    def _late_s(self) -> float:
        """Returns how old a heartbeat is that need not come any more, seconds."""
        return _LIFE_BEATS * self._parts.settings.heartbeat_ms / 1000

    def _age_of(self, settle: SettleShard) -> Callable[[], float]:
        return lambda: (self._parts.time.now_ms() - settle.heartbeat_ms) / 1000


_EVERY_S: Final = 1.0
"""Seconds that a size may be old that a business is told."""
_AT_ONCE: Final = 1_000
"""Entries written together: about 100 bytes each."""

_encoder = msgspec.json.Encoder()


class SizeTeller:
    """Writes the sizes that changed. Two lanes follow the same audience: what one has told the other leaves out."""

    def __init__(self, parts: LaneParts, facts: LaneFacts) -> None:
        self._parts = parts
        self._facts = facts

    async def tell(self, serving: Callable[[], Iterable[int]]) -> None:
        """Write what changed in the shards that are served, once a second, for ever."""
        while True:
            await asyncio.sleep(_EVERY_S)
            records = [_size_record(size) for shard in sorted(serving()) for size in self._changed(shard)]
            for at in range(0, len(records), _AT_ONCE):
                await self._parts.outputs.confirm(records[at : at + _AT_ONCE])

    def _changed(self, shard: int) -> list[ListSize]:
        audience = self._facts.shard(shard).audience
        changed, audience.changed = audience.changed, set()
        sizes = (ListSize(*key, shard, audience.size(*key), audience.upto) for key in sorted(changed))
        return [size for size in sizes if not self._parts.sizes.knows(size)]


def _size_record(size: ListSize) -> Outgoing:
    key = f"{size.business}/{size.list}/{size.shard}".encode()
    return Outgoing(topics.SIZES, _encoder.encode(size), key=key, partition=0)
