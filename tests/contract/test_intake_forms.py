"""Requests of CloudEvents' HTTP binding, without a server: how they are read, what they become, how much may be in flight."""

from typing import Any

import msgspec
import pytest

from schemas import topics
from schemas.ids import partition_of, request_name, text_of
from schemas.lanes import Lane
from schemas.registry import ApiKey
from schemas.request import CONTROL_TYPE
from schemas.topics import SHARDS
from schemas.wire.cloudevents import STRUCTURED, STRUCTURED_HEADERS, RefusedEvent, decode
from streams.intake.admission import Caller, DevKeysError, Directory, Room, digest_of
from streams.intake.http_events import BATCH, MAX_BODY_BYTES, Mode, Posted, Taken, events_of, lane_of, mode_of, taken
from streams.intake.problems import Outcome, Problem, together
from streams.kafka.reader import LogRecord
from streams.kafka.set_aside import SetAside
from streams.runtime import metrics
from streams.runtime.settings import dev_intake_key
from tests.support.plan_bench import BUSINESS, NOW_MS, event, registry

SHOP = BUSINESS
HEADERS = (
    ("Content-Type", "application/json; charset=utf-8"),
    ("ce-specversion", "1.0"),
    ("CE-Id", '"a \\"quoted\\" id"'),
    ("ce-source", f"//{SHOP}/crm"),
    ("ce-subject", "%E2%82%AC 5"),
)


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        pytest.param([("Content-Type", STRUCTURED)], Mode.STRUCTURED, id="structured"),
        pytest.param([("content-type", f"{STRUCTURED.upper()} ; charset=UTF-8")], Mode.STRUCTURED, id="charset"),
        pytest.param([("content-type", f'{STRUCTURED}; charset="utf-8"')], Mode.STRUCTURED, id="quoted charset"),
        pytest.param([("Content-Type", BATCH)], Mode.BATCH, id="batch"),
        pytest.param(HEADERS, Mode.BINARY, id="binary"),
        pytest.param([("content-type", "application/x+json"), ("ce-id", "1")], Mode.BINARY, id="any JSON"),
        pytest.param([("ce-id", "1")], Mode.BINARY, id="binary, of no type"),
        pytest.param([("Content-Type", STRUCTURED), ("ce-id", "1")], Mode.STRUCTURED, id="the type decides"),
        pytest.param([("Content-Type", STRUCTURED), ("Content-Encoding", "identity")], Mode.STRUCTURED, id="identity"),
    ],
)
def test_the_mode_is_told_by_the_content_type(headers: list[tuple[str, str]], wanted: Mode) -> None:
    """As section 3 of the binding says."""
    assert mode_of(headers) is wanted


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([("Content-Type", "application/json")], id="JSON alone"),
        pytest.param([("Content-Type", "application/cloudevents+avro")], id="avro"),
        pytest.param([("Content-Type", "text/csv"), ("ce-id", "1")], id="binary csv"),
        pytest.param([("Content-Type", STRUCTURED), ("Content-Type", BATCH)], id="two types"),
        pytest.param([("Content-Type", f"{STRUCTURED}; charset=utf-16")], id="charset"),
        pytest.param([("Content-Type", STRUCTURED), ("Content-Encoding", "br")], id="compressed"),
    ],
)
def test_what_cannot_be_read_is_unsupported(headers: list[tuple[str, str]]) -> None:
    """415, before the body is looked at."""
    found = mode_of(headers)
    assert isinstance(found, Problem)
    assert (found.outcome, found.status) == (Outcome.UNSUPPORTED, 415)


def test_a_structured_event_keeps_its_bytes() -> None:
    """Whatever they are: judging is done later."""
    assert events_of(Mode.STRUCTURED, (), b" {} ") == (Posted(b" {} "),)


def test_a_batch_has_places() -> None:
    """Each event keeps its bytes and knows where it stood; nothing is a batch of none."""
    found = events_of(Mode.BATCH, (), b'[{"id": "1"}, {"id" :2}]')
    assert found == (Posted(b'{"id": "1"}', "/0"), Posted(b'{"id" :2}', "/1"))
    assert events_of(Mode.BATCH, (), b" [] ") == ()


def test_binary_mode_is_the_same_event_in_structured_mode() -> None:
    """Quotes and percent-encoding are undone; data stands last, as it was sent."""
    found = events_of(Mode.BINARY, HEADERS, b'{"a" : 1.50}')
    assert not isinstance(found, Problem)
    (posted,) = found
    assert (
        posted.value
        == (
            '{"datacontenttype":"application/json; charset=utf-8","specversion":"1.0","id":"a \\"quoted\\" id",'
            f'"source":"//{SHOP}/crm","subject":"€ 5","data":{{"a" : 1.50}}}}'
        ).encode()
    )


TOLD = (
    ("specversion", "1.0"),
    ("id", "1"),
    ("source", f"//{SHOP}/crm"),
    ("type", "fanfare.notification.v1"),
    ("time", "2026-11-22T06:40:00Z"),
)
CONTENT_TYPES = {
    "none": ([], True),
    "JSON": (["application/json"], True),
    "JSON in UTF-8": (["application/json; charset=UTF-8"], True),
    "JSON in Latin-1": (["application/json; charset=latin1"], False),
    "another JSON": (["application/vnd.shop+json"], True),
    "text": (["text/plain"], False),
    "an empty one": ([""], True),
    "XML of CloudEvents": (["application/cloudevents+xml"], False),
    "two": (["application/json", "application/json"], False),
}


@pytest.mark.parametrize(("kinds", "taken_by_both"), CONTENT_TYPES.values(), ids=CONTENT_TYPES.keys())
def test_both_doors_say_the_same_of_a_content_type_in_binary_mode(kinds: list[str], *, taken_by_both: bool) -> None:
    """What Kafka takes HTTP takes, as the same event; what one refuses the other refuses."""
    body = b'{"a":1}'
    record = [(f"ce_{name}", held.encode()) for name, held in TOLD] + [
        ("content-type", kind.encode()) for kind in kinds
    ]
    by_kafka = decode(body, record)
    posted = [(f"ce-{name}", held) for name, held in TOLD] + [("Content-Type", kind) for kind in kinds]
    mode = mode_of(posted)
    events = mode if isinstance(mode, Problem) else events_of(mode, posted, body)
    assert isinstance(by_kafka, RefusedEvent) == isinstance(events, Problem) == (not taken_by_both)
    if not isinstance(events, Problem):
        assert decode(events[0].value, STRUCTURED_HEADERS) == by_kafka


@pytest.mark.parametrize("kinds", [["", ""], [f"{STRUCTURED}; charset=latin1"], [STRUCTURED, STRUCTURED]])
def test_both_doors_refuse_a_content_type_that_cannot_be_read_in_one_way(kinds: list[str]) -> None:
    """In structured mode too."""
    value = msgspec.json.encode({**dict(TOLD), "data": {}})
    assert not isinstance(decode(value, STRUCTURED_HEADERS), RefusedEvent)
    assert isinstance(decode(value, [("content-type", kind.encode()) for kind in kinds]), RefusedEvent)
    assert isinstance(mode_of([("content-type", kind) for kind in kinds]), Problem)


@pytest.mark.parametrize(
    ("mode", "headers", "body", "places"),
    [
        pytest.param(Mode.BATCH, (), b"[{]", [""], id="broken batch"),
        pytest.param(Mode.BATCH, (), b'{"a":[]}', [""], id="object"),
        pytest.param(Mode.BATCH, (), b"[" * 100 + b"]" * 100, [""], id="deep"),
        pytest.param(Mode.BATCH, (), b" " * (MAX_BODY_BYTES + 1), [""], id="large"),
        pytest.param(Mode.BINARY, HEADERS, b"", ["/data"], id="no data"),
        pytest.param(Mode.BINARY, HEADERS, b'1,"source":2', ["/data"], id="breaks out"),
        pytest.param(Mode.BINARY, (*HEADERS, ("ce-id", "b")), b"nil", ["/data", "/id"], id="data and id"),
        pytest.param(Mode.BINARY, (*HEADERS, ("ce-type", "%C3")), b"1", ["/type"], id="half a letter"),
        pytest.param(Mode.BINARY, (*HEADERS, ("ce-type", "\udcff")), b"1", ["/type"], id="a byte"),
        pytest.param(Mode.BINARY, (*HEADERS, ("ce-datacontenttype", "x")), b"1", ["/datacontenttype"], id="type twice"),
    ],
)
def test_a_body_that_holds_no_events_says_where(
    mode: Mode, headers: tuple[tuple[str, str], ...], body: bytes, places: list[str]
) -> None:
    """All places at once."""
    found = events_of(mode, headers, body)
    assert isinstance(found, Problem)
    assert [error.place for error in found.errors] == places


def test_the_lane_is_named_once() -> None:
    """Neither guessed nor chosen among several."""
    assert [lane_of([lane.word]) for lane in Lane] == list(Lane)
    for asked in ([], ["OTP"], ["otp", "otp"], [""]):
        assert isinstance(lane_of(asked), Problem)


def caller() -> Caller:
    """The shop, with everything that is registered."""
    return Caller(SHOP, registry())


def judged(*values: Any, lane: Lane = Lane.UPDATE) -> tuple[Taken, ...] | Problem:
    """What becomes of these events in one request."""
    posted = [Posted(msgspec.json.encode(value), f"/{number}") for number, value in enumerate(values)]
    return taken(lane, posted, caller(), shards=SHARDS, now_ms=NOW_MS)


def test_sound_events_become_records_that_plan_reads() -> None:
    """One each, in order, keyed by the business; the receipt names it as plan will."""
    one, two = event(id="1"), event(id="2")
    found = judged(one, two)
    assert not isinstance(found, Problem)
    for value, each in zip((one, two), found, strict=True):
        assert (each.record.topic, each.record.key) == (topics.requests(Lane.UPDATE), SHOP.encode())
        assert each.record.partition == partition_of(SHOP.encode(), SHARDS)
        assert not isinstance(decode(each.record.value, each.record.headers), RefusedEvent)
        name = text_of(request_name(Lane.UPDATE, value["source"], value["id"]))
        assert each.receipt() == {"name": name, "lane": "update", "status_topic": f"status.{SHOP}"}


def test_a_control_event_goes_through_this_door_too() -> None:
    """And is judged as its form can be: what it names has its place, and so has the business of what it names."""
    sound = event(type=CONTROL_TYPE, expirytime=None) | {"data": {"action": "pause", "subject": "flight/UA1"}}
    assert not isinstance(judged(sound), Problem)
    theirs = {"action": "cancel", "of": {"source": "//somebody/else", "id": "1"}}
    found = judged(sound | {"data": theirs}, sound | {"data": {"action": "stop", "subject": ""}})
    assert isinstance(found, Problem)
    assert {error.place for error in found.errors} == {"/0/data/of/source", "/1/data/action", "/1/data/subject"}


def test_every_fault_of_every_event_is_told() -> None:
    """With its place in the body; one that is not the caller's makes it 403, one that is large 413."""
    found = judged(event(), event(id=None, time="noon"), event(data={"template": "nope"}))
    assert isinstance(found, Problem)
    assert found.outcome is Outcome.INVALID
    assert {error.place for error in found.errors} == {"/1/id", "/1/time", "/2/data/template"}
    large = event(data={"labels": {"a": "x" * 600_000}})
    assert judged(large).outcome is Outcome.TOO_LARGE  # type: ignore[union-attr]
    foreign = judged(large, event(source="//somebody/else", time="noon"))
    assert isinstance(foreign, Problem)
    assert foreign.outcome is Outcome.NOT_YOURS
    assert {error.place for error in foreign.errors} >= {"/1/source", "/1/time"}


def test_what_plan_reads_otherwise_is_not_taken() -> None:
    """Plan looks for the letters of ``specversion``; an escaped one would come to the dead letters after a 202."""
    value = msgspec.json.encode(event()).replace(b'"specversion"', b'"specversio\\u006e"')
    found = taken(Lane.UPDATE, [Posted(value)], caller(), shards=SHARDS, now_ms=NOW_MS)
    assert isinstance(found, Problem)


def record(offset: int, entry: ApiKey) -> LogRecord:
    """An entry as it stands in the registry topic."""
    return LogRecord(offset, 0, f"api_key/{entry.id}".encode(), msgspec.json.encode(entry))


def test_a_key_is_known_by_its_digest_while_it_is_active() -> None:
    """Not by the digest itself; two keys of one business do not know one another."""
    directory = Directory(SetAside("", "intake"), dev=True)
    old, new = ApiKey("old", SHOP, digest_of("old key")), ApiKey("new", SHOP, digest_of("new key"))
    directory.apply(0, [record(0, old), record(1, new), LogRecord(2, 0, b"api_key/old", b"{")])
    assert [directory.caller(key) is not None for key in ("old key", "new key", old.sha256, "")] == [
        True,
        True,
        False,
        False,
    ]
    directory.apply(0, [record(3, msgspec.structs.replace(old, active=False))])
    assert [directory.caller(key) is not None for key in ("old key", "new key")] == [False, True]


def test_a_development_key_opens_nothing_outside_development() -> None:
    """Intake does not start beside one, and knows nobody by one that is registered while it runs; its own keys do no harm."""
    key = dev_intake_key(SHOP)
    own, dev = ApiKey("own", SHOP, digest_of("own key")), ApiKey("dev", SHOP, digest_of(key))
    inside, outside = Directory(SetAside("", "intake"), dev=True), Directory(SetAside("", "intake"), dev=False)
    for directory in (inside, outside):
        directory.apply(0, [record(0, own)])
        directory.demand_own_keys()
        directory.apply(0, [record(1, dev)])
    inside.demand_own_keys()
    with pytest.raises(DevKeysError, match=r"FANFARE_DEV is off .* API keys: dev;"):
        outside.demand_own_keys()
    assert [directory.caller(key) is not None for directory in (inside, outside)] == [True, False]
    assert outside.caller("own key") is not None


def test_one_business_leaves_room_for_another() -> None:
    """Bounds for each and for all; who leaves makes room."""
    room = Room(most=3, most_of_one=2)
    assert [room.enter("a") for _ in range(3)] == [True, True, False]
    assert [room.enter("b"), room.enter("c")] == [True, False]
    room.leave("a")
    assert [room.in_flight, room.enter("c"), room.in_flight] == [2, True, 3]


def test_problems_of_one_request_are_told_together() -> None:
    """The first decides the status."""
    one, two = mode_of([]), lane_of([])
    assert isinstance(one, Problem)
    assert isinstance(two, Problem)
    both = together([one, two])
    assert both is not None
    assert (both.outcome, both.errors) == (Outcome.UNSUPPORTED, one.errors + two.errors)
    assert together([]) is None


def test_every_outcome_is_counted_under_its_name() -> None:
    """The catalogue of metrics knows how a request can end."""
    assert metrics.INTAKE.values == tuple(outcome.value for outcome in Outcome)
