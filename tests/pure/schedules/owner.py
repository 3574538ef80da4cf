"""One owner of a shard: what ``streams/kafka/journal.py`` and ``streams/agents/deliver.py`` do, as atomic steps.

A ``yield`` stands wherever the real process waits: there it may be paused for long, overtaken, or killed.
"""

from broker.audience.consent import Consent
from broker.audience.members import Audience
from broker.deliver.decide import Facts
from broker.deliver.engine import Append, Engine
from broker.deliver.frame import Flight
from broker.deliver.state import ShardState, body_of_outcome
from broker.journal import Fold, Ownership, claim_won, fold_start, last_floor
from schemas.facts import AudienceChange, Suppressions
from schemas.names import Lane
from schemas.planned import Claim, Origin, Work
from schemas.wire.header import Header, Kind, body_of, pack
from tests.pure.schedules.gateway import FencedError, LostError
from tests.pure.schedules.log import Log
from tests.pure.schedules.world import Runner, Steps, World


class DiedError(Exception):
    """The process ended itself: fenced, unknown append, refused commit, clock jump."""


class Owner:
    """The memory of one process for one shard."""

    def __init__(self, world: World, runner: Runner, number: int) -> None:
        self.world = world
        self.runner = runner
        self.instance = f"owner-{number}"
        self.consent, self.audience = Consent(), Audience()
        self.suppressed_upto = -1
        self.fresh_ms = 0
        self.state = ShardState(world.policy, self.audience)
        self.fold = Fold()
        self.next = 0
        self.claimed_at = 0
        self.ownership: Ownership | None = None
        self.inputs: dict[Origin, int] = {}
        self.done: set[int] = set()
        self.read_to = 0
        self.engine: Engine | None = None

    # -- the tails

    def poll(self) -> None:
        """Everything acknowledged up to now is applied."""
        world = self.world
        for offset, _, record in world.suppressions.read(self.suppressed_upto + 1, world.suppressions.end):
            for entry in body_of(record, Suppressions).entries:
                self.consent.apply(entry)
            self.suppressed_upto = offset
        for offset, _, record in world.audience.read(self.audience.upto + 1, world.audience.end):
            self.audience.apply(body_of(record, AudienceChange), offset)
        self.fresh_ms = world.now

    def facts(self) -> Facts:
        """As the tails have them."""
        return Facts(self.consent, self.audience, self.suppressed_upto, self.fresh_ms, self.fresh_ms)

    def tail(self) -> Steps:
        """The tail task: polls whenever it is its turn."""
        while True:
            self.poll()
            yield

    # -- the journal

    def take_in(self, offset: int, record: bytes) -> None:
        """State and position move together."""
        header = self.fold.admit(record)
        if header is not None:
            body = body_of_outcome(header, record)
            if body is not None:
                self.state.apply(header, body)
        self.next = offset + 1

    def read_to_end(self, end: int) -> None:
        """Fold what is there. The tails are read to their ends first: list ranks are looked up in the audience."""
        self.poll()
        if self.next < self.world.journal.start:
            raise DiedError("what was to be read has been trimmed")
        for offset, _, record in self.world.journal.read(self.next, end):
            self.take_in(offset, record)
        self.next = max(self.next, end)

    def landed(self, log: Log, record: bytes) -> int:
        """The append reaches the log."""
        self.runner.landing = None
        return log.append(self.world.now, record)

    def open(self) -> Steps:
        """Read, fold, greet, claim, read to the claim."""
        world = self.world
        journal = world.journal
        floor = last_floor(record for _, _, record in journal.read(journal.start, journal.end))
        self.next = fold_start(floor, log_start=journal.start, log_end=journal.end)
        self.read_to_end(journal.end)
        while True:
            yield
            epoch = self.fold.epoch + 1
            if world.rng.random() > 0.1:  # a gateway that does not answer must not keep a shard without an owner
                world.gateway.hello(epoch)
            yield
            claim = pack(Header(Kind.CLAIM, Lane.UPDATE, 0, epoch, world.now), Claim(self.instance, 0, self.fold.floor))
            self.runner.landing = (journal, claim)
            yield
            offset = self.landed(journal, claim)
            yield
            self.read_to_end(offset + 1)
            if claim_won(self.fold, epoch, self.instance):
                self.ownership = Ownership(epoch, self.instance, offset + 1)
                self.claimed_at = offset
                return

    def append(self, append: Append) -> Steps:
        """One append of the engine."""
        assert self.ownership is not None
        header = Header(append.kind, Lane.UPDATE, 0, self.ownership.epoch, append.at_ms)
        yield from self.append_record(pack(header, append.body))

    def repeat_claim(self) -> Steps:
        """The claim again, with the last one's offset as the floor."""
        assert self.ownership is not None
        header = Header(Kind.CLAIM, Lane.UPDATE, 0, self.ownership.epoch, self.clock())
        yield from self.append_record(pack(header, Claim(self.instance, 0, self.claimed_at)))
        self.claimed_at = self.next - 1

    def append_record(self, record: bytes) -> Steps:
        """One append, its check, its fold."""
        world, ownership = self.world, self.ownership
        assert ownership is not None
        self.runner.landing = (world.journal, record)
        yield
        if world.rng.random() < 0.01:
            raise DiedError("unknown append")
        offset = self.landed(world.journal, record)
        yield
        gap = ownership.gap_before(offset)
        if gap:
            yield
            foreign = list(world.journal.read(gap.start, gap.stop))
            if ownership.fenced_by(record for _, _, record in foreign):
                raise DiedError("fenced")
            for foreign_offset, _, foreign_record in foreign:
                self.take_in(foreign_offset, foreign_record)
        self.take_in(offset, record)
        ownership.confirm(offset)

    # -- the shard

    def serve(self) -> Steps:
        """Open, then decide, append, send, for ever."""
        yield from self.open()
        world, ownership = self.world, self.ownership
        assert ownership is not None
        self.engine = engine = Engine(
            world.policy,
            self.state,
            epoch=ownership.epoch,
            now_ms=self.clock(),
            claims_in_a_row=self.fold.claims_in_a_row,
        )
        self.read_to = world.committed
        while True:
            yield
            self.take_work(engine)
            append = engine.step(self.clock(), self.facts())
            if append is not None:
                yield from self.append(append)
                self.finish(engine.acked(append))
            if engine.claim_due:
                yield from self.repeat_claim()
                engine.claimed(self.clock())
            flight = engine.frame(self.clock(), self.facts())
            if flight is not None:
                self.runner.tasks.append(self.send(engine, flight))
            self.commit()

    @property
    def idle(self) -> bool:
        """Whether everything published is taken over and finished."""
        caught_up = self.read_to == self.world.work.end and self.world.committed == self.world.work.end
        return self.engine is not None and caught_up and self.engine.backlog == 0

    def clock(self) -> int:
        """This process's wall clock."""
        return self.world.now + self.runner.skew_ms

    def take_work(self, engine: Engine) -> None:
        """Deliver some records of ``work``."""
        world = self.world
        for offset, _, record in world.work.read(self.read_to, min(world.work.end, self.read_to + 3)):
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
            world.committed = position

    def send(self, engine: Engine, flight: Flight) -> Steps:
        """A frame, its answer."""
        frame = flight.frame
        assert frame is not None
        yield
        try:
            answer = self.world.gateway.take(frame, self.world.now)
        except FencedError:
            raise DiedError("fenced at the gateway") from None
        except LostError:
            yield
            engine.unknown(flight, self.clock())
            return
        yield
        engine.answered(flight, answer, self.clock())
