"""Log lines about requests: traced ones are followed through the stages, others when they are refused; never too many."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.gateway_api import FrameAnswer, Refused
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.reasons import Reason
from schemas.status import Status
from streams.worker.request_log import MOST_A_SECOND, RequestLog, is_traced
from tests.support.log_lines import Lines, logged
from tests.support.plan_bench import Bench, event, given
from tests.support.shard_bench import NOW_MS, explicit, name
from tests.support.shard_bench import Bench as ShardBench

TRACED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNTRACED = TRACED[:-2] + "00"


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The lines that were written, at every level."""
    with logged(program="test") as written:
        yield written


@drawn(flags=st.integers(0, 255))
def test_the_flag_sampled_decides(flags: int) -> None:
    """It is the lowest bit of the last two digits, whatever the others say; without a traceparent nothing is traced."""
    assert is_traced(f"{TRACED[:-2]}{flags:02x}") == bool(flags % 2)
    assert not is_traced("")


def test_a_traced_request_is_followed_through_the_stages(lines: Lines) -> None:
    """Each line names the request and its trace, so that one search finds them all."""
    requests = RequestLog(Lane.UPDATE)
    step = Bench().run(given(event(traceparent=TRACED)))
    requests.planned(3, step)
    shard = ShardBench(Lane.UPDATE)
    shard.take(explicit(1, [1, 2], trace=TRACED), explicit(2, [3], trace=UNTRACED))
    shard.append()
    batch = shard.send()
    assert batch is not None
    requests.handed_off(shard.state, 3, batch, FrameAnswer(NOW_MS, ((Refused(0, 131026),), ())))
    closed = Status(text_of(name(1)), "//airline/ops", "1", "closed", 9, NOW_MS, 3, traceparent=TRACED)
    requests.settled([("airline", closed)])
    found = [{key: held for key, held in line.items() if key not in {"at_ms", "program", "level"}} for line in lines()]
    about = {"traceparent": TRACED, "shard": 3}
    assert found == [
        {"event": "request_accepted", "component": "plan", "request": text_of(step.journal[0].name), **about},
        {
            "event": "handed_off",
            "component": "deliver",
            "request": text_of(name(1)),
            "accepted": 1,
            "refused": 1,
            **about,
        },
        {"event": "closed", "component": "settle", "request": text_of(name(1)), "counts": {}, **about},
    ]


@pytest.mark.parametrize("traceparent", [None, UNTRACED], ids=["none", "not sampled"])
def test_a_request_that_is_not_traced_costs_no_line(lines: Lines, traceparent: str | None) -> None:
    """At a thousand a second that is what it has to cost."""
    requests = RequestLog(Lane.UPDATE)
    requests.planned(3, Bench().run(given(event(traceparent=traceparent))))
    requests.settled([("a", Status("r", "//a/b", "1", "closed", 9, NOW_MS, traceparent=traceparent or ""))])
    requests.settled([("a", Status("r", "//a/b", "1", "running", 9, NOW_MS, traceparent=TRACED))])
    assert lines() == []


@pytest.mark.parametrize(
    ("whole", "reason"),
    [
        pytest.param(event(data={"template": "nothing"}), Reason.UNKNOWN_TEMPLATE, id="by judgement"),
        pytest.param(event(data={"templat": "x"}), Reason.UNKNOWN_FIELD, id="by form"),
        pytest.param(b"no event", Reason.NOT_A_CLOUD_EVENT, id="without a name"),
    ],
)
def test_a_refusal_is_logged_with_its_place_and_reason(lines: Lines, whole: Any, reason: Reason) -> None:
    """Traced or not: what is wrong with a producer stands in the log, too."""
    RequestLog(Lane.UPDATE).planned(3, Bench().run(given(whole, 17)))
    (line,) = lines()
    assert (line["event"], line["reason"], line["partition"], line["offset"], line["times"]) == (
        "record_refused",
        reason.word,
        3,
        17,
        1,
    )


def test_refusals_of_strangers_do_not_decide_how_much_is_written(lines: Lines) -> None:
    """Of a thousand within a moment one line or two are written, not a thousand."""
    requests, step = RequestLog(Lane.UPDATE), Bench().run(given(b"no event"))
    for _ in range(1_000):
        requests.planned(3, step)
    assert 1 <= len(lines()) < 10


def test_tenants_who_trace_everything_do_not_either(lines: Lines) -> None:
    """Lines a second are bounded for traced requests."""
    requests, step = RequestLog(Lane.UPDATE), Bench().run(given(event(traceparent=TRACED)))
    for _ in range(10 * MOST_A_SECOND):
        requests.planned(3, step)
    assert MOST_A_SECOND <= len(lines()) < 10 * MOST_A_SECOND
    assert all(line["left_out"] > 0 for line in lines()[MOST_A_SECOND : MOST_A_SECOND + 1])


def test_a_record_that_is_published_elsewhere_is_said(lines: Lines) -> None:
    """A producer that hashes keys otherwise shows in the log."""
    bench = Bench()
    whole = given(event())
    bench.policy = replace(bench.policy, shard=0)
    RequestLog(Lane.UPDATE).planned(0, bench.decide(whole))
    (line,) = lines()
    assert (line["event"], line["partition"], line["to"]) == ("rerouted", 0, whole.origin.partition)
