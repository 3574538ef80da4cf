"""One owner of a shard's join: the real shell of settle (``streams/worker/settle.py``) in a member. Nothing here is fenced."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Final, cast

from msgspec.structs import replace

from broker.registry.fold import Registry
from broker.settle.engine import Settle
from schemas.lanes import Lane
from streams.kafka.faust_app.commits import Place
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.journal_terms import JournalTerms
from streams.runtime import clock
from streams.runtime.settings import load
from streams.worker import settle
from streams.worker.resources import LaneParts
from streams.worker.settle import SettleShard
from tests.pure.schedules.deliver.world import LONG_LIFE_MS
from tests.pure.schedules.runner import Runner
from tests.pure.schedules.settle.world import PLACES, SETTLE_MS, SettleWorld
from tests.pure.schedules.shells.member import Input, Member
from tests.pure.schedules.shells.process import StandIn
from tests.support.virtual_loop import running_loop

_SETTINGS: Final = load()


class WatchedShard(SettleShard):
    """The shell; it is known when nothing that follows from what was joined is on its way."""

    at_rest = False

    async def _effects(self) -> None:
        self.at_rest = False
        await super()._effects()
        self.at_rest = True


class SettleOwner(Member):
    """The memory of one process for one shard. ``shard_type`` is the shell, ``settle_type`` the join that it makes."""

    shard_type: type[WatchedShard] = WatchedShard
    settle_type: type[Settle] = Settle
    rebalanced = 0.2

    def __init__(self, world: SettleWorld, runner: Runner, number: int) -> None:
        self.world = world
        self.parts = parts = LaneParts(_SETTINGS, Lane.UPDATE)
        parts.registry = cast(Registry, SimpleNamespace(cards=world.cards))
        parts.windows = replace(parts.windows, lifetime_max_ms=LONG_LIFE_MS, settle_ms=SETTLE_MS, clock_slack_ms=0)
        self.shard: WatchedShard | None = None
        super().__init__(world, runner, number)

    @classmethod
    def stands(cls) -> tuple[StandIn, ...]:
        """Stand-ins for what the shell makes by itself."""
        return (
            (settle, "SettlePolicy", lambda *_, **__: running_loop().owner.world.policy),
            (settle, "Settle", cls.settle_type),
            *cls.stand_ins,
        )

    @property
    def idle(self) -> bool:
        """Whether everything is joined and committed, and every window is over."""
        if self.shard is None or not self.shard.at_rest:
            return False
        ends = {name: log.end for name, log in self.world.logs.items()}
        return self.world.committed == ends and self.shard._settle.open_count == 0

    @property
    def inputs(self) -> Mapping[Place, Input]:
        logs = {place: self.world.logs[name] for place, name in PLACES.items()}
        return {place: Input.of(place, log) for place, log in logs.items()}

    def committed_offset(self, place: Place) -> int:
        return self.world.committed[PLACES[place]]

    def store(self, place: Place, offset: int) -> None:
        self.world.committed[PLACES[place]] = offset

    async def start(self) -> None:
        await self.parts.start()
        self.shard = self.shard_type(self.parts, 0, done=self.done, read_to_end=self.read_to_end)

    def assigned(self, terms: JournalTerms) -> None:
        self.loop.create_task(self._open(terms))

    async def _open(self, terms: JournalTerms) -> None:
        """As ``LaneWorker`` does: the group is asked how far it had finished."""
        committed = await self.world.cluster.ask(lambda: {place: self.committed_offset(place) for place in PLACES})
        # Meanwhile the journals of this process are claimed.
        sent_ms = clock.monotonic_ms()
        self.parts.time.note("claim", await self.world.cluster.ask(lambda: self.world.now), sent_ms)
        if terms.still_assigned():
            assert self.shard is not None
            self.shard.start(committed)

    async def revoked(self) -> None:
        assert self.shard is not None
        await self.shard.stop()

    def deliver(self, record: Delivered) -> None:
        assert self.shard is not None
        self.shard.deliver(record)
