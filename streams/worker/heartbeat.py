"""Publishes the heartbeats of a worker's shards, and says how long ago the last one came through (``broker/heartbeat.py``)."""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from broker.heartbeat import businesses, event
from schemas import topics
from schemas.wire.timestamps import text_of as instant
from streams.kafka.producer import Outgoing
from streams.runtime import clock, metrics
from streams.runtime.log import Event, log
from streams.worker.resources import LaneParts
from streams.worker.settle import SettleShard

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
            if serving:
                await self._parts.outputs.confirm([self._beat(shard) for shard in serving])

    def _beat(self, shard: int) -> Outgoing:
        settings, now_ms = self._parts.settings, clock.now_ms()
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
            metrics.HEARTBEAT_AGE.of(lane, str(shard)).follow(_age_of(settle))
        self._shown = set(serving)
        late = {shard for shard, settle in serving.items() if _age_of(settle)() > self._late_s}
        for shard in sorted(late - self._late):
            log(Event.HEARTBEAT_LATE, component="heartbeat", shard=shard, seconds=round(_age_of(serving[shard])()))
        self._late = late

    @property
    def _late_s(self) -> float:
        """Returns how old a heartbeat is that need not come any more, seconds."""
        return _LIFE_BEATS * self._parts.settings.heartbeat_ms / 1000


def _age_of(settle: SettleShard) -> Callable[[], float]:
    return lambda: (clock.now_ms() - settle.heartbeat_ms) / 1000
