"""Every fault at once: the list and plan's verdict agree, on inputs that are known to be wrong, on sums of them, and on noise."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.plan.decode import Malformed
from broker.plan.outputs import Answer
from broker.plan.state import PlanState
from broker.plan.step import decide
from broker.registry.fold import Registry
from broker.validation.all_errors import faults_of, faults_of_bytes, form_of_record
from schemas.lanes import DAY_MS, HOUR_MS, Category, Lane
from schemas.reasons import MAX_FAULTS
from schemas.request import CONTROL_TYPE, OPTIN_TYPE
from schemas.wire.timestamps import text_of
from streams.registry.apply import changes, read_files
from tests.acceptance.inputs import CONTENT_TYPE, ROWS, Row, draft_of
from tests.support import plan_bench
from tests.support.plan_bench import CONTENT, NOW_MS, address, event, policy, registry

DEV: Final = Path(__file__).parents[3] / "deploy" / "dev"
ALONE: Final = [
    row
    for row in ROWS
    if row.reason
    and row.says
    and not row.again
    and not row.through
    and row.reason not in {"wrong_tenant", "unknown_request"}
    if draft_of(row, 0, NOW_MS).headers == [CONTENT_TYPE] and draft_of(row, 0, NOW_MS).value
]
"""What a look at the bytes can find: not who published them, with which headers, and what was accepted before."""

WHOLE: Final = {"invalid_json", "not_a_cloud_event", "too_large", "not_supported"}
"""Reasons that are about the whole event."""

Spoil = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def dev() -> Registry:
    """What ``deploy/dev`` registers."""
    registered = Registry()
    changes(read_files(sorted(DEV.glob("*.yaml"))), registered)
    return registered


@pytest.mark.parametrize("row", ALONE, ids=lambda row: row.name)
def test_one_mistake_is_one_fault(row: Row, dev: Registry) -> None:
    """Each bad input that plan answers is found here with the same reason and sentence, first."""
    value = draft_of(row, 1, NOW_MS).value
    assert value is not None
    first, *rest = faults_of_bytes(row.lane, value, registry=dev, now_ms=NOW_MS)
    assert (first.reason.word, row.says in first.detail) == (row.reason, True)
    assert not rest or "beside" in row.name
    assert bool(first.place) == (row.reason not in WHOLE or row.name == "reserved field")


def put(*path: str | int, value: Any) -> Spoil:
    """Write ``value`` at ``path``."""

    def spoil(whole: Any) -> None:
        for step in path[:-1]:
            whole = whole[step]
        whole[path[-1]] = value

    return spoil


def drop(*path: str | int) -> Spoil:
    """Leave out what stands at ``path``."""

    def spoil(whole: Any) -> None:
        for step in path[:-1]:
            whole = whole[step]
        del whole[path[-1]]

    return spoil


PEOPLE: Final = ("data", "to", "recipients")
SPOILS: Final[dict[str, Spoil]] = {
    "/id": put("id", value=""),
    "/time": put("time", value="yesterday"),
    "/expirytme": put("expirytme", value="x"),
    "/specversion": put("specversion", value="0.3"),
    "/type": put("type", value="fanfare.notification"),
    "/source": put("source", value="airline"),
    "/subject": put("subject", value=7),
    "/data/templat": put("data", "templat", value=1),
    "/data/template": drop("data", "template"),
    "/data/segment": put("data", "segment", value=1),
    "/data/labels/season": put("data", "labels", value={"season": 1}),
    "/data/params/flight": put("data", "params", "flight", value=12),
    "/data/params/long": put("data", "params", "long", value="x" * 2000),
    "/data/params/code/seal": put("data", "params", "code", value={"sealed": "x", "seal": 1}),
    "/data/version": put("data", "version", value=-1),
    "/data/test": put("data", "test", value="yes"),
    "/data/to/recipients/0/address": put(*PEOPLE, 0, "address", value="0170"),
    "/data/to/recipients/1/locale": put(*PEOPLE, 1, "locale", value="English"),
    "/data/to/recipients/2": put(*PEOPLE, 2, value=7),
    "/data/to/recipients/4": put(*PEOPLE, 4, value={"address": address(3), "locale": "es"}),
}
"""Places of an update to five people, and what is wrong there then."""


def crowd() -> dict[str, Any]:
    """A sound update to five people."""
    whole = event(people=range(5), data={"facet": "f"}, subject="s")
    return msgspec.json.decode(msgspec.json.encode(whole), type=dict[str, Any])


@given(st.sets(st.sampled_from(sorted(SPOILS))))
@settings(max_examples=60, deadline=None)
def test_every_mistake_has_its_place(chosen: set[str]) -> None:
    """Any of twenty mistakes together: each is found at its place, and nothing else."""
    whole = crowd() | {"data": crowd()["data"] | {"version": 1}}
    for place in sorted(chosen):
        SPOILS[place](whole)
    places = {fault.place for fault in faults_of(Lane.UPDATE, whole)}
    twins = {"/data/params/code"} if "/data/params/code/seal" in chosen else set()
    assert places - twins == chosen


def everywhere(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every path in a JSON value but the root."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [deeper for key, held in inner for deeper in [(*path, key), *everywhere(held, (*path, key))]]


JOIN: Final = {
    "list": "l",
    "op": "join",
    "members": [{"address": address(1), "locale": "en", "evidence_ms": 1}, {"address": address(2)}],
    "evidence": {"method": "m", "wording": "w", "source": "s"},
}
WHOLES: Final = (
    (Lane.UPDATE, crowd() | {"data": crowd()["data"] | {"version": 1, "labels": {"a": "b"}}}),
    (Lane.OTP, event(Lane.OTP)),
    (Lane.CAMPAIGN, event(Lane.CAMPAIGN, traceparent="x")),
    (Lane.CAMPAIGN, event(type=OPTIN_TYPE) | {"data": JOIN}),
    (Lane.OTP, event(type=OPTIN_TYPE) | {"data": JOIN}),
    (Lane.UPDATE, event(type=CONTROL_TYPE) | {"data": {"action": "pause", "subject": "flight/UA1"}}),
)
NOISE: Final = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "a.b", "\u202e", "x" * 3000, "//a/b"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["sealed", "list", "address", "op", "ünknown", "a`b", "a/b~c"]), inner)
    ),
    max_leaves=6,
)


@given(st.sampled_from(WHOLES), st.data())
@settings(max_examples=200, deadline=None)
def test_noise_has_a_fault_if_plan_refuses_it(given_whole: tuple[Lane, dict[str, Any]], data: st.DataObject) -> None:
    """Whatever is put wherever: the first fault is plan's refusal, and there is one only if plan refuses."""
    lane, sound = given_whole
    whole = msgspec.json.decode(msgspec.json.encode(sound))
    for _ in range(data.draw(st.integers(0, 4))):
        path = data.draw(st.sampled_from(everywhere(whole) or [("id",)]))
        data.draw(st.sampled_from([drop(*path), put(*path, value=data.draw(NOISE))]))(whole)
        if data.draw(st.booleans()):
            whole[data.draw(st.sampled_from(["data_base64", "x", "datacontenttype"]))] = data.draw(NOISE)
    faults = faults_of(lane, whole, registry=registry(), now_ms=NOW_MS)
    form = form_of_record(plan_bench.given(whole, key=None), policy(lane))
    if isinstance(form, Malformed):
        assert faults[0].detail == form.refusal.detail
    assert bool(faults) == (not accepted(lane, whole))
    assert len(faults) == len(set(faults)) <= MAX_FAULTS


def accepted(lane: Lane, whole: dict[str, Any]) -> bool:
    """Whether a fresh plan takes the event."""
    record = plan_bench.given(whole, key=None)
    business = str(whole.get("source", "")).removeprefix("//").partition("/")[0]
    step = decide([record], PlanState(), registry(), policy(lane, business), NOW_MS)
    answers = [each.status.state for each in step.direct if isinstance(each, Answer)]
    return [entry.verdict for entry in step.journal] == [0] or answers == ["accepted"]


VERDICTS: Final[dict[str, tuple[Lane, dict[str, Any], dict[str, str]]]] = {
    "an unknown business with its template": (
        Lane.UPDATE,
        event(source="//nobody/x", data={"template": "dely"}),
        {"/source": "unknown_business", "/data/template": "unknown_template"},
    ),
    "sender and parameters": (
        Lane.UPDATE,
        event(data={"sender": "off", "params": {"fligt": "1"}}),
        {
            "/data/sender": "sender_suspended",
            "/data/params/fligt": "unknown_parameter",
            "/data/params": "missing_parameter",
        },
    ),
    "a sender without a share, another lane": (
        Lane.UPDATE,
        event(Lane.CAMPAIGN, data={"sender": "codes"}),
        {"/data/sender": "unknown_sender", "/data/template": "wrong_lane"},
    ),
    "an offer to people beside updates, for three days": (
        Lane.UPDATE,
        event(data=CONTENT[Category.MARKETING], expirytime=text_of(NOW_MS + 3 * DAY_MS)),
        {"/data/template": "wrong_lane", "/data/to/recipients": "invalid_field"},
    ),
    "both times": (
        Lane.UPDATE,
        event(time=text_of(NOW_MS - 3 * DAY_MS), expirytime=text_of(NOW_MS)),
        {"/time": "stale", "/expirytime": "lifetime_too_long"},
    ),
    "old and over": (
        Lane.UPDATE,
        event(time=text_of(NOW_MS - 3 * DAY_MS), expirytime=text_of(NOW_MS - 3 * DAY_MS + HOUR_MS)),
        {"/time": "stale"},
    ),
    "one sealed value for two": (
        Lane.OTP,
        event(Lane.OTP, people=(1, 2)),
        {"/data/params/code": "invalid_field"},
    ),
    "codes in clear and a stranger's key": (
        Lane.OTP,
        event(
            Lane.OTP,
            data={
                "params": {},
                "to": {
                    "recipients": [
                        {"address": address(1), "params": {"code": "1"}},
                        {"address": address(2), "params": {"code": {"sealed": "k9." + "A" * 80}}},
                        {"address": address(3)},
                    ]
                },
            },
        ),
        {
            "/data/to/recipients/0/params/code": "not_sealed",
            "/data/to/recipients/1/params/code": "not_sealed",
            "/data/params": "missing_parameter",
        },
    ),
}


@pytest.mark.parametrize("row", VERDICTS.values(), ids=VERDICTS.keys())
def test_the_registry_and_the_clock_are_asked_too(row: tuple[Lane, dict[str, Any], dict[str, str]]) -> None:
    """Who, what and when, all at once."""
    lane, whole, wanted = row
    faults = faults_of(lane, whole, registry=registry(), now_ms=NOW_MS)
    assert {fault.place: fault.reason.word for fault in faults} == wanted


def joining(**changed: Any) -> dict[str, Any]:
    """An opt-in whose evidence lacks a method, which plan looks at last."""
    data = JOIN | {"evidence": {"method": "", "wording": "w", "source": "s"}} | changed
    return event(type=OPTIN_TYPE) | {"data": data}


def controlling(**target: Any) -> dict[str, Any]:
    """A control event whose action is none."""
    return event(type=CONTROL_TYPE) | {"data": {"action": "stop", **target}}


STRANGER: Final = {"address": address(1), "locale": "English"}
"""A recipient with a language that is none, which plan looks at last."""

GOES_ON: Final[dict[str, tuple[dict[str, Any], list[str]]]] = {
    "no data": (event(specversion="1") | {"data": None}, ["/specversion", "/data"]),
    "data and data_base64": (
        event(data_base64="e30=", data={"to": {"recipients": [STRANGER]}}),
        ["/data", "/data/to/recipients/0/locale"],
    ),
    "data_base64 that is none": (event(data_base64="{}", id="") | {"data": None}, ["/id", "/data_base64"]),
    "faults inside data_base64": (
        event(data_base64=base64.b64encode(b'{"to":{"list":"?"}}').decode()) | {"data": None},
        ["/data/template", "/data/to/list"],
    ),
    "people and a list": (
        event(data={"to": {"list": "l", "recipients": [STRANGER]}}),
        ["/data/to", "/data/to/recipients/0/locale"],
    ),
    "labels": (
        event(data={"labels": {"": "x"}, "to": {"recipients": [STRANGER]}}),
        ["/data/labels", "/data/to/recipients/0/locale"],
    ),
    "nobody joins": (joining(members=[]), ["/data/members", "/data/evidence/method"]),
    "too many join": (
        joining(members=[{"address": address(1)}] * 4097),
        ["/data/members", "/data/evidence/method"],
    ),
    "consent before 1970": (
        joining(members=[{"address": address(1)}, {"address": address(2), "evidence_ms": -1}]),
        ["/data/members/1/evidence_ms", "/data/evidence/method"],
    ),
    "a control of two things": (controlling(request="x", subject="s"), ["/data/action", "/data"]),
    "a control of a stranger's": (controlling(of={"source": "//b/c", "id": "1"}), ["/data/action", "/data/of/source"]),
    "neither joins nor leaves": (joining(op="add"), ["/data/op", "/data/evidence/method"]),
}


@pytest.mark.parametrize("row", GOES_ON.values(), ids=GOES_ON.keys())
def test_the_search_goes_on_behind_each(row: tuple[dict[str, Any], list[str]]) -> None:
    """One fault does not hide another that plan comes to later."""
    whole, places = row
    whole = {name: held for name, held in whole.items() if held is not None}
    assert [fault.place for fault in faults_of(Lane.UPDATE, whole)] == places


def test_a_hundred_are_enough() -> None:
    """A thousand wrong numbers are one mistake."""
    whole = event(data={"to": {"recipients": [{"address": "0170"}] * 1000}})
    faults = faults_of(Lane.UPDATE, whole)
    assert [fault.place for fault in faults] == [f"/data/to/recipients/{n}/address" for n in range(MAX_FAULTS)]


def test_a_large_event_is_not_searched_for_long() -> None:
    """One look finds a hundred faults, and then the search ends: parameters are not asked for any more."""
    person = {"address": "0170", "params": {f"p{number}": "x" for number in range(30)}}
    whole = event(data={"to": {"recipients": [person] * 1000}})
    faults = faults_of(Lane.UPDATE, whole, registry=registry(), now_ms=NOW_MS)
    assert [fault.place for fault in faults] == [f"/data/to/recipients/{n}/address" for n in range(MAX_FAULTS)]
    whole["data"]["to"]["recipients"] = [person | {"address": address(number)} for number in range(1000)]
    faults = faults_of(Lane.UPDATE, whole, registry=registry(), now_ms=NOW_MS)
    assert [fault.place for fault in faults[:2]] == [
        "/data/to/recipients/0/params/p0",
        "/data/to/recipients/0/params/p1",
    ]
    assert len(faults) == MAX_FAULTS


def test_the_event_that_is_looked_at_stays_as_it_is() -> None:
    """It is a copy that is mended."""
    whole = crowd() | {"id": ""}
    before = msgspec.json.encode(whole)
    faults_of(Lane.UPDATE, whole, registry=registry(), now_ms=NOW_MS)
    assert msgspec.json.encode(whole) == before
