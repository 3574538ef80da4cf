"""What the client builds and seals: events that other people's code reads, that plan takes, and codes that open once."""

from typing import Any

import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event

from schemas.ids import request_name
from schemas.lanes import Lane
from schemas.reasons import Reason
from schemas.request import Evidence, Member, Notification, Optin, Recipient, To
from schemas.wire.sealed import SealError, open_code
from streams.client import (
    Client,
    Event,
    Head,
    InvalidEventError,
    SealingError,
    SealKey,
    notification,
    optin,
    to_list,
    to_people,
)
from streams.client.client import lane_of
from streams.client.sealing import seal_codes
from streams.runtime.settings import DEV_SEAL_KID, DEV_SEAL_PUBLIC, load

KEY = SealKey(DEV_SEAL_KID, bytes.fromhex(DEV_SEAL_PUBLIC))
PRIVATE = load().private_seal_keys
ANNE, BERT = "tel:+491701234567", "tel:+12125550123"
NOW_MS = 1_900_000_000_000


def code_event(*people: str, event_id: str = "1") -> Event:
    """A one-time code that is not sealed in yet."""
    head = Head(source="//bank/login", id=event_id, time_ms=NOW_MS, lifetime_ms=300_000)
    return notification(head, Notification("login_code", to_people(*people), params={"minutes": "5"}))


def news(**head: Any) -> Event:
    """An update about a flight."""
    content = Notification("news", to_list("flight/1"), facet="departure", version=3, labels={"season": "winter"})
    given: dict[str, Any] = {"source": "//airline/ops", "id": "n-1", "time_ms": NOW_MS, "lifetime_ms": 60_000}
    return notification(Head(**(given | head)), content)


def joining() -> Event:
    """An opt-in."""
    evidence = Evidence("checkbox", "Tell me.", "booking")
    return optin(
        Head(source="//airline/app", id="o-1", time_ms=NOW_MS), Optin("flight/1", "join", (Member(ANNE),), evidence)
    )


EVENTS = [
    pytest.param(Lane.UPDATE, news(subject="flight/1"), id="update to a list"),
    pytest.param(Lane.CAMPAIGN, joining(), id="opt-in"),
    pytest.param(Lane.OTP, seal_codes(code_event(ANNE, BERT), Lane.OTP, {"code": "271828"}, KEY), id="sealed code"),
]


@pytest.mark.parametrize("code", ["1234\n", " 1234", "12 34", "12\t34", "1234\x00", ""])
def test_a_code_that_nobody_could_type_is_not_sealed(code: str) -> None:
    """A line read from a file has a line end, which would stand on the phone."""
    with pytest.raises(SealingError, match="code code is empty, or has a line end, white space or a control character"):
        seal_codes(code_event(ANNE), Lane.OTP, {"code": code}, KEY)


@pytest.mark.parametrize("lane", [lane.word for lane in Lane])
def test_a_lane_may_be_named_by_its_word(lane: str) -> None:
    """As everywhere else: in topics, in commands, over HTTP."""
    assert lane_of(lane) is Lane.of(lane)
    assert lane_of(Lane.of(lane)) is Lane.of(lane)


def test_a_word_that_is_no_lane_is_refused_with_those_that_are() -> None:
    """And not by a traceback that ends in the word."""
    with pytest.raises(InvalidEventError, match=r"there is no lane 'updates'; lanes are otp, update, "):
        lane_of("updates")


@pytest.mark.parametrize(("lane", "event"), EVENTS)
def test_plan_takes_what_the_builders_make(lane: Lane, event: Event) -> None:
    """The check before publishing is plan's own, and finds nothing."""
    Client("nowhere:1").validate(lane, event)


@pytest.mark.parametrize(("lane", "event"), EVENTS)
def test_the_sdk_reads_the_same_event(lane: Lane, event: Event) -> None:
    """The CloudEvents SDK as an oracle: attributes and data come out as they went in."""
    message = KafkaMessage(
        headers={"content-type": b"application/cloudevents+json; charset=UTF-8"},
        key=None,
        value=msgspec.json.encode(event),
    )
    read = from_structured_event(message)
    assert (read.get_id(), read.get_source(), read.get_type()) == (event["id"], event["source"], event["type"])
    assert read.get_data() == event["data"]


def test_what_is_left_at_its_default_is_left_out() -> None:
    """Ingress is closed: a null where a text belongs would be refused."""
    event = code_event(ANNE)
    assert "subject" not in event
    assert event["data"] == {
        "template": "login_code",
        "to": {"recipients": [{"address": ANNE}]},
        "params": {"minutes": "5"},
    }


def test_each_person_gets_a_blob_of_their_own_that_opens_in_its_place_alone() -> None:
    """Bound to request, person, template and parameter: moved elsewhere it does not open."""
    sealed = seal_codes(code_event(ANNE, BERT), Lane.OTP, {"code": "271828"}, KEY)
    first, second = (person["params"]["code"]["sealed"] for person in sealed["data"]["to"]["recipients"])
    name = request_name(Lane.OTP, "//bank/login", "1")
    place = {"request": name, "address": ANNE, "template": "login_code", "parameter": "code"}
    assert open_code(first, PRIVATE, **place) == "271828"  # type: ignore[arg-type]
    assert open_code(second, PRIVATE, **place | {"address": BERT}) == "271828"  # type: ignore[arg-type]
    moves = (
        {"address": BERT},
        {"request": request_name(Lane.OTP, "//bank/login", "2")},
        {"request": request_name(Lane.UPDATE, "//bank/login", "1")},
        {"template": "other"},
        {"parameter": "pin"},
    )
    for move in moves:
        with pytest.raises(SealError):
            open_code(first, PRIVATE, **place | move)  # type: ignore[arg-type]


async def test_a_repeat_carries_the_same_sealed_bytes() -> None:
    """The ciphertext is part of the fingerprint: sealed anew, a retry would be a conflict and its code dead."""
    client = Client("nowhere:1", seal_key=KEY)
    event = code_event(ANNE)
    first = await client.seal(Lane.OTP, event, {"code": "271828"})
    assert await client.seal(Lane.OTP, code_event(ANNE), {"code": "271828"}) == first
    assert event == code_event(ANNE)
    assert "271828" not in repr(vars(client))


@pytest.mark.parametrize(
    ("event", "codes"),
    [
        pytest.param(code_event(ANNE), {"code": "314159"}, id="another code"),
        pytest.param(code_event(BERT), {"code": "271828"}, id="another person"),
    ],
)
async def test_an_id_seals_one_code(event: Event, codes: dict[str, str]) -> None:
    """A new code needs a new id; the client refuses to hide the conflict."""
    client = Client("nowhere:1", seal_key=KEY)
    await client.seal(Lane.OTP, code_event(ANNE), {"code": "271828"})
    with pytest.raises(SealingError, match="needs a new id"):
        await client.seal(Lane.OTP, event, codes)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(news(), id="a list"),
        pytest.param({"source": "//bank/login", "id": "1", "data": {}}, id="no recipients"),
        pytest.param(
            {"source": "//bank/login", "id": "1", "data": {"template": "t", "to": {"recipients": [7]}}}, id="odd"
        ),
    ],
)
def test_codes_are_sealed_for_explicit_people_alone(event: Event) -> None:
    """Whom a list will hold is not known yet, so nothing can be sealed for them."""
    with pytest.raises(SealingError):
        seal_codes(event, Lane.OTP, {"code": "1"}, KEY)


@pytest.mark.parametrize(
    ("lane", "event", "reason"),
    [
        pytest.param(Lane.UPDATE, news() | {"expirytme": "x"}, Reason.UNKNOWN_FIELD, id="misspelt attribute"),
        pytest.param(Lane.UPDATE, news() | {"source": "airline"}, Reason.INVALID_FIELD, id="no business"),
        pytest.param(Lane.UPDATE, {"type": "x"}, Reason.MISSING_FIELD, id="no name"),
        pytest.param(Lane.UPDATE, news(lifetime_ms=None), Reason.MISSING_FIELD, id="no expiry"),
        pytest.param(Lane.OTP, news(), Reason.INVALID_FIELD, id="a list in the otp lane"),
        pytest.param(Lane.UPDATE, code_event("tel:123"), Reason.INVALID_RECIPIENT, id="no number"),
    ],
)
def test_what_plan_would_refuse_is_refused_before_it_is_sent(lane: Lane, event: Event, reason: Reason) -> None:
    """With the reason of the closed list, and without Kafka."""
    with pytest.raises(InvalidEventError) as refused:
        Client("nowhere:1").validate(lane, event)
    assert reason in {fault.reason for fault in refused.value.faults}


def test_all_that_is_wrong_is_told_at_once() -> None:
    """Each with its place; a sound event has nothing."""
    client = Client("nowhere:1")
    wrong = news(subject="flight/1", lifetime_ms=None) | {"time": "noon", "expirytme": "x"}
    assert {fault.place for fault in client.check(Lane.UPDATE, wrong)} == {"/time", "/expirytme", "/expirytime"}
    assert client.check(Lane.UPDATE, news(subject="flight/1")) == ()


def test_recipients_may_differ_in_language_and_parameters() -> None:
    """The typed content goes through as it is."""
    to = To(recipients=(Recipient(ANNE, params={"gate": "A1"}, locale="de"), Recipient(BERT)))
    event = notification(Head(source="//a/b", id="1", time_ms=NOW_MS), Notification("news", to))
    assert event["data"]["to"]["recipients"] == [
        {"address": ANNE, "params": {"gate": "A1"}, "locale": "de"},
        {"address": BERT},
    ]
