"""Once per name: redelivery, repetition and conflict, whatever dies in between."""

from typing import Any

import msgspec
import pytest
from hypothesis import given as check
from hypothesis import settings
from hypothesis import strategies as st

from broker.plan.decode import PlanInput, origin_header
from broker.plan.outputs import Rerouted
from broker.plan.seen import Conflicting, New, Redelivered, Repeated, seen
from broker.plan.state import Known
from broker.plan.validate import Content, Request
from broker.validation.all_errors import form_of_record
from schemas.ids import partition_of
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import Reason
from schemas.wire.timestamps import text_of
from tests.support.plan_bench import BUSINESS, NOW_MS, SHARDS, Bench, event, facts, fold, given, told

U = Lane.UPDATE.rules.windows


def verdicts(bench: Bench) -> list[tuple[str, str]]:
    """What the business was told, in order."""
    return [(answer.status.state, answer.status.reason) for answer in bench.direct]


def test_the_same_record_again_is_silent_and_makes_the_same_work() -> None:
    """A crash after the append and before the commit: same bytes, no second word in the journal."""
    bench = Bench()
    bench.run(given(event(people=range(30)), 5), emit=False)
    bench.crash()
    bench.run(given(event(people=range(30)), 5))
    first = list(bench.work)
    bench.crash()
    bench.run(given(event(people=range(30)), 5))
    assert bench.work == first * 2
    assert len(bench.log) == 1
    assert verdicts(bench) == [("accepted", ""), ("accepted", "")]


def test_what_is_committed_is_silent_if_it_comes_once_more() -> None:
    """A group that lost its offsets reads old inputs again: nothing goes out."""
    bench = Bench()
    bench.run(given(event(), 5))
    bench.state.committed(6)
    for state in (bench.state, bench.folded(6)):
        bench.state = state
        step = bench.decide(given(event(), 5))
        assert (step.consumed, step.journal, step.again, step.direct) == (1, (), (), ())


def test_the_same_event_published_again_is_a_duplicate() -> None:
    """Whatever the order of its keys and its time: told as accepted before, and nothing is done."""
    bench = Bench()
    bench.run(given(event(), 5))
    again = dict(reversed(list((event() | {"time": text_of(NOW_MS + 1)}).items())))
    bench.now_ms += 1
    step = bench.run(given(again, 6))
    assert not step.journal
    assert verdicts(bench)[1:] == [("accepted", "duplicate")]
    assert bench.direct[1].status.seq == 6
    assert len(bench.work) == 1


CHANGES: dict[str, dict[str, Any]] = {
    "another parameter": event(data={"params": {"flight": "UA2"}}),
    "another recipient": event(people=(2,)),
    "another subject": event(subject="x"),
    "another expiry": event(expirytime=text_of(NOW_MS + 1000)),
    "unsound form": event(data={"x": 1}),
}


@pytest.mark.parametrize("other", CHANGES.values(), ids=CHANGES.keys())
def test_other_content_under_the_same_name_is_a_conflict(other: dict[str, Any]) -> None:
    """The first stands; the second is dropped and its business told to use another id."""
    bench = Bench()
    bench.run(given(event(), 5))
    step = bench.run(given(other, 6))
    assert not step.journal
    assert verdicts(bench)[1:] == [("refused", "conflict")]
    assert len(bench.work) == 1


def test_another_ciphertext_is_another_content() -> None:
    """A code that was sealed again is a conflict: otherwise the person would hold a dead code."""
    bench = Bench(Lane.OTP)
    bench.run(given(event(Lane.OTP), 5))
    bench.run(given(event(Lane.OTP, data={"params": {"code": {"sealed": "k1." + "B" * 80}}}), 6))
    assert verdicts(bench) == [("accepted", ""), ("refused", "conflict")]


def test_what_was_refused_may_be_asked_again() -> None:
    """Once the reason is gone the same event is accepted; a redelivery of the refused one repeats the refusal."""
    bench = Bench()
    wrong = event(data={"template": "private"})
    bench.run(given(wrong, 5))
    bench.registry.add(msgspec.structs.replace(bench.registry.templates["*", "delay"], id="private"))
    assert [entry.verdict for entry in bench.run(given(wrong, 5)).again] == [Reason.UNKNOWN_TEMPLATE]
    assert [entry.verdict for entry in bench.run(given(wrong, 6)).journal] == [0]
    bench.crash()
    assert [entry.verdict for entry in bench.run(given(wrong, 5)).again] == [Reason.UNKNOWN_TEMPLATE]
    assert [entry.verdict for entry in bench.run(given(wrong, 6)).again] == [0]
    assert len(bench.log) == 2


def test_two_copies_in_one_step_are_told_apart() -> None:
    """A step sees what it has decided itself."""
    bench = Bench()
    step = bench.run(given(event(), 5), given(event(), 6), given(event(people=(2,)), 7))
    assert len(step.journal) == 1
    assert sorted(verdicts(bench)) == [("accepted", ""), ("accepted", "duplicate"), ("refused", "conflict")]


def test_a_name_is_forgotten_only_when_its_event_is_stale() -> None:
    """At no instant is an old event taken for a new one: known before, stale from then on."""
    for moment in (U.stale_ms - 2, U.stale_ms - 1, U.stale_ms, U.stale_ms + 1):
        bench = Bench()
        whole = event(expirytime=text_of(NOW_MS + U.lifetime_max_ms))
        bench.run(given(whole, 5))
        bench.state.committed(6)
        bench.now_ms = NOW_MS + moment
        bench.forget()
        step = bench.decide(given(whole, 6))
        words = [Reason(entry.verdict).word for entry in step.journal] + [told(direct).reason for direct in step.direct]
        assert words == ["duplicate" if moment < U.stale_ms else "stale"]


def test_a_record_in_the_wrong_partition_is_published_once_more() -> None:
    """With its first place in a header, to the partition that Java's hash gives its business."""
    bench = Bench()
    right = partition_of(BUSINESS.encode(), SHARDS)
    wrong = msgspec.structs.replace(bench.policy, shard=(right + 1) % SHARDS)
    bench.policy = wrong
    record = given(
        event(), origin=Origin(wrong.shard, 9), key=None, headers=(("content-type", b"application/cloudevents+json"),)
    )
    (moved,) = bench.decide(record).direct
    assert isinstance(moved, Rerouted)
    assert (moved.partition, moved.key, moved.value) == (right, BUSINESS.encode(), record.value)
    assert moved.headers[-1] == ("fanfare-origin", b"%d:9" % wrong.shard)


def moved(offset: int, first: bytes = b"0:9") -> PlanInput:
    """A record as plan publishes it again."""
    return given(event(), offset, headers=(("fanfare-origin", first),))


def test_a_repeated_re_route_is_silent() -> None:
    """A crash between the second publication and the commit: two copies, one first place, one verdict, one answer."""
    bench = Bench()
    bench.run(moved(5))
    step = bench.run(moved(6))
    assert (step.consumed, step.journal, step.again, step.direct) == (1, (), (), ())
    bench.crash()
    step = bench.run(moved(6))
    assert (step.journal, step.again, step.direct) == ((), (), ())
    assert len(bench.run(moved(5)).again) == 1
    assert verdicts(bench) == [("accepted", ""), ("accepted", "")]


def test_a_re_routed_record_published_twice_by_its_producer_is_a_duplicate() -> None:
    """Two first places are two publications."""
    bench = Bench()
    bench.run(moved(5))
    bench.run(moved(6, b"0:10"))
    assert verdicts(bench) == [("accepted", ""), ("accepted", "duplicate")]


def test_a_re_routed_record_never_travels_twice() -> None:
    """An origin header in the wrong partition is a producer's: refused, so that no record circles."""
    bench = Bench()
    bench.policy = msgspec.structs.replace(bench.policy, shard=(bench.policy.shard + 1) % SHARDS)
    (answer,) = bench.decide(moved(5)).direct
    assert told(answer).reason == Reason.RESERVED_HEADER.word


CONTENTS = {"a": "UA1", "b": "UA2"}


def content_of(content: str, first: Origin | None = None) -> Content:
    """A request of this content, which perhaps stood elsewhere first."""
    headers = () if first is None else (origin_header(first),)
    form = form_of_record(given(event(data={"params": {"flight": CONTENTS[content]}}), headers=headers), Bench().policy)
    assert isinstance(form, Request)
    return form


HERE, THERE, FIRST = Origin(1, 5), Origin(1, 6), Origin(0, 9)


@pytest.mark.parametrize(
    ("accepted", "origin", "first", "content", "expected"),
    [
        pytest.param(False, HERE, None, "a", New, id="never seen"),
        pytest.param(True, HERE, None, "a", Redelivered, id="the same place"),
        pytest.param(True, THERE, FIRST, "a", Redelivered, id="the same first place"),
        pytest.param(True, THERE, None, "a", Repeated, id="another place, same content"),
        pytest.param(True, THERE, None, "b", Conflicting, id="another place, other content"),
        pytest.param(True, THERE, FIRST, "b", Conflicting, id="a forged first place"),
    ],
)
def test_identity(
    accepted: bool,  # noqa: FBT001 - a row of the table
    origin: Origin,
    first: Origin | None,
    content: str,
    expected: type[object],
) -> None:
    """Place decides between again and once more; content between once more and something else."""
    known = content_of("a")
    assert isinstance(known, Request)
    before = Known(5, FIRST, known.fingerprint, NOW_MS, NOW_MS + 1, NOW_MS) if accepted else None
    assert isinstance(seen(content_of(content, first), origin, None, before), expected)


# -- properties: a log of publications, processed by owners that die anywhere

EVENTS = st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 3))
"""(id, content, kind): kind 0 is sound, 1 is refused by the judge, 2 by its form, 3 is a list request."""


def published(spec: tuple[int, int, int], offset: int) -> PlanInput:
    """One publication."""
    number, content, kind = spec
    change: dict[str, Any] = {"params": {"flight": str(content)}}
    if kind == 1:
        change["template"] = "private"
    elif kind == 2:
        change["colour"] = "red"
    elif kind == 3:
        change["to"] = {"list": "l"}
    return given(event(data=change, id=str(number), people=range(number + 1)), offset)


DEATHS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["append", "emit", "commit", "none", "none"])), max_size=12
)


def drive(log: list[PlanInput], deaths: list[tuple[int, str]]) -> Bench:
    """Process the log in steps, dying where ``deaths`` says, restarting from the committed offset."""
    bench = Bench()
    committed = 0
    script = iter(deaths)
    while committed < len(log):
        size, death = next(script, (3, "none"))
        step = bench.run(*log[committed : committed + size], append=death != "append", emit=death != "emit")
        if death == "none":
            committed += step.consumed
            bench.state.committed(committed)
        else:
            bench.crash(committed)
    return bench


@settings(deadline=None, max_examples=60)
@check(st.lists(EVENTS, min_size=1, max_size=10), DEATHS)
def test_whatever_dies_each_name_is_accepted_once_and_its_work_never_differs(
    specs: list[tuple[int, int, int]], deaths: list[tuple[int, str]]
) -> None:
    """As without any death: the same set of work bytes, one entry for every accepted name, and a fold that knows it all."""
    log = [published(spec, offset) for offset, spec in enumerate(specs)]
    bench, calm = drive(log, deaths), drive(log, [])
    assert set(bench.work) == set(calm.work)
    state = fold(bench.log, len(log))
    accepted = list(state.names.values())
    sound = {spec[0] for spec in specs if spec[2] in (0, 3)}
    assert len(accepted) == len(sound)
    assert facts(state, NOW_MS) == facts(bench.state, NOW_MS)


@settings(deadline=None, max_examples=60)
@check(st.lists(EVENTS, min_size=1, max_size=8), st.data())
def test_any_replay_of_any_part_of_the_log_changes_nothing(
    specs: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    """Redelivery in any order, any number of times: no new entry that was not there, and the same work bytes."""
    log = [published(spec, offset) for offset, spec in enumerate(specs)]
    bench = drive(log, [])
    bench.crash(0)
    work, entries = set(bench.work), len(bench.log)
    bench.run(*data.draw(st.lists(st.sampled_from(log), max_size=12)))
    assert set(bench.work) == work
    assert len(bench.log) == entries
