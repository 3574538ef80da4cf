"""One owner of a shard: the real shell of deliver (``streams/worker/deliver.py``) and its real tails in a member of the group."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final, cast

from msgspec.structs import replace

from broker.audience.members import Audience
from broker.deliver.decide import Facts
from broker.deliver.engine import Engine
from broker.deliver.frame import Batch
from broker.deliver.policy import CODES
from broker.deliver.state import ShardState
from broker.registry.fold import RegisteredRates
from schemas import topics
from schemas.gateway_api import Frame, FrameAnswer
from schemas.ids import name_of
from schemas.lanes import Lane
from schemas.wire.header import Header
from streams.gateway.port import Fenced, Throttled, Unknown, UnknownKind
from streams.kafka.faust_app.commits import Place
from streams.kafka.faust_app.hooks import Delivered
from streams.kafka.journal_terms import JournalTerms
from streams.kafka.reader import LogRecord
from streams.runtime import clock
from streams.runtime.settings import load
from streams.worker import deliver, tails
from streams.worker.deliver import DeliverShard
from streams.worker.resources import LaneParts
from streams.worker.tails import LaneFacts
from streams.worker.worker import LaneWorker
from tests.pure.schedules.deliver.gateway import FencedError, LostError, ThrottledError
from tests.pure.schedules.deliver.offer_cap import OfferCap
from tests.pure.schedules.deliver.world import PER_S, SHARD, SHARDS, DeliverWorld, Sent
from tests.pure.schedules.runner import Runner
from tests.pure.schedules.shells.member import Input, Member
from tests.pure.schedules.shells.process import StandIn
from tests.support.virtual_loop import running_loop

_SETTINGS: Final = load(shards=SHARDS)
_UNANSWERED: Final = (UnknownKind.RESET, UnknownKind.TIME_OUT, UnknownKind.SERVER_ERROR, UnknownKind.UNREADABLE)


def registered_rate(sender: str, fallback: int) -> int:
    """Returns what the only number has registered."""
    return PER_S


class WatchedShard(DeliverShard):
    """The shell; what it acts on is kept, and moves that its fold refuses are counted."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        append = self.journal.append

        async def kept(value: bytes) -> int:
            offset = await append(value)
            running_loop().owner.world.acted.append(offset)
            return offset

        self.journal.append = kept  # type: ignore[method-assign]

    def apply(self, record: LogRecord, header: Header) -> None:
        refused = self.state.refused
        super().apply(record, header)
        owner = running_loop().owner
        owner.world.refused += self.state.refused - refused


class GatewayPort:
    """The world's gateway as deliver reaches it."""

    codes = CODES

    def __init__(self, owner: "Owner") -> None:
        self._owner = owner
        self._world = owner.world
        self.dedupes = owner.world.gateway.dedupes

    async def hello(self, _lane: Lane, _shard: int, epoch: int, *, timeout_ms: int) -> None:  # noqa: ARG002 - time-outs are its own
        """Greet; now and then nobody answers, and the epoch is heard or not."""
        world, draw = self._world, self._world.rng.random
        if draw() < 0.1:
            raise Unknown(UnknownKind.REFUSED)
        try:
            await world.cluster.ask(lambda: world.gateway.hello(epoch))
        except FencedError:
            raise Fenced(world.gateway.epoch) from None
        if draw() < 0.05:
            raise Unknown(UnknownKind.RESET)

    async def send(self, frame: Frame, *, timeout_ms: int) -> FrameAnswer:  # noqa: ARG002 - as above
        """Hand over a frame."""
        world = self._world
        self._owner.sends(frame)
        try:
            return await world.cluster.ask(lambda: world.gateway.take(frame, world.now))
        except FencedError:
            raise Fenced(world.gateway.epoch) from None
        except ThrottledError as throttled:
            raise Throttled(throttled.retry_after_ms) from None
        except LostError as lost:
            surely_not = not lost.heard and world.rng.random() < 0.3
            raise Unknown(UnknownKind.REFUSED if surely_not else world.rng.choice(_UNANSWERED)) from None

    async def drop(self, _shard: int) -> None:
        """Nothing is kept open."""

    async def close(self) -> None:
        """Nothing is kept open."""


class Owner(Member):
    """The memory of one process for one shard. What a planted bug changes is an attribute, or one of the last methods."""

    shard_type: type[DeliverShard] = WatchedShard
    engine_type = Engine
    audience_type = Audience
    cap_type = OfferCap

    def __init__(self, world: DeliverWorld, runner: Runner, number: int) -> None:
        self.world = world
        self.parts = parts = LaneParts(_SETTINGS, world.policy.lane)
        parts.gateway = GatewayPort(self)
        self.facts_of = LaneFacts(
            "h:1", parts.registry, self._wake, lane=parts.lane, aside=parts.aside, sizes=parts.sizes
        )
        self.facts_of._rate_of = cast(RegisteredRates, registered_rate)
        self.shard: DeliverShard | None = None
        self.built = (0, 0)
        """Of the last frame that was built: how much older than allowed the view of suppressions was, and the last heartbeat."""
        super().__init__(world, runner, number)

    @classmethod
    def stands(cls) -> tuple[StandIn, ...]:
        """Stand-ins for what the shell makes by itself."""
        return (
            (deliver, "Engine", _engaged),
            (deliver, "_policy", lambda _parts, _shard: running_loop().owner.world.policy),
            (tails, "Audience", cls.audience_type),
            *cls.stand_ins,
        )

    @property
    def state(self) -> ShardState:
        """What the journal says so far."""
        assert self.shard is not None
        return self.shard.state

    @property
    def idle(self) -> bool:
        """Whether everything published is taken over and finished."""
        world, engine = self.world, None if self.shard is None else self.shard._engine
        return engine is not None and world.work.end == world.committed and engine.backlog == 0

    # -- the member

    @property
    def inputs(self) -> Mapping[Place, Input]:
        place = (topics.work(self.parts.lane), SHARD)
        return {place: Input.of(place, self.world.work)}

    def committed_offset(self, _place: Place) -> int:
        return self.world.committed

    def store(self, _place: Place, offset: int) -> None:
        self.world.committed = offset

    async def start(self) -> None:
        await self.parts.start()
        await self.facts_of.start()
        self.shard = self.shard_type(
            self.parts, self.facts_of, SHARD, done=self.done, committed=self.stored, fit_to_send=self.fit_to_send
        )
        self.shard.state.limits = self.world.limits(self.cap_type)

    def assigned(self, terms: JournalTerms) -> None:
        assert self.shard is not None
        worker = cast(LaneWorker, SimpleNamespace(_parts=self.parts, _lane=self.parts.lane))
        self.shard.start(replace(terms, hello=LaneWorker._hello(worker, SHARD)))

    async def revoked(self) -> None:
        assert self.shard is not None
        await self.shard.stop()

    def deliver(self, record: Delivered) -> None:
        assert self.shard is not None
        self.shard.deliver(record)

    def _wake(self, _shard: int) -> None:
        if self.shard is not None:
            self.shard.wake.set()

    # -- what is looked at

    def sends(self, frame: Frame) -> None:
        """A frame leaves."""
        ranks = [
            (name_of(section.request), rank)
            for section in frame.sections
            for first, count in section.ranks
            for rank in range(first, first + count)
        ]
        self.world.sends.append(Sent(frame.epoch, self.parts.time.now_ms(), ranks))
        view_ms, silent_ms = self.built
        if view_ms > self.world.policy.fresh_ms:
            self.world.stale_frames.append(view_ms)
        if silent_ms >= self.world.pause_ms:
            self.world.unfit_frames.append(silent_ms)

    def looks(self) -> None:
        """Notes, as a frame is built, the age of the oldest word about people that is unknown here, and of the last heartbeat."""
        world, facts = self.world, self.facts_of.shard(SHARD)
        unread = world.suppressions.whole[facts.suppressed_upto + 1 :]
        view_ms = clock.monotonic_ms() - unread[0].at_ms if unread else 0
        self.built = (view_ms, self.heartbeat_age_ms())

    # -- what a planted bug may change

    def facts(self) -> Facts:
        """As the tails have them."""
        assert self.shard is not None
        return self.shard._now_facts()

    def engaged(self) -> Engine:
        """The engine over the folded state."""
        return self.engine_type(*self.given[0], **self.given[1])

    def answered(self, engine: Engine, batch: Batch, answer: FrameAnswer) -> None:
        """The answer came."""
        type(engine).answered(engine, batch, answer, self.parts.time.now_ms())

    def unanswered(self, engine: Engine, batch: Batch, *, maybe_sent: bool = True) -> None:
        """No answer came."""
        type(engine).unknown(engine, batch, self.parts.time.now_ms(), maybe_sent=maybe_sent)

    given: tuple[tuple[Any, ...], dict[str, Any]]
    """What the shell makes its engine of."""


def _engaged(*arguments: Any, **named: Any) -> Engine:
    """The engine of the process that runs, with its ears on it."""
    owner: Owner = running_loop().owner
    owner.given = arguments, named
    engine = owner.engaged()
    frame = engine.frame

    def looked_at(now_ms: int, facts: Facts) -> Batch | None:
        owner.looks()
        return frame(now_ms, facts)

    def answered(batch: Batch, answer: FrameAnswer, now_ms: int) -> None:
        owner.answered(engine, batch, answer)

    def unknown(batch: Batch, now_ms: int, *, maybe_sent: bool = True) -> None:
        owner.unanswered(engine, batch, maybe_sent=maybe_sent)

    engine.frame = looked_at  # type: ignore[method-assign]
    engine.answered = answered  # type: ignore[method-assign]
    engine.unknown = unknown  # type: ignore[method-assign]
    return engine
