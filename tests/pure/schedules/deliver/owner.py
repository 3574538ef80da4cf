"""One owner of a shard: what ``streams/worker/deliver.py`` does, in atomic steps."""

import pickle
from functools import lru_cache
from typing import Final

from broker.audience.consent import Consent
from broker.audience.members import Audience
from broker.deliver.decide import Facts
from broker.deliver.engine import Engine
from broker.deliver.frame import Batch
from broker.deliver.state import Append, Body, ShardState, body_of_outcome
from broker.standing import Controls
from schemas.facts import AudienceChange, ControlWord, Suppressions
from schemas.gateway_api import FrameAnswer
from schemas.plan_journal import Origin, Work
from schemas.wire.header import Header, body_of, head_of, pack
from tests.pure.schedules.deliver.gateway import FencedError, LostError, ThrottledError
from tests.pure.schedules.deliver.offer_cap import OfferCap
from tests.pure.schedules.deliver.world import PER_S, DeliverWorld, Sent
from tests.pure.schedules.journal import JournalOwner
from tests.pure.schedules.runner import DiedError, Runner, Steps

_WORTH_KEEPING: Final = 8
"""Records that are sooner folded by each new owner than kept as folded."""


@lru_cache(maxsize=4_096)
def outcome_in(record: bytes) -> Body | None:
    """The body of a record of the journal, decoded once for all its readers; nobody changes it."""
    return body_of_outcome(head_of(record), record)


@lru_cache(maxsize=1_024)
def change_in(record: bytes) -> AudienceChange:
    """The same for a record of ``audience.changes``."""
    return body_of(record, AudienceChange)


def registered_rate(sender: str, fallback: int) -> int:
    """Returns what the only number has registered."""
    return PER_S


class Owner(JournalOwner):
    """The memory of one process for one shard."""

    engine_type = Engine
    audience_type = Audience
    cap_type = OfferCap

    def __init__(self, world: DeliverWorld, runner: Runner, number: int) -> None:
        super().__init__(world, runner, number, world.journal)
        self.world = world
        self.consent, self.audience = Consent(), self.audience_type()
        self.suppressed_upto = -1
        self.controls, self.controls_read = Controls(), 0
        self.fresh_ms = 0
        self.state = ShardState(world.policy, self.audience)
        self.state.limits = world.limits(self.cap_type)
        self.inputs: dict[Origin, int] = {}
        self.done: set[int] = set()
        self.read_to = self.stored = 0
        self.engine: Engine | None = None

    def tasks(self) -> list[Steps]:
        """Deciding, and following the tails."""
        return [self.serve(), self.tail()]

    # -- the tails

    def poll(self) -> None:
        """Everything acknowledged up to now is applied."""
        world = self.world
        for offset, _, record in world.suppressions.read(self.suppressed_upto + 1, world.suppressions.end):
            for entry in body_of(record, Suppressions).entries:
                self.consent.apply(entry)
            self.suppressed_upto = offset
        for offset, _, record in world.audience.read(self.audience.upto + 1, world.audience.end):
            self.audience.apply(change_in(record), offset)
        self.poll_controls()
        self.fresh_ms = world.now

    def poll_controls(self) -> None:
        """Every word of control up to now is applied."""
        for offset, _, record in self.world.controls.read(self.controls_read, self.world.controls.end):
            self.controls.apply(body_of(record, ControlWord), offset)
            self.controls_read = offset + 1

    def facts(self) -> Facts:
        """As the tails have them."""
        world, fresh_ms = self.world, self.fresh_ms
        waits = self.stored < world.work.end
        return Facts(
            self.consent,
            self.audience,
            self.suppressed_upto,
            suppressed_fresh_ms=fresh_ms,
            audience_read_ms=fresh_ms,
            monotonic_ms=world.now,
            rate_of=registered_rate,
            controls=self.controls,
            uncommitted_ms=world.work.whole[self.stored].at_ms if waits else None,
        )

    def tail(self) -> Steps:
        """The tail task: polls whenever it is its turn."""
        while True:
            self.poll()
            yield

    # -- the journal

    def apply(self, header: Header, record: bytes) -> None:
        body = outcome_in(record)
        if body is not None:
            refused = self.state.refused
            self.state.apply(header, body)
            self.world.refused += self.state.refused - refused

    def before_folding(self) -> None:
        """The tails are read to their ends first: list ranks are looked up in the audience."""
        self.poll()

    def recall(self, start: int) -> None:
        image = self.world.images.get(start)
        if image is not None:
            (
                (self.fold, self.claims, self.next),
                (self.consent, self.suppressed_upto, self.audience, self.state),
            ) = pickle.loads(image[1])

    def remember(self, start: int) -> None:
        held = self.world.images.get(start)
        if held is None or self.next >= held[0] + _WORTH_KEEPING:
            tails = (self.consent, self.suppressed_upto, self.audience, self.state)
            memory = ((self.fold, self.claims, self.next), tails)
            self.world.images[start] = self.next, pickle.dumps(memory, pickle.HIGHEST_PROTOCOL)

    def greet(self, epoch: int) -> None:
        """A gateway that does not answer must not keep a shard without an owner."""
        if self.world.rng.random() > 0.1:
            try:
                self.world.gateway.hello(epoch)
            except FencedError:
                raise DiedError("fenced at the gateway") from None

    def append(self, append: Append) -> Steps:
        """One append of the engine."""
        yield from self.append_record(pack(self.header(append.kind, append.at_ms), append.body))

    # -- the shard

    def serve(self) -> Steps:
        """Open, then decide, append, send, for ever."""
        yield from self.open()
        self.engine = engine = self.engaged()
        self.read_to = self.stored = self.world.committed
        while True:
            yield
            self.take_work(engine)
            append = engine.step(self.clock(), self.facts())
            if append is not None:
                yield from self.append(append)
                self.finish(engine.acked(append))
            if engine.restating.claim_due is not None:
                yield from self.repeat_claim(engine.restating.claim_due)
                engine.restating.claimed()
            batch = engine.frame(self.clock(), self.facts())
            if batch is not None:
                self.note_age()
                ranks = [(part.request, rank) for part in batch.parts for rank in part.ranks]
                self.world.sends.append(Sent(engine.epoch, batch.sent_ms, ranks))
                self.runner.tasks.append(self.send(engine, batch))
            self.commit()

    def note_age(self) -> None:
        """Keep how old the view of suppressions is with which a frame leaves; a clock that is behind cannot know."""
        age_ms = self.world.now - self.fresh_ms
        if age_ms > self.world.policy.fresh_ms and self.runner.skew_ms >= 0:
            self.world.stale_frames.append(age_ms)

    def engaged(self) -> Engine:
        """The engine over the folded state."""
        assert self.ownership is not None
        return self.engine_type(
            self.world.policy,
            self.state,
            epoch=self.ownership.epoch,
            now_ms=self.clock(),
            claims=self.claims,
            claims_in_a_row=self.fold.claims_in_a_row,
        )

    @property
    def idle(self) -> bool:
        """Whether everything published is taken over and finished."""
        caught_up = self.read_to == self.world.work.end == self.world.committed
        return caught_up and self.engine is not None and self.engine.backlog == 0

    def take_work(self, engine: Engine) -> None:
        """Deliver some records of ``work``."""
        for offset, _, record in self.world.work.read(self.read_to, self.read_to + 3):
            for item in body_of(record, Work).items:
                engine.take(item, Origin(0, offset), self.clock())
            self.read_to = offset + 1

    def finish(self, origins: tuple[Origin, ...]) -> None:
        """These inputs are taken over."""
        self.done |= {origin.offset for origin in origins}

    def commit(self) -> None:
        """The contiguous tracker's commit; refused to those whom the group no longer knows."""
        world, position = self.world, self.world.committed
        while position in self.done:
            position += 1
        if position > world.committed and world.rng.random() < 0.3:
            if world.group_owner is not self.runner:
                raise DiedError("commit refused")
            world.committed = self.stored = position

    def send(self, engine: Engine, batch: Batch) -> Steps:
        """A frame, its answer."""
        frame = batch.frame
        assert frame is not None
        yield
        try:
            answer = self.world.gateway.take(frame, self.world.now)
        except FencedError:
            raise DiedError("fenced at the gateway") from None
        except ThrottledError as throttled:
            yield
            engine.throttled(batch, throttled.retry_after_ms, self.clock())
            return
        except LostError:
            yield
            self.unanswered(engine, batch)
            return
        yield
        self.answered(engine, batch, answer)

    def answered(self, engine: Engine, batch: Batch, answer: FrameAnswer) -> None:
        """The answer came."""
        engine.answered(batch, answer, self.clock())

    def unanswered(self, engine: Engine, batch: Batch) -> None:
        """No answer came."""
        engine.unknown(batch, self.clock())
