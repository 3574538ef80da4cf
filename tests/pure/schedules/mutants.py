"""Planted bugs: owners that break one rule of the protocol each. The scheduler has to catch every one of them."""

from collections.abc import Mapping
from typing import Final

from broker.deliver.engine import Append, Engine
from broker.deliver.frame import Flight
from schemas.names import Lane
from schemas.outcome import Outcome, Restated
from schemas.wire.frames import FrameAnswer
from schemas.wire.header import Header, Kind, pack
from tests.pure.schedules.gateway import FencedError, LostError
from tests.pure.schedules.owner import DiedError, Owner
from tests.pure.schedules.world import Steps


class NoAdjacency(Owner):
    """Row 9: acts on its append without looking at the gap before it."""

    def append_record(self, record: bytes) -> Steps:
        assert self.ownership is not None
        self.runner.landing = (self.world.journal, record)
        yield
        offset = self.landed(self.world.journal, record)
        yield
        self.fold.epoch = self.ownership.epoch
        self.take_in(offset, record)


class ActsFirst(Owner):
    """Row 7: the frame leaves before its decision is in the log."""

    def append(self, append: Append) -> Steps:
        if isinstance(append.body, Outcome) and append.body.decided and self.engine is not None:
            flight = self._early(append)
            if flight is not None:
                yield from self.send(self.engine, flight)
        yield from super().append(append)

    def _early(self, append: Append) -> Flight | None:
        assert self.engine is not None
        engine = Engine(self.world.policy, self.state, epoch=self.engine.epoch, now_ms=self.clock())
        assert isinstance(append.body, Outcome)
        header = Header(append.kind, Lane.UPDATE, 0, self.engine.epoch, append.at_ms)
        self.take_in(self.next, pack(header, append.body))
        engine.acked(append)
        return engine.frame(self.clock(), self.facts())


class ForgetsAnswers(Owner):
    """Row 7: recovery takes what was decided and not answered for done."""

    def serve(self) -> Steps:
        serving = super().serve()
        for step in serving:
            if self.engine is not None and not getattr(self, "_purged", False):
                self._purged = True
                self.engine._flights.clear()
            yield step


class CommitsEarly(Owner):
    """Rule 3: commits what it has read, not what it has taken over."""

    def commit(self) -> None:
        self.done |= set(range(self.read_to))
        super().commit()


class NeverRestates(Owner):
    """Row 11: claims with a higher floor, and has not said again what is open."""

    def append(self, append: Append) -> Steps:
        if isinstance(append.body, Restated):
            append = Append(Kind.OUTCOME_RESTATED, append.at_ms, Restated())
            for item in self.state.items.values():
                item.stated_ms = append.at_ms
            self.state.closed = {name: (keep, append.at_ms) for name, (keep, _) in self.state.closed.items()}
        yield from super().append(append)


class StaleConsent(Owner):
    """The barrier: believes that its tail is always fresh."""

    def tail(self) -> Steps:
        while True:
            if self.world.rng.random() < 0.01:
                self.poll()
            self.fresh_ms = self.world.now
            yield


class TakesLostForAccepted(Owner):
    """Rule 10: a lost answer counts as accepted."""

    def send(self, engine: Engine, flight: Flight) -> Steps:
        frame = flight.frame
        assert frame is not None
        yield
        try:
            answer = self.world.gateway.take(frame, self.world.now)
        except FencedError:
            raise DiedError("fenced at the gateway") from None
        except LostError:
            answer = FrameAnswer(self.world.now, tuple(() for _ in frame.sections))
        yield
        engine.answered(flight, answer, self.clock())


MUTANTS: Final[Mapping[str, type[Owner]]] = {
    "row 9: no adjacency check": NoAdjacency,
    "row 7: acts before the append": ActsFirst,
    "row 7: decided and unanswered is taken for done": ForgetsAnswers,
    "rule 3: commits before taking over": CommitsEarly,
    "row 11: claims a floor without restating": NeverRestates,
    "STOP barrier: a stale tail is believed fresh": StaleConsent,
    "rule 10: a lost answer is taken for accepted": TakesLostForAccepted,
}
