"""Plan's fold: bounded, restated, and the same for a living owner and for the next."""

import msgspec
import pytest
from hypothesis import given as check
from hypothesis import settings
from hypothesis import strategies as st

from broker.plan.decode import origin_header
from broker.plan.state import PlanState, restatement
from schemas.lanes import HOUR_MS, MINUTE_MS, Lane
from schemas.plan_journal import Origin, PlannedBatch
from schemas.reasons import Reason
from schemas.registry import Business
from schemas.wire.header import Kind, body_of, head_of
from schemas.wire.timestamps import text_of
from tests.support.plan_bench import BUSINESS, NOW_MS, Bench, event, facts, fold, given, told

U = Lane.UPDATE.rules.windows
AFTER_MS = U.idempotency_ms // 2
"""Two quarters of plan's fold: as old as anything that still matters may grow."""


def restate(bench: Bench, limit_bytes: int = 1_000_000) -> int:
    """Restate until nothing is due; how many records it took."""
    records = 0
    while batch := restatement(
        bench.state,
        bench.policy.shard,
        now_ms=bench.now_ms,
        before_ms=bench.now_ms - AFTER_MS,
        most=1_000,
        limit_bytes=limit_bytes,
    ):
        assert len(msgspec.msgpack.encode(batch)) <= limit_bytes + 10
        bench.append(Kind.PLAN_RESTATED, batch, bench.now_ms)
        records += 1
    return records


def test_names_older_than_half_the_fold_are_said_again() -> None:
    """A reader that begins at the restatement knows every name of which the window is open, and no content."""
    bench = Bench()
    for number in range(5):
        bench.run(given(event(id=str(number), expirytime=text_of(NOW_MS + 40 * HOUR_MS)), number))
    bench.state.committed(5)
    bench.now_ms += AFTER_MS - 1
    assert restate(bench) == 0
    bench.now_ms += 1
    before = len(bench.log)
    assert restate(bench) == 1
    late = fold(bench.log[before:], 5)
    assert facts(late, bench.now_ms) == facts(bench.state, bench.now_ms)
    restated = body_of(bench.log[before], PlannedBatch).entries
    assert len(restated) == 5
    assert all(entry.rows is None and entry.terms is None for entry in restated)
    bench.state = late
    again = event(id="0", expirytime=text_of(NOW_MS + 40 * HOUR_MS))
    (answer,) = bench.decide(given(again, 9)).direct
    assert told(answer).reason == Reason.DUPLICATE.word


def test_a_debt_that_is_not_paid_is_said_again() -> None:
    """A backlog of a day is known to a reader that never saw the request."""
    bench = Bench()
    bench.registry.add(Business(BUSINESS, "Airline", backlog=100_000))
    for number in range(100):
        whole = event(
            id=str(number),
            data={"sender": "slow"},
            people=range(1_000),
            expirytime=text_of(NOW_MS + U.lifetime_max_ms),
        )
        bench.run(given(whole, number))
    bench.state.committed(200)
    bench.now_ms += AFTER_MS + 1
    before = len(bench.log)
    restate(bench)
    late = fold(bench.log[before:], 200)
    assert late.free["airline/slow"].free_us == bench.state.free["airline/slow"].free_us > bench.now_ms * 1000
    assert facts(late, bench.now_ms) == facts(bench.state, bench.now_ms)


def test_a_restatement_is_cut_into_records() -> None:
    """Each below its limit, together all names."""
    bench = Bench()
    for number in range(50):
        bench.run(given(event(id=str(number), expirytime=text_of(NOW_MS + 40 * HOUR_MS)), number))
    bench.now_ms += AFTER_MS + 1
    before = len(bench.log)
    assert restate(bench, limit_bytes=600) > 5
    assert len(fold(bench.log[before:], 99).names) == 50


def test_names_past_their_window_are_neither_kept_nor_said_again() -> None:
    """Memory is bounded by the window."""
    bench = Bench()
    old = event(time=text_of(NOW_MS - U.stale_ms + MINUTE_MS), expirytime=text_of(NOW_MS + 1_000))
    bench.run(given(old, 0))
    bench.state.committed(1)
    bench.now_ms += AFTER_MS + 1
    assert restate(bench) == 0
    bench.forget()
    assert not bench.state.names
    assert not bench.state.free


@pytest.mark.parametrize("next_owner", [False, True])
def test_a_clock_set_back_finds_nothing_forgotten(next_owner: bool) -> None:  # noqa: FBT001 - a row of the table
    """A debt that was paid and a name that was stale stay so: time does not go back behind what was forgotten."""
    bench = Bench()
    bench.run(given(event(data={"sender": "slow"}, people=range(1)), 0))
    (debt,) = bench.state.free.values()
    bench.now_ms += AFTER_MS
    floor = len(bench.log)
    bench.forget()
    assert not bench.state.free
    if next_owner:
        bench.state = fold(bench.log[floor:])
    bench.now_ms = NOW_MS
    time, expiry = text_of(NOW_MS + AFTER_MS), text_of(NOW_MS + AFTER_MS + HOUR_MS)
    step = bench.run(given(event(id="2", data={"sender": "slow"}, people=range(1), time=time, expirytime=expiry), 1))
    assert step.at_ms == NOW_MS + AFTER_MS
    assert debt.free_us < step.journal[0].free_us


@pytest.mark.parametrize("first", [None, Origin(1, 7)], ids=["in its place", "moved here"])
def test_a_refusal_is_remembered_until_its_input_cannot_come_again(first: Origin | None) -> None:
    """By its place and not by its name, so that no number of refused events fills memory or is restated."""
    bench = Bench()
    headers = () if first is None else (origin_header(first),)
    for number in range(3):
        bench.run(given(event(id=str(number), data={"template": "old"}), number, headers=headers))
    assert len(bench.state.unfinished) == 3
    assert not bench.decide(given(event(id="1", data={"template": "old"}), 1, headers=headers)).journal
    bench.state.committed(3)
    bench.now_ms += AFTER_MS
    assert (bench.state.names, bench.state.unfinished, restate(bench)) == ({}, {}, 0)


def test_bodies_go_when_their_inputs_are_committed() -> None:
    """What cannot come again needs no body; a reader that knows the offset keeps none below it."""
    bench = Bench()
    for number in range(4):
        bench.run(given(event(id=str(number)), number))
    assert sorted(bench.state.unfinished) == [0, 1, 2, 3]
    bench.state.committed(3)
    assert sorted(bench.state.unfinished) == [3]
    assert sorted(bench.folded(3).unfinished) == [3]


def test_a_step_changes_nothing() -> None:
    """Deciding is not applying: the state is what the journal says and nothing else."""
    bench = Bench()
    bench.run(given(event(), 0))
    before = facts(bench.state, NOW_MS)
    first = bench.decide(given(event(id="2"), 1), given(event(), 2))
    assert facts(bench.state, NOW_MS) == before
    assert bench.decide(given(event(id="2"), 1), given(event(), 2)) == first


def test_time_never_goes_back() -> None:
    """An owner whose clock is behind decides at the time of the last record."""
    bench = Bench()
    bench.now_ms += 60_000
    bench.run(given(event(), 0))
    bench.now_ms -= 60_000
    bench.crash()
    step = bench.run(given(event(id="2"), 1))
    assert step.at_ms == NOW_MS + 60_000
    assert step.journal[0].decided_ms == NOW_MS + 60_000
    assert head_of(bench.log[-1]).at_ms == NOW_MS + 60_000


def test_what_is_not_committed_is_said_again_whole() -> None:
    """A reader that begins at the restatement sends the same work again, and the same refusal."""
    bench = Bench()
    bench.run(given(event(people=range(20), expirytime=text_of(NOW_MS + 40 * HOUR_MS)), 0), emit=False)
    bench.run(given(event(id="r", data={"template": "old"}), 1), emit=False)
    bench.now_ms += AFTER_MS
    before = len(bench.log)
    restate(bench)
    late = fold(bench.log[before:])
    assert facts(late, bench.now_ms) == facts(bench.state, bench.now_ms)
    bench.state = late
    again = bench.run(given(event(people=range(20), expirytime=text_of(NOW_MS + 40 * HOUR_MS)), 0)).again
    again += bench.run(given(event(id="r", data={"template": "old"}), 1)).again
    said = [entry for record in bench.log[:before] for entry in body_of(record, PlannedBatch).entries]
    assert list(again) == said


def test_a_restated_refusal_does_not_outdo_a_later_acceptance() -> None:
    """Refused, then accepted, neither committed: both are restated, and the name is known as accepted."""
    bench = Bench()
    wrong = event(data={"template": "private"}, expirytime=text_of(NOW_MS + 40 * HOUR_MS))
    bench.run(given(wrong, 5))
    bench.registry.add(msgspec.structs.replace(bench.registry.templates["*", "delay"], id="private"))
    bench.run(given(wrong, 6))
    bench.now_ms += AFTER_MS
    before = len(bench.log)
    restate(bench)
    bench.state = fold(bench.log[before:])
    (answer,) = bench.decide(given(wrong, 7)).direct
    assert told(answer).reason == Reason.DUPLICATE.word
    assert [entry.verdict for entry in bench.decide(given(wrong, 5)).again] == [Reason.UNKNOWN_TEMPLATE]


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 6)),
        st.tuples(st.just("publish slowly"), st.integers(0, 6)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
        st.tuples(st.just("clock set back"), st.integers(1, 3)),
        st.tuples(st.just("commit"), st.integers(0, 30)),
        st.tuples(st.just("round"), st.just(0)),
        st.tuples(st.just("forget"), st.just(0)),
        st.tuples(st.just("take over"), st.just(0)),
    ),
    max_size=30,
)


class Owners:
    """Owners one after another: each folds from the floor, restates in rounds, and claims (``broker/journal.py``)."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.committed = self.published = 0
        self.claimed_ms = NOW_MS
        self.claimed_at = self.floor = 0
        """Positions in the log: of the last claim, and where a fold begins."""

    def publish(self, number: int, sender: str) -> None:
        """One request, decided at once."""
        now = self.bench.now_ms
        whole = event(
            id=str(number),
            data={"sender": sender},
            people=range(1 + number * 200),
            time=text_of(now),
            expirytime=text_of(now + 40 * HOUR_MS),
        )
        self.bench.run(given(whole, self.published))
        self.published += 1

    def commit(self, upto: int) -> None:
        """The group's offset moves."""
        self.committed = max(self.committed, min(upto, self.published))
        self.bench.state.committed(self.committed)

    def round(self) -> None:
        """Say again what was said before the last claim, then claim with that claim as the floor."""
        state = self.bench.state
        now_ms = max(self.bench.now_ms, state.last_ms, self.claimed_ms + 1)
        self.bench.forget()
        while batch := restatement(state, 0, now_ms=now_ms, before_ms=self.claimed_ms, most=3, limit_bytes=2_000):
            self.bench.append(Kind.PLAN_RESTATED, batch, now_ms)
            assert len(self.bench.log) < 500
        self.bench.forget()
        self.claimed_at, self.floor = len(self.bench.log), self.claimed_at
        self.bench.now_ms = self.claimed_ms = now_ms + 1

    def next_owner(self) -> PlanState:
        """What another owner reads: the log from the floor on."""
        state = PlanState(self.committed)
        for at in range(self.floor, len(self.bench.log)):
            record = self.bench.log[at]
            state.apply(head_of(record), body_of(record, PlannedBatch), at)
        return state


@settings(deadline=None, max_examples=80)
@check(ACTS)
def test_a_fold_from_the_floor_is_enough(acts: list[tuple[str, int]]) -> None:
    """Whatever was published, committed, restated, forgotten and taken over: the next owner decides like the living one."""
    owners = Owners()
    for act, number in acts:
        match act:
            case "publish":
                owners.publish(number, "main")
            case "publish slowly":
                owners.publish(number, "slow")
            case "wait":
                owners.bench.now_ms += number * HOUR_MS // 2
            case "clock set back":
                owners.bench.now_ms -= number * HOUR_MS // 2
            case "commit":
                owners.commit(number)
            case "round":
                owners.round()
            case "forget":
                owners.bench.forget()
            case _:
                owners.bench.state = owners.next_owner()
    now = max(owners.bench.now_ms, owners.bench.state.last_ms)
    assert owners.next_owner().last_ms == owners.bench.state.last_ms
    assert facts(owners.next_owner(), now) == facts(owners.bench.state, now)


def test_an_older_debt_said_again_takes_nothing_off_a_newer_one() -> None:
    """An unfinished request is restated whole, with the debt of its time; the sender owes what it owes by now."""
    bench = Bench()
    bench.run(given(event(id="first", people=range(1_000)), 0))
    first = body_of(bench.log[-1], PlannedBatch).entries[0]
    bench.run(given(event(id="second", people=range(1_000)), 1))
    second = body_of(bench.log[-1], PlannedBatch).entries[0]
    assert first.terms is not None
    assert 0 < first.free_us < second.free_us
    bench.append(Kind.PLAN_RESTATED, PlannedBatch((first,)), bench.now_ms)
    assert bench.state.free[first.terms.sender].free_us == second.free_us
