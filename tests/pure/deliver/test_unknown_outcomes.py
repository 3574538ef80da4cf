"""Rule 10: what no answer came about goes again, or is in doubt where neither gateway nor lane allows it."""

import pytest

from schemas.delivery_journal import Outcome
from schemas.gateway_api import Code
from schemas.lanes import Lane
from schemas.reasons import State
from schemas.wire.columns import of_u32s
from schemas.wire.header import Kind, body_of, head_of
from tests.support.shard_bench import HOUR_MS, Bench, change, explicit, listed, name, refusing

PEOPLE = range(1, 6)
CASES = [(lane, dedupes) for lane in Lane for dedupes in (True, False)]


def bench(lane: Lane, *, dedupes: bool) -> Bench:
    """A shard whose first chunk is decided and in the air."""
    shard = Bench(lane, limits=False, gateway_dedupes=dedupes)
    if lane.rules.marketing:
        shard.audience.apply(change("offers", PEOPLE), 0)
        shard.take(listed(1, "offers", expires_ms=shard.now + HOUR_MS))
    else:
        shard.take(explicit(1, PEOPLE, expires_ms=shard.now + HOUR_MS))
    for _ in range(20):
        shard.append()
        if shard.engine._handoffs.ahead:
            return shard
        shard.now += 1_000
    raise AssertionError("nothing was decided")


def doubted(shard: Bench) -> list[int]:
    """Ranks that the journal says are in doubt."""
    bodies = [body_of(record, Outcome) for record in shard.log if head_of(record).kind is Kind.OUTCOME]
    return [
        rank
        for body in bodies
        for section in body.answered
        for rank, status in zip(of_u32s(section.except_ranks), section.except_statuses, strict=True)
        if status == State.IN_DOUBT
    ]


def goes_again(lane: Lane, *, dedupes: bool) -> bool:
    """Whether rule 10 lets what may have been handed off go again."""
    return dedupes or lane.rules.resends_unknown


def finish(shard: Bench) -> None:
    """Time passes until nothing is owed."""
    for _ in range(60):
        shard.append()
        batch = shard.send()
        if batch is not None:
            shard.engine.answered(batch, shard.answering(batch), shard.now)
        elif not shard.state.items:
            return
        shard.now += 1_000
    raise AssertionError("the shard does not come to rest")


@pytest.mark.parametrize(("lane", "dedupes"), CASES)
def test_a_frame_without_an_answer(lane: Lane, *, dedupes: bool) -> None:
    """It may have been taken: an offer is not shown twice, a code or an update rather twice than never."""
    shard = bench(lane, dedupes=dedupes)
    batch = shard.send()
    assert batch is not None
    first = len(shard.sent)
    shard.engine.unknown(batch, shard.now)
    finish(shard)
    again = goes_again(lane, dedupes=dedupes)
    assert len(shard.sent) - first == (len(PEOPLE) if again else 0)
    assert doubted(shard) == ([] if again else list(range(len(PEOPLE))))


@pytest.mark.parametrize(("lane", "dedupes"), CASES)
def test_messages_without_an_answer_of_their_own(lane: Lane, *, dedupes: bool) -> None:
    """They alone go again, or are in doubt; the answers of their neighbours stand, and hold nobody up meanwhile."""
    shard = bench(lane, dedupes=dedupes)
    batch = shard.send()
    assert batch is not None
    first = len(shard.sent)
    shard.engine.answered(batch, refusing((1, Code.NO_ANSWER, 0), (3, Code.NO_ANSWER, 0))(batch), shard.now)
    shard.append()
    again = goes_again(lane, dedupes=dedupes)
    if again:
        assert shard.state.items[name(1)].with_status(State.SENDING) == [1, 3]
    finish(shard)
    assert shard.sent[first:] == ([(1, 1), (1, 3)] if again else [])
    assert doubted(shard) == ([] if again else [1, 3])


@pytest.mark.parametrize(("lane", "dedupes"), CASES)
def test_a_frame_that_surely_was_not_taken_goes_again_in_every_lane(lane: Lane, *, dedupes: bool) -> None:
    """No connection was made: nobody has it."""
    shard = bench(lane, dedupes=dedupes)
    batch = shard.send()
    assert batch is not None
    first = len(shard.sent)
    shard.engine.unknown(batch, shard.now, maybe_sent=False)
    finish(shard)
    assert len(shard.sent) - first == len(PEOPLE)
    assert doubted(shard) == []


@pytest.mark.parametrize(("lane", "dedupes"), CASES)
def test_a_new_owner_does_with_what_was_decided_as_the_old_one_would(lane: Lane, *, dedupes: bool) -> None:
    """Nobody knows whether the frame left before the kill."""
    shard = bench(lane, dedupes=dedupes)
    shard.restart()
    first = len(shard.sent)
    finish(shard)
    again = goes_again(lane, dedupes=dedupes)
    assert len(shard.sent) - first == (len(PEOPLE) if again else 0)
    assert doubted(shard) == ([] if again else list(range(len(PEOPLE))))
