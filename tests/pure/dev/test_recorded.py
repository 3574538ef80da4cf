"""Recordings: what is kept of a record, who is taken out of it, and what a replay makes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.registry.fold import Registry
from schemas.lanes import Lane
from schemas.registry import CONFIRMATIONS
from schemas.topics import requests
from schemas.wire.timestamps import ms_of, text_of
from streams.client import Event
from streams.dev.recordings.files import Entry, RecordingError, Writer, entry_of, line_of, read_entries
from streams.dev.recordings.preparation import Shifts, chosen, rewritten, wanted_of
from streams.dev.recordings.pseudonyms import WITHHELD, Pseudonyms
from streams.dev.recordings.recorder import captured
from streams.kafka.scan import Record
from streams.registry.apply import changes, read_files

REGISTRY_FILES = sorted((Path(__file__).parents[3] / "deploy" / "dev").glob("*.yaml"))
AT_MS = 1_800_000_000_000
SECRET = "731904"
PERSON = "tel:+12125552345"

texts = st.text("abcdefghij", min_size=1, max_size=8)


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The development registry."""
    applied = Registry()
    changes(read_files(REGISTRY_FILES), applied)
    return applied


def otp(params: dict[str, Any], *, shared: dict[str, Any] | None = None, template: str = "login_code") -> Event:
    """A bank's event with these parameters for its one recipient."""
    return {
        "specversion": "1.0",
        "type": "fanfare.notification.v1",
        "source": "//bank-meridian/login",
        "id": "1",
        "time": text_of(AT_MS),
        "expirytime": text_of(AT_MS + 60_000),
        "subject": "login",
        "data": {
            "template": template,
            "params": {"minutes": "5", **(shared or {})},
            "to": {"recipients": [{"address": PERSON, "params": params}]},
        },
    }


def parcel(number: int, *, at_ms: int = AT_MS, version: int = 1) -> Entry:
    """A shop's event as it was recorded."""
    event = {
        "specversion": "1.0",
        "type": "fanfare.notification.v1",
        "source": "//shop-parcelo/parcels",
        "id": f"{number}",
        "time": text_of(at_ms - 40),
        "expirytime": text_of(at_ms + 60_000),
        "subject": f"parcel/{number}",
        "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        "data": {"template": "parcel_delivered", "facet": "state", "version": version, "to": {"list": "l"}},
    }
    return Entry(requests(Lane.UPDATE), 0, at_ms, "shop-parcelo", {}, event)


def record(event: object, *, lane: Lane = Lane.OTP, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    """An event as it stands in Kafka."""
    return Record(requests(lane), 0, 0, AT_MS, b"key", msgspec.json.encode(event), headers)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(otp({"code": {"sealed": "dev1." + SECRET * 20}}), id="sealed"),
        pytest.param(otp({"code": SECRET}), id="in clear"),
        pytest.param(otp({}, shared={"code": SECRET}), id="in clear, shared"),
        pytest.param(otp({"cdoe": SECRET}), id="in clear, misspelt"),
        pytest.param(otp({"code": SECRET}, template="unheard_of"), id="in clear, for an unknown template"),
        pytest.param({**otp({}), "code": SECRET}, id="beside data"),
        pytest.param({**otp({}), "data": {**otp({})["data"], "code": SECRET}}, id="beside the parameters"),
    ],
)
@pytest.mark.parametrize("lane", [Lane.OTP, Lane.UPDATE])
def test_no_code_is_recorded(event: Event, lane: Lane, registry: Registry) -> None:
    """However a code was sent in its lane, its text does not stand in the line; nor in another, where a code's template tells."""
    entry = captured(record(event, lane=lane), registry)
    known = event["data"]["template"] == "login_code" and "code" not in event and "code" not in event["data"]
    if lane is Lane.OTP or known:
        assert entry is None or SECRET.encode() not in line_of(entry)
    if lane is Lane.OTP and known:
        assert entry is not None
        assert entry.value["data"]["params"]["minutes"] == "5"


def test_binary_mode_is_recorded_as_structured(registry: Registry) -> None:
    """Attributes in headers come into the event; other headers than the content type are left out."""
    event = parcel(1).value
    attributes = {name: held for name, held in event.items() if name != "data"}
    headers = [(f"ce_{name}", str(held).encode()) for name, held in attributes.items()]
    headers += [("content-type", b"application/json"), ("x-customer", b"Ann")]
    entry = captured(record(event["data"], lane=Lane.UPDATE, headers=tuple(headers)), registry)
    assert entry is not None
    assert (entry.value, entry.headers) == (event, {"content-type": "application/json"})


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b'"text"', b"{}", b'{"source":"//a/b"}', b'{"source":"a","id":"1"}', b'{"source":1,"id":"1"}'],
)
def test_what_has_no_name_is_left_out(value: bytes, registry: Registry) -> None:
    """Nothing but events whose source and id can be used."""
    assert captured(record(None)._replace(value=value), registry) is None


@pytest.mark.parametrize("template", CONFIRMATIONS)
def test_confirmations_of_stops_are_left_out(template: str, registry: Registry) -> None:
    """Under another name they would be nobody's to say, and refused."""
    event = {"id": "1", "source": "//shop/fanfare", "type": "fanfare.notification.v1", "data": {"template": template}}
    assert captured(record(event, lane=Lane.UPDATE), registry) is None


def test_heartbeats_are_left_out(registry: Registry) -> None:
    """Every deployment has its own."""
    event = {**parcel(1).value, "source": "//fanfare-3/heartbeat"}
    assert captured(record(event, lane=Lane.UPDATE), registry) is None


@given(st.lists(st.integers(0, 10**6), max_size=20))
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_a_file_gives_back_what_was_written(
    name: str, tmp_path_factory: pytest.TempPathFactory, numbers: list[int]
) -> None:
    """Line by line, compressed or not, also with a flush between."""
    path = str(tmp_path_factory.mktemp("recording") / name)
    entries = [parcel(number) for number in numbers]
    with Writer(path) as writer:
        for entry in entries:
            writer.write(line_of(entry))
            writer.flush()
    assert list(read_entries(path)) == entries


def test_a_recording_is_not_written_over(tmp_path: Path) -> None:
    """A file that is there stays, and what is written is nobody else's to read."""
    path = tmp_path / "a.jsonl"
    with Writer(str(path)) as writer:
        writer.write(b"x\n")
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(RecordingError, match="is there already"):
        Writer(str(path))
    with pytest.raises(RecordingError, match=r"a\.jsonl:1 is no line of a recording"):
        list(read_entries(str(path)))


def test_a_foreign_topic_is_refused() -> None:
    """Only what businesses publish can be published again."""
    with pytest.raises(ValueError, match="no topic of requests"):
        entry_of(line_of(msgspec.structs.replace(parcel(1), topic="plans.update")))


def numbers_of_the_world() -> Iterator[str]:
    """Each region's example of a mobile number."""
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
        if example is not None:
            yield phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)


@pytest.mark.parametrize("seed", [1, 2])
def test_pseudonyms_are_valid_distinct_and_of_the_same_country(seed: int) -> None:
    """Everywhere in the world; the same number for the same person and seed, and nobody keeps their own."""
    people = list(dict.fromkeys(numbers_of_the_world()))
    pseudonyms, again = Pseudonyms(seed), Pseudonyms(seed)
    invented = [pseudonyms.number(number) for number in people]
    assert [again.number(number) for number in people] == invented
    assert [pseudonyms.number(number) for number in people] == invented
    assert len(set(invented)) == len(people)
    for number, other in zip(people, invented, strict=True):
        parsed = phonenumbers.parse(other)
        assert number != other
        assert phonenumbers.is_valid_number(parsed), (number, other)
        assert parsed.country_code == phonenumbers.parse(number).country_code


@given(st.lists(st.integers(2_000_000, 9_999_999), unique=True, max_size=200), st.integers(0, 99))
def test_nobody_is_merged(digits: list[int], seed: int) -> None:
    """As many invented numbers as people."""
    pseudonyms = Pseudonyms(seed)
    assert len({pseudonyms.number(f"+1212{each}") for each in digits}) == len(digits)


def test_numbers_are_replaced_wherever_they_stand() -> None:
    """In addresses, subjects, parameters and keys; times stay, and what is no number is withheld."""
    event = otp({"sms": f"call {PERSON.removeprefix('tel:')}!"})
    event |= {"subject": f"about {PERSON}", PERSON: 1}
    event["data"]["to"]["recipients"].append({"address": "0170 1234567"})
    pseudonyms = Pseudonyms(5)
    changed = pseudonyms.event(event)
    assert PERSON.removeprefix("tel:").encode() not in msgspec.json.encode(changed)
    invented = pseudonyms.number(PERSON.removeprefix("tel:"))
    first, second = changed["data"]["to"]["recipients"]
    assert (first["address"], second["address"]) == (f"tel:{invented}", WITHHELD)
    assert first["params"]["sms"] == f"call {invented}!"
    assert (changed["time"], changed["expirytime"]) == (event["time"], event["expirytime"])


@pytest.mark.parametrize(
    ("filters", "taken"),
    [
        ([], True),
        (["lane=update"], True),
        (["lane=otp"], False),
        (["lane=otp", "lane=update"], True),
        (["lane=update", "template=login_code"], False),
        (["template=parcel_delivered", "type=fanfare.notification.v1"], True),
        (["type=fanfare.optin.v1"], False),
    ],
)
def test_filters(filters: list[str], taken: bool) -> None:  # noqa: FBT001 - a row of the table
    """Values of one key are alternatives, keys are conditions."""
    assert chosen(parcel(1), wanted_of(filters)) is taken


@pytest.mark.parametrize("text", ["", "lane", "lane=", "=otp", "business=x"])
def test_what_is_no_filter_is_refused(text: str) -> None:
    """With the known keys."""
    with pytest.raises(ValueError, match="lane, type, template"):
        wanted_of([text])


@given(st.integers(-(10**10), 10**10), texts, st.booleans())
def test_a_rewritten_event_is_the_same_at_another_time(shift_ms: int, run: str, test: bool) -> None:  # noqa: FBT001
    """Id, type and data stay; the run stands in source and subject, and both times move by the same."""
    entry = parcel(7, version=3)
    before = msgspec.json.encode(entry)
    event, codes = rewritten(entry, run=run, shift_ms=shift_ms, test=test)
    old = entry.value
    assert (event["source"], event["subject"]) == (f"{old['source']}/{run}", f"{old['subject']}/{run}")
    assert [ms_of(event[mark]) - ms_of(old[mark]) for mark in ("time", "expirytime")] == [shift_ms, shift_ms]
    assert event["data"] == {**old["data"], **({"test": True} if test else {})}
    assert event.keys() == old.keys() - {"traceparent"}
    assert codes == {}
    assert msgspec.json.encode(entry) == before


def test_codes_are_invented() -> None:
    """Six digits by name of the event, outside of it; the empty seals are gone, other parameters stay."""
    events = [otp({"code": {"sealed": ""}, "minutes": "4"}), otp({"code": {"sealed": ""}}) | {"id": "2"}]
    found = [
        rewritten(Entry(requests(Lane.OTP), 0, AT_MS, None, {}, event), run="r", shift_ms=0, test=False)
        for event in [*events, events[0]]
    ]
    assert found[0].codes == found[2].codes != found[1].codes
    assert all(len(each.codes["code"]) == 6 and each.codes["code"].isdecimal() for each in found)
    assert found[0].event["data"]["to"]["recipients"] == [{"address": PERSON, "params": {"minutes": "4"}}]


def test_a_control_event_means_the_event_of_its_own_run() -> None:
    """What it names by source and id is published under another source; a subject stays as it was said."""
    body: dict[str, Any] = {"action": "pause", "of": {"source": "//shop/crm", "id": "offer-1"}}
    event = {"type": "fanfare.control.v1", "source": "//shop/desk", "id": "1", "time": text_of(AT_MS), "data": body}
    moved, _ = rewritten(Entry(requests(Lane.CAMPAIGN), 0, 0, None, {}, event), run="r", shift_ms=10, test=True)
    assert moved["data"] == {"action": "pause", "of": {"source": "//shop/crm/r", "id": "offer-1"}}
    event["data"] = {"action": "cancel", "subject": "flight/UA1"}
    moved, _ = rewritten(Entry(requests(Lane.CAMPAIGN), 0, 0, None, {}, event), run="r", shift_ms=10, test=True)
    assert moved["data"] == event["data"]


def test_optins_move_their_evidence_and_are_never_tests() -> None:
    """An opt-in has no test mark, and evidence from before the replay would lose against what was said since."""
    body = {"list": "l", "op": "join", "members": [{"address": PERSON, "evidence_ms": 5}, {"address": PERSON}, "odd"]}
    event = {"type": "fanfare.optin.v1", "source": "//a/b", "id": "1", "time": "no time", "data": body}
    moved, _ = rewritten(Entry(requests(Lane.CAMPAIGN), 0, 0, None, {}, event), run="r", shift_ms=10, test=True)
    assert moved["data"] == {
        **body,
        "members": [{"address": PERSON, "evidence_ms": 15}, {"address": PERSON}, "odd"],
    }
    assert moved["time"] == "no time"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts | st.just("params"), inner, max_size=3),
)
bodies = json_values | st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("template", "to", "params", "members", "version", "test"), json_values)
)


@given(bodies, st.sampled_from(["fanfare.notification.v1", "fanfare.optin.v1", "else"]))
def test_odd_events_are_replayed_as_odd(body: object, kind: str) -> None:
    """Whatever is in an event, recording and rewriting it do not fail: it is refused as it was."""
    event = {"type": kind, "source": "//a/b", "id": "1", "data": body}
    for lane in Lane:
        entry = captured(record(event, lane=lane), Registry())
        if entry is not None:
            hidden = Pseudonyms(1).entry(entry)
            moved, _ = rewritten(hidden, run="r", shift_ms=1, test=True)
            assert moved["source"] == "//a/b/r"
        assert entry is not None or lane.rules.carries_codes


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6)), max_size=30))
def test_a_repetition_moves_as_what_it_repeats(events: list[tuple[int, int]]) -> None:
    """Within a loop all events of one name move by the same, the first to when it is due; loops are apart."""
    shifts = Shifts()
    for loop in range(2):
        moved: dict[int, set[int]] = {}
        for number, due_ms in events:
            moved.setdefault(number, set()).add(shifts.of(parcel(number), loop, due_ms))
        for number, found in moved.items():
            first_due_ms = next(due_ms for each, due_ms in events if each == number)
            assert found == {first_due_ms - AT_MS}
