"""One owner of a partition of requests: the real shell of plan (``streams/worker/plan.py``) in a member of the group."""

from collections.abc import Mapping
from typing import Final

import msgspec

from broker.plan.state import PlanState
from schemas import topics
from streams.kafka.faust_app.commits import Place
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.journal_terms import JournalTerms
from streams.runtime.settings import load
from streams.worker.plan import PlanShard
from streams.worker.resources import LaneParts
from tests.pure.schedules.plan.world import LANE, PARTITION, SHARDS, PlanWorld
from tests.pure.schedules.runner import Runner
from tests.pure.schedules.shells.member import Input, Member
from tests.support.plan_bench import BOOK, PEPPER

_SETTINGS: Final = load(shards=SHARDS)


class PlanOwner(Member):
    """The memory of one process for one partition. ``shard_type`` is the shell that it runs."""

    shard_type: type[PlanShard] = PlanShard

    def __init__(self, world: PlanWorld, runner: Runner, number: int) -> None:
        self.world = world
        self.parts = parts = LaneParts(_SETTINGS, LANE)
        parts.pepper, parts.address_book = PEPPER, BOOK
        parts.registry, parts.windows = world.registry, world.policy.windows
        self.shard = self.shard_type(parts, PARTITION, done=self.done, committed=self.stored)
        self.shard.policy = msgspec.structs.replace(self.shard.policy, bite=3)
        super().__init__(world, runner, number)

    @property
    def state(self) -> PlanState:
        """What the journal says so far."""
        return self.shard.state

    @property
    def idle(self) -> bool:
        """Whether everything published is judged, written and committed, by whoever owns the journal."""
        return self.shard.journal._ownership is not None and self.world.requests.end == self.world.committed

    @property
    def inputs(self) -> Mapping[Place, Input]:
        return {(topics.requests(LANE), PARTITION): Input(self._requests, lambda: self.world.requests.end)}

    def _requests(self, start: int, stop: int) -> list[Delivered]:
        world = self.world
        given = [(world.given(offset)) for offset in range(start, min(stop, world.requests.end))]
        place = (topics.requests(LANE), PARTITION)
        return [
            Delivered(*place, one.origin.offset, one.timestamp_ms, one.key, one.value, one.headers, 0) for one in given
        ]

    def committed_offset(self, _place: Place) -> int:
        return self.world.committed

    def store(self, _place: Place, offset: int) -> None:
        self.world.committed = offset

    async def start(self) -> None:
        await self.parts.start()

    def assigned(self, terms: JournalTerms) -> None:
        self.loop.create_task(self._open(terms))

    async def _open(self, terms: JournalTerms) -> None:
        """As ``LaneWorker`` does: the group is asked how far it had finished."""
        committed = await self.world.cluster.ask(self.finished)
        if terms.still_assigned():
            self.shard.start(terms, committed)

    def finished(self) -> int:
        """Below what all inputs are finished, as the group says it before the journal is opened."""
        return self.world.committed

    async def revoked(self) -> None:
        await self.shard.stop()

    def deliver(self, record: Delivered) -> None:
        self.shard.deliver(record)
