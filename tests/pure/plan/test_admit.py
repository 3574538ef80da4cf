"""What is refused by its form: each input with its reason, who is told, and that nothing of it is repeated."""

from typing import Any

import msgspec
import pytest

from broker.plan.decode import ORIGIN_HEADER
from broker.plan.outputs import Answer
from schemas.lanes import Lane
from schemas.reasons import Reason
from schemas.status import DeadLetter
from tests.support.plan_bench import BUSINESS, SEALED, Bench, address, event, given, told

SECRET = "424242"


def person(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A recipient."""
    return {"address": address(number), **fields}


def to(*people: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Data with these recipients."""
    return {"to": {"recipients": list(people), **fields}}


FORM: dict[str, tuple[dict[str, Any], Reason, str]] = {
    "unknown attribute": (event(expirytme="x"), Reason.UNKNOWN_FIELD, "did you mean `expirytime`?"),
    "unknown field of data": (event(data={"templat": "x"}), Reason.UNKNOWN_FIELD, "data has no field `templat`"),
    "unknown field of a recipient": (
        event(data=to(person(), person(2, adress="x"))),
        Reason.UNKNOWN_FIELD,
        "data.to.recipients[1] has no field `adress`; did you mean `address`?",
    ),
    "unknown field of a sealed value": (
        event(Lane.OTP, data={"params": {"code": {"seald": "x"}}}),
        Reason.UNKNOWN_FIELD,
        "did you mean `sealed`?",
    ),
    "a body that names Faust's request model": (
        event(data={"__faust": {"ns": "x"}}),
        Reason.UNKNOWN_FIELD,
        "`__faust`",
    ),
    "reserved field": (event(data={"start_ms": 1}), Reason.NOT_SUPPORTED, "`start_ms`"),
    "reserved field beside the list": (
        event(data={"to": {"list": "l", "segment": {}}}),
        Reason.NOT_SUPPORTED,
        "`segment` in data.to",
    ),
    "no template": (event(data={"template": None}), Reason.MISSING_FIELD, "data.template is missing"),
    "no time": (event(time=None), Reason.MISSING_FIELD, "time is missing"),
    "a time without offset": (event(time="2026-11-22T06:40:00"), Reason.INVALID_FIELD, "RFC 3339"),
    "a time that is no time": (event(time="2026-02-30T06:40:00Z"), Reason.INVALID_FIELD, "RFC 3339"),
    "no expirytime in the update lane": (event(expirytime=None), Reason.MISSING_FIELD, "expirytime is missing"),
    "a number for a text": (event(data={"template": 5}), Reason.INVALID_FIELD, "data.template has the wrong type"),
    "a control in a parameter": (event(data={"params": {"flight": "a\nb"}}), Reason.INVALID_FIELD, "no controls"),
    "a bidi override in a parameter": (event(data={"params": {"flight": "a\u202eb"}}), Reason.INVALID_FIELD, "bidi"),
    "a parameter of 1,025 characters": (event(data={"params": {"flight": "a" * 1025}}), Reason.INVALID_FIELD, "1024"),
    "33 parameters": (event(data={"params": {str(n): "" for n in range(33)}}), Reason.INVALID_FIELD, "at most 32"),
    "5 labels": (event(data={"labels": {str(n): "x" for n in range(5)}}), Reason.INVALID_FIELD, "at most 4"),
    "neither recipients nor list": (event(data={"to": {}}), Reason.INVALID_FIELD, "exactly one"),
    "recipients and list": (event(data=to(person(), list="l")), Reason.INVALID_FIELD, "exactly one"),
    "a list in the otp lane": (
        event(Lane.OTP, data={"to": {"list": "l"}}),
        Reason.INVALID_FIELD,
        "explicit recipients",
    ),
    "a list's name with spaces": (event(data={"to": {"list": "a b"}}), Reason.INVALID_FIELD, "data.to.list"),
    "1,001 recipients": (event(people=range(1001)), Reason.TOO_MANY_RECIPIENTS, "1001 recipients; at most 1000"),
    "an address without scheme": (
        event(data=to({"address": "+12015550100"})),
        Reason.INVALID_RECIPIENT,
        "recipients[0]",
    ),
    "a number that nobody can have": (
        event(data=to(person(), {"address": "tel:+12015"})),
        Reason.INVALID_RECIPIENT,
        "recipients[1]",
    ),
    "an address with spaces": (event(data=to({"address": "tel:+1 2015550100"})), Reason.INVALID_RECIPIENT, "E.164"),
    "a language that is none": (event(data=to(person(locale="english!"))), Reason.INVALID_FIELD, "locale"),
    "one person twice with other content": (
        event(data=to(person(2), person(), person(locale="es"))),
        Reason.INVALID_RECIPIENT,
        "recipients[2] is the same person as [1]",
    ),
    "a facet without subject": (
        event(data={"facet": "gate", "version": 1}),
        Reason.MISSING_FIELD,
        "subject is missing",
    ),
    "a facet without version": (
        event(data={"facet": "gate"}, subject="f"),
        Reason.MISSING_FIELD,
        "data.version is missing",
    ),
    "a version below 0": (event(data={"facet": "gate", "version": -1}, subject="f"), Reason.INVALID_FIELD, "0 or more"),
    "a version in the otp lane": (
        event(Lane.OTP, data={"facet": "x", "version": 1}, subject="f"),
        Reason.INVALID_FIELD,
        "update lane",
    ),
    "a version beyond 64 bits": (event(data={"version": 2**63}), Reason.INVALID_JSON, "64 bits"),
    "a sealed value that is none": (
        event(Lane.OTP, data={"params": {"code": {"sealed": SECRET}}}),
        Reason.NOT_SEALED,
        "seal it with the client",
    ),
    "another type": (event(type="fanfare.notification.v2"), Reason.UNKNOWN_TYPE, "fanfare.notification.v1"),
    "an opt-in in the otp lane": (event(Lane.OTP, type="fanfare.optin.v1"), Reason.WRONG_LANE, "requests.campaign"),
    "an empty id": (event(id=""), Reason.INVALID_FIELD, "id must have"),
    "a NUL in source": (event(source=f"//{BUSINESS}/a\0b"), Reason.INVALID_FIELD, "source must have"),
    "a source without system": (event(source=f"//{BUSINESS}"), Reason.INVALID_FIELD, "//<business>/<system>"),
}


def lane_of(whole: dict[str, Any]) -> Lane:
    """The lane that a row of the table is about."""
    text = str(whole)
    return Lane.OTP if "'code'" in text else Lane.UPDATE


@pytest.mark.parametrize("row", FORM.values(), ids=FORM.keys())
def test_a_record_of_unsound_form_is_refused_with_its_reason(row: tuple[dict[str, Any], Reason, str]) -> None:
    """Refused with reason and sentence, told to whoever can be told, and nothing is appended."""
    whole, reason, sentence = row
    bench = Bench(lane_of(whole))
    step = bench.decide(given(whole))
    assert step.consumed == 1
    assert not step.journal
    (direct,) = step.direct
    said = told(direct)
    assert isinstance(said, DeadLetter) or said.state == "refused"
    assert said.reason == reason.word
    assert sentence in said.detail


RAW: dict[str, tuple[bytes, Reason]] = {
    "nothing": (b"", Reason.NOT_A_CLOUD_EVENT),
    "plain text": (b"hello", Reason.NOT_A_CLOUD_EVENT),
    "JSON of another dialect": (b'{"template":"x"}', Reason.NOT_A_CLOUD_EVENT),
    "broken JSON": (b'{"specversion":"1.0",', Reason.INVALID_JSON),
    "NaN": (b'{"specversion":"1.0","x":NaN}', Reason.INVALID_JSON),
    "a key that stands twice": (b'{"specversion":"1.0","specversion":"1.0"}', Reason.INVALID_JSON),
    "half a surrogate pair": (b'{"specversion":"1.0","id":"\\ud800"}', Reason.INVALID_JSON),
    "not UTF-8": (b'{"specversion":"1.0","id":"\xff"}', Reason.INVALID_JSON),
    "100,000 brackets": (b'{"a":' + b"[" * 100_000, Reason.INVALID_JSON),
    "2 MB": (b'{"specversion":"1.0","id":"' + b"a" * 2_000_000 + b'"}', Reason.TOO_LARGE),
}


@pytest.mark.parametrize("row", RAW.values(), ids=RAW.keys())
def test_a_record_that_names_no_event_goes_to_the_dead_letters(row: tuple[bytes, Reason]) -> None:
    """It keeps its place, its hash and, outside the otp lane and below the limit, its bytes."""
    value, reason = row
    for lane in Lane:
        bench = Bench(lane)
        (letter,) = bench.decide(given(value, 7)).direct
        assert isinstance(letter, DeadLetter)
        assert (letter.topic, letter.offset, letter.reason) == (f"requests.{lane.word}", 7, reason.word)
        assert (letter.payload is None) == (lane.rules.carries_codes or len(value) > 512 * 1024)
        assert len(msgspec.json.encode(letter)) < 900_000


HEADERS = {
    "Faust's reply-to": ("Faust-Ag-ReplyTo", b"charges"),
    "Faust's reply-to in small letters": ("faust-ag-replyto", b"charges"),
    "a signature, which is not enforced yet": ("fanfare-signature", b"x"),
    "an origin that is none": (ORIGIN_HEADER, b"here"),
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_reserved_headers_are_refused(header: tuple[str, bytes]) -> None:
    """No header of a producer steers a worker."""
    (answer,) = Bench().decide(given(event(), headers=(header,))).direct
    assert isinstance(answer, Answer)
    assert answer.status.reason == Reason.RESERVED_HEADER.word


def test_other_headers_are_let_pass() -> None:
    """Tracing libraries and mirrors add their own."""
    assert Bench().decide(given(event(), headers=(("b3", b"1"), ("x-mirror", b"\xff")))).journal


def test_another_tenants_event_is_not_told_to_that_tenant() -> None:
    """Key and source name different businesses: dead letter, and no answer on anybody's topic."""
    bench = Bench()
    bench.run(given(event()))
    for whole in (event(), event(data={"template": 5}), event(tme="x")):
        (letter,) = bench.decide(given(whole, 1, key=b"loner")).direct
        assert isinstance(letter, DeadLetter)


def test_a_record_without_key_is_taken_by_its_source() -> None:
    """Console producers set no key; without a signature the source is as good as a key."""
    assert Bench().decide(given(event(), key=None)).journal
    assert Bench().decide(given(event(), key=b"")).journal


def test_a_clear_code_is_never_repeated() -> None:
    """Neither the answer nor a dead letter of the otp lane holds what was sent in clear."""
    for whole in (
        event(Lane.OTP, data={"params": {"code": SECRET}}),
        event(Lane.OTP, data={"params": {"code": {"sealed": SECRET}}}),
        event(Lane.OTP, data={"params": {"code": SECRET}}, source="//nobody/x"),
        event(Lane.OTP, data={"params": {"code": SECRET, "x": SECRET}}),
    ):
        bench = Bench(Lane.OTP)
        bench.run(given(whole, key=None))
        assert len(bench.direct) == 1
        assert SECRET.encode() not in msgspec.json.encode(bench.direct) + b"".join(bench.log)


def test_an_address_is_never_repeated() -> None:
    """Sentences name positions; journal and work hold sealed addresses."""
    bench = Bench()
    bench.run(given(event(data=to(person(), {"address": "tel:+12015550100000"}))))
    bench.run(given(event(id="2"), 1))
    assert len(bench.direct) == 2
    assert b"1201555" not in msgspec.json.encode(bench.direct) + b"".join(bench.log) + b"".join(bench.work)


def test_a_producers_name_is_repeated_cut_and_printable() -> None:
    """An unknown field's name cannot break a line, a terminal or a limit."""
    (answer,) = Bench().decide(given(event(data={"\x1b[2J" + "é" * 500: 1}))).direct
    assert isinstance(answer, Answer)
    assert len(answer.status.detail) < 200
    assert answer.status.detail.isprintable()


def test_sealed_looks_are_enough_for_the_form() -> None:
    """The bench's sealed value passes, so that the rows above fail for their own reason."""
    assert Bench(Lane.OTP).decide(given(event(Lane.OTP))).journal
    assert SEALED.startswith("k1.")
