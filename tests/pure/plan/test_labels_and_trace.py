"""A request's labels and traceparent come back in every status about it, and its traceparent goes on to the gateway."""

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from broker.plan.outputs import Answer, outputs
from broker.settle.engine import Settle
from broker.settle.policy import SettlePolicy
from schemas.delivery_journal import Opened
from schemas.facts import ReceiptStatus
from schemas.lanes import Lane
from schemas.plan_journal import Origin
from schemas.reasons import Reason
from schemas.request import OPTIN_TYPE
from schemas.status import Status
from schemas.wire.cloudevents import decode_status, encode_status
from tests.pure.settle.test_settle import CARDS, REQUEST, SETTLE_MS, T0, accepted, feed, receipt, sent
from tests.support.plan_bench import Bench, address, event, given
from tests.support.shard_bench import Bench as ShardBench
from tests.support.shard_bench import explicit

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
LABELS = {"team": "ops", "storm": "nemo"}


def traced(**fields: Any) -> dict[str, Any]:
    """An event with both."""
    data = {"labels": LABELS} | fields.pop("data", {})
    return event(data=data, traceparent=TRACE, **fields)


def answer_of(bench: Bench, whole: dict[str, Any], number: int) -> Status:
    """What the business is told about one event."""
    step = bench.run(given(whole, number))
    answers = [one.status for one in step.direct if isinstance(one, Answer)]
    answers += [asked.status for entry in step.journal if (asked := outputs(entry, 8).answer) is not None]
    (status,) = answers
    return status


@pytest.mark.parametrize(
    ("whole", "state", "reason"),
    [
        pytest.param(traced(), "accepted", "", id="accepted"),
        pytest.param(
            traced(data={"template": "nothing"}), "refused", Reason.UNKNOWN_TEMPLATE, id="refused by judgement"
        ),
        pytest.param(traced(data={"templat": "x"}), "refused", Reason.UNKNOWN_FIELD, id="refused by form"),
        pytest.param(traced(type="fanfare.unheard.v1"), "refused", Reason.UNKNOWN_TYPE, id="of no known type"),
    ],
)
def test_plans_answer_carries_them(whole: dict[str, Any], state: str, reason: Reason | str) -> None:
    """Whether the request was accepted or refused, and however early."""
    status = answer_of(Bench(), whole, 0)
    assert (status.state, status.reason) == (state, reason.word if isinstance(reason, Reason) else reason)
    assert (status.labels, status.traceparent) == (LABELS, TRACE)


@pytest.mark.parametrize("change", [{}, {"params": {"flight": "UA2"}}], ids=["the same", "other content"])
def test_the_answer_to_a_repeated_event_carries_its_own(change: dict[str, Any]) -> None:
    """A duplicate and a conflict are answered with what the second event says."""
    bench = Bench()
    answer_of(bench, traced(), 0)
    again = answer_of(bench, traced(data=change), 1)
    assert again.reason in {Reason.DUPLICATE.word, Reason.CONFLICT.word}
    assert (again.labels, again.traceparent) == (LABELS, TRACE)


def test_the_answer_to_an_opt_in_carries_its_traceparent() -> None:
    """Opt-ins have no labels."""
    proof = {"method": "web_form", "wording": "w", "source": "s"}
    data = {"list": "l", "op": "join", "members": [{"address": address(1)}], "evidence": proof}
    whole = event(type=OPTIN_TYPE, traceparent=TRACE) | {"data": data}
    status = answer_of(Bench(), whole, 0)
    assert (status.state, status.traceparent, status.labels) == ("accepted", TRACE, {})


@pytest.mark.parametrize(
    "labels",
    [{str(n): "x" for n in range(5)}, {"a": "x" * 65}, {"a": "\n"}, {"a": 1}, "none"],
    ids=["five", "long", "a control", "a number", "no object"],
)
def test_labels_that_are_refused_are_not_repeated(labels: object) -> None:
    """What plan does not accept it does not write into a status."""
    status = answer_of(Bench(), event(data={"labels": labels}), 0)
    assert (status.state, status.labels) == ("refused", {})


def test_settles_statuses_carry_them_while_running_and_when_closed() -> None:
    """Also after the account was put away and taken out again."""
    settle = Settle(SettlePolicy(3, SETTLE_MS, calm_ms=1), CARDS)
    item = replace(explicit(1, [1], labels=LABELS, trace=TRACE, card=7, expires_ms=T0 + 600_000), request=REQUEST)
    feed(settle, Opened(item, Origin(0, 0), T0), sent([0]), accepted([0]))
    said = [status for _, status in settle.due(T0).statuses]
    feed(settle, receipt(ReceiptStatus.DELIVERED, [0]))
    said += [status for _, status in settle.due(T0 + 1_000).statuses]
    settle.due(T0 + 120_000)
    assert settle.shelved == 1
    feed(settle, receipt(ReceiptStatus.READ, [0]))
    said += [status for _, status in settle.due(T0 + 180_000).statuses]
    assert [status.state for status in said] == ["running", "closed", "closed"]
    assert all((status.labels, status.traceparent) == (LABELS, TRACE) for status in said)


def test_a_status_event_has_the_traceparent_as_its_attribute_and_a_reader_has_both() -> None:
    """CloudEvents' extension for distributed tracing; a request without one makes no attribute."""
    status = Status("r", "//a/b", "1", "closed", 3, T0, labels=LABELS, traceparent=TRACE)
    assert msgspec.json.decode(encode_status(status))["traceparent"] == TRACE
    assert decode_status(encode_status(status)) == status
    plain = msgspec.json.decode(encode_status(Status("r", "//a/b", "1", "closed", 3, T0)))
    assert "traceparent" not in plain
    assert not {"labels", "traceparent"} & plain["data"].keys()


def test_the_frame_carries_the_traceparent_of_each_request() -> None:
    """A section is of one request, so it has one."""
    shard = ShardBench(Lane.UPDATE)
    shard.take(explicit(1, [1], trace=TRACE))
    shard.take(explicit(2, [2]))
    shard.append()
    flight = shard.send()
    assert flight is not None
    assert flight.frame is not None
    assert [section.traceparent for section in flight.frame.sections] == [TRACE, ""]
    assert b"traceparent" not in msgspec.json.encode(flight.frame.sections[1])
