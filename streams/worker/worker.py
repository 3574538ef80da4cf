"""Runs a worker process: one lane, the shards that the group gives it, and the three stages of each.

The composition of a lane. The kernel (``kafka/faust_app/app.py``) says what is assigned; this says what then runs. Opening
journals happens in a task, for the kernel sends no heartbeat before ``on_assigned`` has returned.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping

import msgspec

from schemas import topics
from streams.gateway.port import Fenced, GatewayError
from streams.kafka.admin import committed_offsets
from streams.kafka.faust_app.app import FanfareApp
from streams.kafka.faust_app.commits import Place
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.grants import worker_user
from streams.kafka.journal import HELLO_DEADLINE_S
from streams.kafka.journal_terms import JournalTerms
from streams.kafka.start_check import safe_or_exit
from streams.runtime import clock
from streams.runtime.exits import Exit, fatal
from streams.worker import record_metrics
from streams.worker.deliver import DeliverShard
from streams.worker.plan import PlanShard
from streams.worker.resources import LaneParts
from streams.worker.settle import SettleShard
from streams.worker.shard_reports import Heart, SizeTeller
from streams.worker.shard_task import POLL_S
from streams.worker.tails import LaneFacts

STUCK_S = 30.0
"""An input that is not taken over for so long means that this process should be restarted."""

FINISH_S = 0.8
"""Seconds that an orderly stop waits for the gateway's answer. The kernel gives the whole of it three."""
_FLOORS_S = 60.0
"""A floor ages by the hour."""


class Shard(msgspec.Struct, frozen=True):
    """The three stages of one shard."""

    plan: PlanShard
    deliver: DeliverShard
    settle: SettleShard


class LaneWorker:
    """The kernel's hooks for one lane (:class:`streams.kafka.faust_app.hooks.ShardHooks`)."""

    def __init__(self, parts: LaneParts) -> None:
        self._parts = parts
        self._lane = parts.lane
        self._shards: dict[int, Shard] = {}
        self._serving: frozenset[int] = frozenset()
        self._tasks: set[asyncio.Task[None]] = set()
        self.app: FanfareApp | None = None
        self._facts = LaneFacts(
            parts.settings.kafka,
            parts.registry,
            self._wake,
            lane=parts.lane,
            aside=parts.aside,
            sizes=parts.sizes if parts.lane.rules.takes_lists else None,
        )

    @property
    def serving(self) -> Mapping[int, Shard]:
        """The shards that are assigned now."""
        return {shard: self._shards[shard] for shard in sorted(self._serving) if shard in self._shards}

    # -- the kernel's hooks

    async def on_start(self) -> None:
        """Connect everything that a shard needs, and look whether this Kafka may be written to."""
        looking = asyncio.ensure_future(safe_or_exit(self._parts.settings, worker_user(self._lane)))
        try:
            await asyncio.gather(self._parts.start(), self._facts.start())
        except Exception:
            await looking
            raise
        await looking
        self._spawn(Heart(self._parts, self._settles).beat())
        self._spawn(self._look_at_floors())
        if self._lane.rules.takes_lists:
            self._spawn(SizeTeller(self._parts, self._facts).tell(lambda: self._serving))

    async def on_assigned(self, shards: frozenset[int], generation: int) -> None:
        """The shards are ours; they open one by one in a task."""
        self._serving = shards
        for shard in shards:
            self._shard(shard)
        self._spawn(self._open(sorted(shards), generation))

    async def on_revoked(self) -> None:
        """Every shard stops at its next await; appends in flight are waited for."""
        shards, self._serving = self.serving, frozenset()
        await asyncio.gather(*(_stop(shard) for shard in shards.values()))

    async def on_stop(self) -> None:
        """The process ends in order: what is in the air is answered first, if that does not take long."""
        await asyncio.gather(*(shard.deliver.finish(FINISH_S) for shard in self.serving.values()))
        await self.on_revoked()
        for task in self._tasks:
            task.cancel()
        await self._parts.stop()
        await self._facts.stop()

    def deliver(self, record: Delivered) -> None:
        """To the stage whose input the record's topic is."""
        shard = self._shards[record.partition]
        stage = self._stage_of(record.topic)
        record_metrics.arrived(stage, self._lane)
        match stage:
            case "plan":
                shard.plan.deliver(record)
            case "deliver":
                shard.deliver.deliver(record)
            case _:
                shard.settle.deliver(record)

    def lost(self, topic: str, partition: int, records: int) -> None:
        """Count and log it: what is gone is for those to say again who published it."""
        record_metrics.inputs_lost(self._stage_of(topic), self._lane, topic, partition, records)

    def _stage_of(self, topic: str) -> str:
        if topic == topics.requests(self._lane):
            return "plan"
        return "deliver" if topic == topics.work(self._lane) else "settle"

    # -- opening

    async def _open(self, shards: list[int], generation: int) -> None:
        committed, _ = await asyncio.gather(
            committed_offsets(self._parts.settings.kafka, self._parts.group), self._facts.follow(shards)
        )
        for number in shards:
            if not self._still(generation):
                return
            shard = self._shards[number]
            shard.plan.start(self._terms(generation), committed.get((topics.requests(self._lane), number), 0))
            shard.deliver.start(self._terms(generation, hello=self._hello(number)))
        for number in shards:
            await self._settle_after(self._shards[number], generation, committed)

    async def _settle_after(self, shard: Shard, generation: int, committed: Mapping[Place, int]) -> None:
        """Settle's long fold begins when hand-offs have: what was sent can wait for its bill, not the other way round."""
        while not shard.deliver.is_open:
            if not self._still(generation):
                return
            await asyncio.sleep(POLL_S)
        if self._still(generation):
            shard.settle.start(committed)

    def _terms(self, generation: int, hello: Callable[[int], Coroutine[None, None, int]] | None = None) -> JournalTerms:
        assert self.app is not None
        return JournalTerms(generation, lambda: self._still(generation), self.app.ask_group, hello)

    def _still(self, generation: int) -> bool:
        return self.app is not None and self.app.tracker.generation == generation

    def _hello(self, shard: int) -> Callable[[int], Coroutine[None, None, int]]:
        async def hello(epoch: int) -> int:
            try:
                patience_ms = int(HELLO_DEADLINE_S * 1000)
                await self._parts.gateway.hello(self._lane, shard, epoch, timeout_ms=patience_ms)
            except Fenced as fenced:
                return fenced.epoch
            except GatewayError:
                # A gateway that is down must not keep a shard without an owner; it learns the epoch from the first frame.
                self._parts.log.warning("hello_unanswered", shard=shard, epoch=epoch)
            return epoch

        return hello

    def _shard(self, number: int) -> Shard:
        shard = self._shards.get(number)
        if shard is None:
            parts, done = self._parts, self._done
            shard = self._shards[number] = Shard(
                PlanShard(parts, number, done=done, committed=self._committed),
                DeliverShard(
                    parts, self._facts, number, done=done, committed=self._committed, fit_to_send=self._fit_to_send
                ),
                SettleShard(parts, number, done=done, read_to_end=self._read_to_end),
            )
        return shard

    def _committed(self, topic: str, partition: int) -> int | None:
        """Returns how far the group knows us to be, as it has acknowledged."""
        return None if self.app is None else self.app.stored((topic, partition))

    def _read_to_end(self, place: Place) -> bool:
        """Returns whether nothing lies unread or unfinished in a partition."""
        return self.app is not None and self.app.read_to_end(place)

    def _done(self, record: Delivered) -> None:
        assert self.app is not None
        self.app.done(record)
        record_metrics.finished(self._stage_of(record.topic), self._lane, record.timestamp_ms)

    def _fit_to_send(self) -> bool:
        """Returns whether the group knew this member recently enough that nobody else can have its shards."""
        assert self.app is not None
        return self.app.heartbeat_age_ms() < self._parts.settings.session_timeout_ms // 2

    # -- what operators see

    def oldest_s(self, inputs: tuple[str, ...]) -> Callable[[], float]:
        """Age of the oldest unfinished input of some topics; 0 if there is none."""

        def age() -> float:
            oldest = self.app.tracker.oldest_ms() if self.app is not None else {}
            stamps = [stamp for (topic, _), stamp in oldest.items() if topic in inputs]
            return max(0.0, (clock.monotonic_ms() - min(stamps)) / 1000) if stamps else 0.0

        return age

    def floor_age_s(self, stage: str) -> Callable[[], float]:
        """Returns how old the oldest floor of a stage's journals is, over the shards served here."""

        def age() -> float:
            floors = (getattr(shard, stage).journal.claims for shard in self.serving.values())
            return max((claims.age_ms(clock.now_ms()) / 1000 for claims in floors), default=0.0)

        return age

    def lag(self, topic: str) -> Callable[[], float]:
        """Records of an input that are not taken over yet, over the shards served here."""
        return lambda: float(self.app.lag(topic)) if self.app is not None else 0.0

    @property
    def followed(self) -> tuple[str, ...]:
        """The topics that are to be fresh when something is decided."""
        return (*self._facts.followed, topics.CONTROLS)

    def tail_age_s(self, topic: str) -> Callable[[], float]:
        """Returns how old the oldest view of a followed topic is."""
        return lambda: self._facts.oldest_ms(topic, self._serving) / 1000

    def live_checks(self) -> Mapping[str, Callable[[], str | None]]:
        """Progress: no input lies unfinished for longer than any step may take, unless what it needs is still being read."""
        inputs = (topics.requests(self._lane), topics.work(self._lane))
        age = self.oldest_s(inputs)

        def stuck() -> str | None:
            fine = age() < STUCK_S or self._facts.waiting
            return None if fine else f"an input has been unfinished for {age():.0f} s"

        return {"progress": stuck}

    def ready_checks(self) -> Mapping[str, Callable[[], str | None]]:
        """Work is taken: shards are assigned and their journals are open."""

        def opened() -> str | None:
            shut = [number for number, shard in self.serving.items() if not shard.deliver.is_open]
            if not self._serving:
                return "no shard is assigned"
            return f"shards {shut} are being opened" if shut else None

        return {"shards": opened}

    # -- around

    async def _look_at_floors(self) -> None:
        """For ever, once a minute."""
        while True:
            await asyncio.sleep(_FLOORS_S)
            for number, shard in self.serving.items():
                for stage, owner in (("plan", shard.plan), ("deliver", shard.deliver)):
                    record_metrics.floor_seen(stage, number, owner.journal, self._parts.retention)

    def _settles(self) -> Mapping[int, SettleShard]:
        return {number: shard.settle for number, shard in self.serving.items()}

    def _wake(self, shard: int) -> None:
        if shard in self._shards:
            self._shards[shard].deliver.wake.set()

    def _spawn(self, task: Coroutine[None, None, None]) -> None:
        running = asyncio.ensure_future(task)
        self._tasks.add(running)
        running.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            fatal(Exit.CRASHED, step="worker", error=type(error).__name__)


async def _stop(shard: Shard) -> None:
    stages: Iterable[Coroutine[None, None, None]] = (shard.plan.stop(), shard.deliver.stop(), shard.settle.stop())
    await asyncio.gather(*stages)
