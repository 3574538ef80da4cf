"""Requests on which deliver's own code raises: each ends after two tries, whatever it stands behind, and nobody else does."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest
from pyroaring import BitMap

from broker.audience.members import Audience
from broker.deliver.engine import Engine
from broker.deliver.state import Append
from schemas.delivery_journal import Outcome
from schemas.lanes import Lane
from schemas.plan_journal import Rows, WorkItem
from schemas.reasons import Reason, State
from schemas.wire.columns import of_u32s, ranks_of, values_of
from schemas.wire.header import Kind, body_of, head_of
from streams.runtime import metrics
from streams.worker import record_metrics
from tests.support.shard_bench import Bench, change, explicit, listed, name

POISON = 666
LIVES = 4
"""Two tries, a life that gives up, and one to spare."""


class Fragile(Audience):
    """People of whom one list cannot be frozen."""

    def freeze(self, business: str, list_id: str) -> BitMap:
        """Raise for that list."""
        if list_id == "broken":
            raise LookupError("planted")
        return super().freeze(business, list_id)


def undecidable() -> WorkItem:
    """A person and half a market: to decide about them raises."""
    work = explicit(POISON, [1, 2])
    assert work.rows is not None
    return msgspec.structs.replace(work, rows=msgspec.structs.replace(work.rows, markets=b"\0"))


def unframable() -> WorkItem:
    """Two people and the parameters of one: to frame them raises."""
    work = explicit(POISON, [1, 2])
    assert work.rows is not None
    rows: Rows = msgspec.structs.replace(work.rows, params=({"a": "b"},))
    return msgspec.structs.replace(work, rows=rows)


def unframable_list() -> WorkItem:
    """A list with a category that there is not: to frame any chunk of it raises."""
    return listed(POISON, "L", category=99)


@dataclass
class Shard:
    """A shard whose owner dies with each error."""

    bench: Bench = field(default_factory=lambda: Bench(Lane.UPDATE, chunk=4))
    given: list[WorkItem] = field(default_factory=list)

    def live(self) -> bool:
        """One owner, until nothing moves; False if it dies. What no journal took comes again."""
        self.bench.restart()
        self.bench.take(*(item for item in self.given if not self.bench.state.knows(item.request)))
        try:
            self.bench.run(400)
        except Exception:  # noqa: BLE001 - whatever it is, the process ends
            self.bench.now += 3_000
            return False
        return True

    def rest(self, *, arriving: bool = False) -> int:
        """How many lives it takes; somebody else's message comes at each of them if ``arriving``."""
        for life in range(1, LIVES + 1):
            if arriving:
                self.given.append(explicit(1_000 + life, [life + 10]))
            if self.live():
                return life
        raise AssertionError(f"still dying after {LIVES} lives; tries: {dict(self.bench.state.tries)}")

    def ends(self, request: int) -> list[int]:
        """The journal's last word about each rank of a request, by rank."""
        said: dict[int, int] = {}
        for outcome in self.outcomes():
            for section in outcome.decided:
                if section.request == name(request):
                    said |= zip(ranks_of(section.ranks), values_of(section.statuses), strict=True)
            for answer in outcome.answered:
                if answer.request == name(request):
                    said |= dict.fromkeys(ranks_of(answer.ranks), State.ACCEPTED)
                    said |= zip(of_u32s(answer.except_ranks), answer.except_statuses, strict=True)
        return [said[rank] for rank in sorted(said)]

    def outcomes(self) -> Iterator[Outcome]:
        """The sections of the journal."""
        return (body_of(record, Outcome) for record in self.bench.log if head_of(record).kind is Kind.OUTCOME)


def shard(*given: WorkItem) -> Shard:
    """Of ten people, all on the list L."""
    made = Shard(given=list(given))
    made.bench.audience = Fragile()
    made.bench.audience.apply(change("L", range(10)), 0)
    return made


FINE = explicit(1, [5])
CRASHED, DOUBT, SENT = Reason.CRASHED_WORKER, State.IN_DOUBT, State.ACCEPTED


@pytest.mark.parametrize(
    ("poison", "ends", "messages"),
    [
        pytest.param(undecidable(), {CRASHED}, 2, id="decided"),
        pytest.param(unframable(), {DOUBT}, 2, id="framed"),
        pytest.param(unframable_list(), {DOUBT, CRASHED}, 10, id="a list, framed"),
        pytest.param(listed(POISON, "broken"), set(), 0, id="frozen"),
    ],
)
@pytest.mark.parametrize("arriving", [False, True], ids=["alone", "while others arrive"])
@pytest.mark.parametrize("before", [(), (FINE,), (listed(2, "L"),)], ids=["nothing", "a message", "a list"])
@pytest.mark.parametrize("after", [(), (explicit(3, [6]), listed(4, "L"))], ids=["nothing", "others"])
def test_a_poisonous_item_ends_and_no_other(
    poison: WorkItem,
    ends: set[int],
    messages: int,
    *,
    arriving: bool,
    before: tuple[WorkItem, ...],
    after: tuple[WorkItem, ...],
) -> None:
    """After two tries, whatever stands before or behind it; everybody else is sent to, and the next owner suspects nobody."""
    suffering = shard(*before, poison, *after)
    suffering.rest(arriving=arriving)
    assert set(suffering.ends(POISON)) == ends
    assert len(suffering.ends(POISON)) == messages
    for item in (*before, *after):
        assert set(suffering.ends(int.from_bytes(item.request))) == {SENT}
    if arriving:
        assert suffering.ends(1_001) == [SENT]
    assert not suffering.bench.state.items
    assert not +suffering.bench.state.tries
    suffering.given.append(explicit(5, [7]))
    assert suffering.live()
    assert not suffering.bench.engine._suspects.careful


def test_one_error_ends_nothing() -> None:
    """A fault that was not the item's own costs an owner, and no message."""
    unlucky = shard(listed(POISON, "broken"), FINE)
    assert not unlucky.live()
    unlucky.bench.audience = Audience()
    unlucky.bench.audience.apply(change("broken", range(3)), 0)
    assert unlucky.live()
    assert unlucky.ends(POISON) == [SENT] * 3
    assert not +unlucky.bench.state.tries


def test_a_list_that_cannot_be_frozen_ends_without_members() -> None:
    """So that it does not stay open for ever; an operator hears of it."""
    broken = shard(listed(POISON, "broken"))
    alerts = metrics.ALERTS.of("crashed_worker").value
    assert not broken.live()
    assert not broken.live()
    broken.bench.restart()
    while (append := broken.bench.engine.step(broken.bench.now, broken.bench.facts())) is not None:
        record_metrics.appended(Lane.UPDATE, append)
        broken.bench.fold(append)
    assert [members.count for outcome in broken.outcomes() for members in outcome.members] == [0]
    assert metrics.ALERTS.of("crashed_worker").value == alerts + 1


def test_frames_that_are_given_up_call_an_operator() -> None:
    """In doubt, for an earlier owner may have sent them; the code behind the state says why."""
    broken = shard(unframable())
    alerts = metrics.ALERTS.of("crashed_worker").value
    broken.rest()
    for outcome in broken.outcomes():
        record_metrics.appended(Lane.UPDATE, Append(Kind.OUTCOME, 0, outcome))
    assert metrics.ALERTS.of("crashed_worker").value == alerts + 2


def test_a_frame_raises_after_it_was_blamed() -> None:
    """Nothing leaves meanwhile: the error is said in the journal first, and ends the owner when it stands there."""
    broken = shard(unframable())
    broken.bench.restart()
    broken.bench.take(*broken.given)
    assert broken.bench.append()
    assert broken.bench.send() is None
    assert broken.bench.engine.wake_ms() == 0
    with pytest.raises(IndexError):
        broken.bench.append()
    assert head_of(broken.bench.log[-1]).kind is Kind.TRYING


@pytest.mark.parametrize("fresh", [True, False], ids=["people not read", "no fresh view of STOPs"])
def test_who_waits_while_owners_are_killed_is_no_suspect(*, fresh: bool) -> None:
    """Nothing was tried of a list whose people no owner has read far enough, or that nobody may decide about yet."""
    waiting = shard(listed(2, "L"))
    bench = waiting.bench
    bench.restart()
    bench.audience_age_ms, bench.fresh = 60_000, fresh
    bench.take(*waiting.given)
    assert bench.append()
    for _ in range(3):
        bench.restart()
        bench.engine = Engine(
            bench.policy, bench.state, epoch=bench.epoch, now_ms=bench.now, claims=bench.claims, claims_in_a_row=3
        )
        for _ in range(5):
            bench.append()
            bench.now += 100
    assert not +bench.state.tries
    bench.audience_age_ms, bench.fresh = 0, True
    assert waiting.live()
    assert waiting.ends(2) == [SENT] * 10
