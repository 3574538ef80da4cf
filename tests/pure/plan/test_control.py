"""Control events: a business reaches its own requests, becomes a word on ``controls``, and is told."""

from typing import Any

import msgspec
import pytest

from broker.plan.control_events import ControlRecord
from broker.plan.outputs import Answer
from broker.plan.state import restatement
from broker.plan.step import PlanStep
from schemas.facts import ControlAction, ControlScope
from schemas.ids import request_name, text_of
from schemas.lanes import CLOCK_SLACK_MS, DAY_MS, Lane
from schemas.reasons import Reason
from schemas.request import CONTROL_TYPE
from schemas.wire.header import Kind
from schemas.wire.timestamps import text_of as instant
from tests.support.plan_bench import NOW_MS, Bench, event, given, told


def control(action: str = "pause", *, time_ms: int = NOW_MS, **target: Any) -> dict[str, Any]:
    """A control event about ``target``."""
    return event(type=CONTROL_TYPE, id="c1", time=instant(time_ms), expirytime=None) | {
        "data": {"action": action, **target}
    }


def words(step: PlanStep) -> list[ControlRecord]:
    """The words of a step."""
    return [direct for direct in step.direct if isinstance(direct, ControlRecord)]


def answers(step: PlanStep) -> list[tuple[str, str]]:
    """State and reason of each answer of a step."""
    return [(one.status.state, one.status.reason) for one in step.direct if isinstance(one, Answer)]


def bench_with(request: dict[str, Any]) -> Bench:
    """A plan that has accepted a request."""
    bench = Bench()
    bench.run(given(request, 1))
    return bench


REQUEST = event()
NAME = request_name(Lane.UPDATE, REQUEST["source"], REQUEST["id"])
TARGETS: dict[str, tuple[dict[str, Any], ControlScope, str]] = {
    "by name": ({"request": text_of(NAME)}, ControlScope.REQUEST, text_of(NAME)),
    "by name in capitals": ({"request": text_of(NAME).upper()}, ControlScope.REQUEST, text_of(NAME)),
    "by event": ({"of": {"source": REQUEST["source"], "id": REQUEST["id"]}}, ControlScope.REQUEST, text_of(NAME)),
    "by subject": ({"subject": "flight/UA1"}, ControlScope.SUBJECT, "flight/UA1"),
}


@pytest.mark.parametrize("action", ControlAction, ids=lambda action: action.word)
@pytest.mark.parametrize("row", TARGETS.values(), ids=TARGETS.keys())
def test_an_own_request_is_reached(row: tuple[dict[str, Any], ControlScope, str], action: ControlAction) -> None:
    """The word names the target, who said it and when; it stands before the answer; plan's journal takes nothing."""
    target, scope, named = row
    bench = bench_with(REQUEST)
    step = bench.decide(given(control(action.word, time_ms=NOW_MS - 7, **target), 2))
    assert not step.journal
    first, answer = step.direct
    assert isinstance(first, ControlRecord)
    word = first.word
    assert first.lane is Lane.UPDATE
    assert (word.scope, word.business, word.target, word.action) == (scope, "airline", named, action)
    assert (word.evidence_ms, word.received_ms, word.by) == (NOW_MS - 7, NOW_MS, "//airline/ops c1")
    assert isinstance(answer, Answer)
    assert (answer.status.state, answer.status.counts, answer.status.id) == ("accepted", {"controls": 1}, "c1")


def test_a_request_is_reached_in_the_step_that_accepts_it() -> None:
    """Published one after the other, read together."""
    step = Bench().decide(given(REQUEST, 1), given(control(request=text_of(NAME)), 2))
    assert len(words(step)) == 1


def test_a_request_is_reached_after_the_journal_was_restated() -> None:
    """A restated name still says whose it is."""
    bench = bench_with(REQUEST)
    bench.state.committed(2)
    said = restatement(bench.state, bench.policy.shard, now_ms=NOW_MS + 2, before_ms=NOW_MS + 1, most=10)
    assert said is not None
    bench.log.clear()
    bench.append(Kind.PLAN_RESTATED, said, NOW_MS + 2)
    bench.crash()
    assert len(words(bench.decide(given(control(request=text_of(NAME)), 2)))) == 1


def test_nobody_speaks_from_the_future() -> None:
    """A word counts from when it was received, the latest: a clock that is ahead gives no precedence."""
    (record,) = words(Bench().decide(given(control(subject="s", time_ms=NOW_MS + 9), 2, timestamp_ms=NOW_MS - 3)))
    assert record.word.evidence_ms == NOW_MS - 3


def test_the_same_event_becomes_the_same_word_whenever_it_is_read() -> None:
    """Redelivery an hour later: byte for byte the same."""
    bench = Bench()
    first = words(bench.decide(given(control(subject="s"), 2)))
    bench.now_ms += 3_600_000
    assert words(bench.decide(given(control(subject="s"), 2))) == first


REFUSED: dict[str, tuple[dict[str, Any], Reason]] = {
    "another action": (control("stop", subject="s"), Reason.INVALID_FIELD),
    "no target": (control(), Reason.INVALID_FIELD),
    "two targets": (control(subject="s", request=text_of(NAME)), Reason.INVALID_FIELD),
    "a name that is none": (control(request="offer-1"), Reason.INVALID_FIELD),
    "an empty subject": (control(subject=""), Reason.INVALID_FIELD),
    "a subject that hides text": (control(subject="a\u202eb"), Reason.INVALID_FIELD),
    "an event without an id": (control(of={"source": "//airline/ops", "id": ""}), Reason.INVALID_FIELD),
    "an event of nobody": (control(of={"source": "airline", "id": "1"}), Reason.INVALID_FIELD),
    "somebody else's event": (control(of={"source": "//shop/x", "id": "1"}), Reason.WRONG_TENANT),
    "an unknown field": (control(subject="s", campaign="x"), Reason.UNKNOWN_FIELD),
    "a request that was never published": (control(request="a" * 26), Reason.UNKNOWN_REQUEST),
    "an event that was never published": (control(of={"source": "//airline/x", "id": "1"}), Reason.UNKNOWN_REQUEST),
    "an old word": (control(subject="s", time_ms=NOW_MS - 3 * DAY_MS), Reason.STALE),
    "a word of tomorrow": (control(subject="s", time_ms=NOW_MS + CLOCK_SLACK_MS + 1), Reason.FROM_THE_FUTURE),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_obeyed_is_refused(row: tuple[dict[str, Any], Reason]) -> None:
    """No word, and the business is told why."""
    whole, reason = row
    step = bench_with(REQUEST).decide(given(whole, 4))
    assert not words(step)
    assert answers(step) == [("refused", reason.word)]


def test_a_request_that_was_refused_cannot_be_paused() -> None:
    """Nothing of it was ever to be sent."""
    bench = bench_with(event(data={"template": "nothing"}))
    assert answers(bench.decide(given(control(request=text_of(NAME)), 2))) == [("refused", "unknown_request")]


def test_another_businesss_request_is_as_unknown_as_nobodys() -> None:
    """Also where both stand in one partition: nobody learns what others have published."""
    bench = bench_with(REQUEST)
    known = bench.state.names[NAME]
    bench.state.names[NAME] = msgspec.structs.replace(known, business="shop")
    assert answers(bench.decide(given(control(request=text_of(NAME)), 2))) == [("refused", "unknown_request")]


def test_control_is_for_registered_and_active_businesses() -> None:
    """A suspended business is refused in this, too."""
    for source, reason in (("//nobody/x", Reason.UNKNOWN_BUSINESS), ("//sleeper/x", Reason.BUSINESS_SUSPENDED)):
        bench = Bench(Lane.CAMPAIGN)
        record = given(control(subject="s") | {"source": source})
        bench.policy = msgspec.structs.replace(bench.policy, shard=record.origin.partition)
        (direct,) = bench.decide(record).direct
        assert told(direct).reason == reason.word
