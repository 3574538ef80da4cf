"""A record on which plan's own code raises: it alone is set aside, and nothing else suffers."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pytest

from broker.heartbeat import businesses, entries
from broker.plan.decode import PlanInput
from broker.plan.step import may_be_set_aside
from schemas import topics
from schemas.lanes import Lane
from schemas.plan_journal import Origin, PlannedBatch
from schemas.registry import Business
from schemas.status import DeadLetter
from schemas.wire.header import Kind
from streams.kafka.producer import Outgoing
from streams.worker.breaker import MAX_INPUTS, Judge
from tests.support.plan_bench import BUSINESS, Bench, event, given

_letter: Final = msgspec.json.Decoder(DeadLetter)


class Unlucky(dict[str, Business]):
    """Businesses, some of which plan's code cannot look up."""

    trapped: frozenset[str] = frozenset()

    def get(self, business: str, default: Any = None) -> Any:
        """Looks a business up, unless it is a trap."""
        if business in self.trapped:
            raise LookupError("secret 123456")
        return super().get(business, default)


class Judged(Bench):
    """The one partition of a lane, whose steps a judge makes."""

    def __init__(self, lane: Lane = Lane.UPDATE, *, trapped: Sequence[str] = ("trap",)) -> None:
        super().__init__(lane)
        for entry in entries(1):
            self.registry.add(entry)
        unlucky = Unlucky(self.registry.businesses)
        unlucky.trapped = frozenset(trapped)
        self.registry.businesses = unlucky
        self.policy = msgspec.structs.replace(self.policy, shards=1, shard=0)
        self.judge = Judge(self.policy, self.registry)
        self.written: list[Outgoing] = []
        self.steps = 0

    def finish(self, inputs: Sequence[PlanInput]) -> list[DeadLetter]:
        """Judge them all as the shell does; the dead letters."""
        left = list(inputs)
        while left:
            step, _, others = self.judge.judge(self.state, left[:MAX_INPUTS], self.now_ms)
            assert step.consumed > 0
            if step.journal:
                self.append(Kind.PLANNED, PlannedBatch(step.journal), step.at_ms)
            self.written += others
            self.steps += 1
            del left[: step.consumed]
        return [_letter.decode(one.value or b"") for one in self.written if one.topic == topics.DEAD_LETTERS]


def of(business: str, offset: int) -> PlanInput:
    """A sound event of a business."""
    whole = event(source=f"//{business}/x", id=str(offset))
    return msgspec.structs.replace(given(whole), origin=Origin(0, offset))


@pytest.mark.parametrize("places", [(0,), (7,), (299,), (3, 4, 5), tuple(range(0, 300, 50))], ids=str)
def test_it_alone_is_set_aside(places: tuple[int, ...]) -> None:
    """Wherever it stands among 300: all others are accepted, and each gets a sentence, its origin and its bytes."""
    bench = Judged()
    letters = bench.finish([of("trap" if offset in places else BUSINESS, offset) for offset in range(300)])
    assert [letter.offset for letter in letters] == list(places)
    assert sorted(bench.state.unfinished) == [offset for offset in range(300) if offset not in places]
    for letter in letters:
        assert (letter.reason, letter.stage, letter.topic) == ("poison", "plan", topics.requests(Lane.UPDATE))
        assert "LookupError" in letter.detail
        assert "123456" not in letter.detail
        assert letter.payload is not None


def test_after_it_the_steps_grow_again() -> None:
    """A poisonous record slows its partition by a few steps and not for good."""
    bench = Judged()
    bench.finish([of("trap" if offset == 100 else BUSINESS, offset) for offset in range(600)])
    assert bench.steps < 24
    assert bench.judge.bite == MAX_INPUTS


def test_a_code_is_never_kept() -> None:
    """Of the lane of one-time codes only hash and place are kept."""
    (letter,) = Judged(Lane.OTP).finish([of("trap", 0)])
    assert letter.payload is None


def test_a_fault_that_is_not_the_records_ends_the_process() -> None:
    """If a heartbeat raises as well, nothing is set aside: a defect must not empty a topic into the dead letters."""
    bench = Judged(trapped=(BUSINESS, *businesses(1)))
    with pytest.raises(LookupError):
        bench.finish([of(BUSINESS, 0)])
    assert bench.written == []


def test_what_was_accepted_is_never_set_aside() -> None:
    """Not by a later release either, on which its redelivery raises."""
    bench = Judged()
    bench.finish([of(BUSINESS, 0)])
    assert not may_be_set_aside(bench.state, of(BUSINESS, 0))
    assert may_be_set_aside(bench.state, of(BUSINESS, 1))
