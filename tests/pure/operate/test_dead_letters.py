"""Dead letters: which are wanted, how they are shown, what the next attempt carries, and what plan would say about it."""

import base64
import hashlib
import json
from collections import Counter

import msgspec
import pytest

from broker.letters import ATTEMPT_HEADER, FIRST_PLACE_HEADER, Attempt, Letter, attempt_of, next_headers, wanted
from broker.plan.decode import PlanInput, origin_header
from broker.plan.outputs import dead_letter
from broker.registry.fold import Registry
from broker.validation.dry_run import forecast
from schemas import topics
from schemas.lanes import DAY_MS, HOUR_MS, MINUTE_MS, Lane
from schemas.plan_journal import Origin
from schemas.reasons import Reason, Refusal
from schemas.registry import Business
from schemas.status import DeadLetter
from streams.commands.dead_letters import line, since_ms, summary, table, whole
from streams.kafka.scan import Record
from streams.operate.redrive import Outcome, Told
from tests.support.plan_bench import NOW_MS, event, given, policy, registry

VALUE = b'{"code":"913482"}'


def letter(offset: int = 7, *, lane: Lane = Lane.UPDATE, at_ms: int = NOW_MS, **fields: str) -> Letter:
    """A dead letter about record 2@17 of a lane."""
    body = DeadLetter(
        topic=topics.requests(lane),
        partition=2,
        offset=17,
        reason="unknown_business",
        detail="Register it.",
        stage="plan",
        at_ms=at_ms,
        payload_sha256=hashlib.sha256(VALUE).hexdigest(),
        payload=base64.b64encode(VALUE).decode(),
        business="acme",
    )
    return Letter(3, offset, msgspec.structs.replace(body, **fields))


def record(one: Letter, value: bytes = VALUE, headers: tuple[tuple[str, bytes], ...] = ()) -> Record:
    """The record that stands where the letter says."""
    return Record(one.body.topic, one.body.partition, one.body.offset, NOW_MS, b"acme", value, headers)


@pytest.mark.parametrize(
    ("conditions", "since", "found"),
    [
        pytest.param([], 0, True, id="nothing asked"),
        pytest.param(["reason=unknown_business"], 0, True, id="its reason"),
        pytest.param(["reason=stale"], 0, False, id="another reason"),
        pytest.param(["reason=stale", "reason=unknown_business"], 0, True, id="either reason"),
        pytest.param(["reason=unknown_business", "business=shop"], 0, False, id="one field of two"),
        pytest.param(["business=acme", "topic=requests.update", "stage=plan"], NOW_MS, True, id="all fields"),
        pytest.param([], NOW_MS + 1, False, id="too old"),
    ],
)
def test_letters_are_chosen_by_what_they_say(conditions: list[str], since: int, *, found: bool) -> None:
    """Fields are all demanded, the values of one field are alternatives, and time is a lower bound."""
    assert (letter() in wanted(conditions, since_ms=since)) is found


@pytest.mark.parametrize("condition", ["reason", "code=1", "=x", "Reason=stale"])
def test_what_is_no_condition_is_refused(condition: str) -> None:
    """The sentence gives the fields that there are."""
    with pytest.raises(ValueError, match="reason, business, topic, stage"):
        wanted([condition])


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        pytest.param(None, 0, id="not given"),
        pytest.param("30m", NOW_MS - 30 * MINUTE_MS, id="minutes"),
        pytest.param("6h", NOW_MS - 6 * HOUR_MS, id="hours"),
        pytest.param("2d", NOW_MS - 2 * DAY_MS, id="days"),
        pytest.param("1970-01-01T00:00:01Z", 1_000, id="an instant"),
    ],
)
def test_since_is_a_span_or_an_instant(text: str | None, at_ms: int) -> None:
    """A span counts back from now."""
    assert since_ms(text, NOW_MS) == at_ms


def test_a_since_that_is_neither_is_refused() -> None:
    """The sentence shows both forms."""
    with pytest.raises(ValueError, match="30m, 6h, 2d, or an instant"):
        since_ms("yesterday", NOW_MS)


def test_the_table_has_a_row_for_each_letter() -> None:
    """Name, time, topic, place, business, reason and sentence stand below their heads; an unknown business is a dash."""
    heads, first, second = table([letter(), letter(12345, business="", reason="invalid_json")]).splitlines()
    assert heads.split() == ["LETTER", "AT", "TOPIC", "PLACE", "BUSINESS", "REASON", "SENTENCE"]
    assert first.split()[0] == "3@7"
    assert first.split()[2:] == ["requests.update", "2@17", "acme", "unknown_business", "Register", "it."]
    assert second.split()[4:6] == ["-", "invalid_json"]
    assert [row.index("requests") for row in (first, second)] == [heads.index("TOPIC")] * 2


def test_a_letter_is_shown_with_its_record() -> None:
    """The whole letter, what to do, and the bytes that were published."""
    one = letter()
    page = whole(one, record(one, headers=((ATTEMPT_HEADER, b"3"), (FIRST_PLACE_HEADER, b"requests.update[2]@5"))))
    assert json.loads(page[page.index("{") : page.index("\n}") + 2])["payload"] == one.body.payload
    assert "next step: Register it." in page
    assert "the same bytes, attempt 3, first at requests.update[2]@5" in page
    assert page.endswith(VALUE.decode())


def test_another_record_at_the_place_is_said() -> None:
    """A topic that was made anew holds other things under the same offset."""
    one = letter()
    assert "its hash differs" in whole(one, record(one, b"{}"))
    assert "requests.update[2]@17, has left its log" in whole(one, None)


def test_nothing_of_the_otp_lane_is_shown() -> None:
    """Neither the payload of a letter that should have none, nor the record, nor what its headers hold."""
    one = letter(lane=Lane.OTP)
    page = whole(one, record(one, headers=(("note", b"913482"),)))
    assert "913482" not in page
    assert str(one.body.payload) not in page
    assert "headers: note; a payload of this lane is never shown" in page


def test_the_summary_counts_every_letter_once() -> None:
    """What was done, what was left, and what the brake kept from being looked at."""
    counts = Counter({Outcome.SENT: 100, Outcome.REFUSED_AGAIN: 2})
    assert summary(counts, 110) == "110 dead letters: 100 sent, 2 refused again, 8 not looked at (--max)"
    assert summary(Counter(), 0) == "0 dead letters"
    told = Told(letter(), Outcome.SENT, "as requests.update[2]@40", 2)
    assert line(told).split() == ["sent", "3@7", "attempt", "2", "unknown_business", "as", "requests.update[2]@40"]


def test_each_attempt_counts_one_more_and_keeps_the_first_place() -> None:
    """Ten attempts name the place where the producer's own record stands, and keep the producer's headers."""
    headers: tuple[tuple[str, bytes], ...] = (("ce_id", b"1"),)
    for number in range(1, 10):
        attempt = attempt_of("requests.update[2]@17" if number == 1 else "elsewhere", headers)
        assert attempt == Attempt("requests.update[2]@17", number)
        headers = next_headers(given(event(), headers=headers), attempt)
        assert headers[0] == ("ce_id", b"1")
        assert len(headers) == 3


@pytest.mark.parametrize("number", [b"", b"x", b"-1", b"99999", "²".encode()])
def test_a_producer_cannot_upset_the_count(number: bytes) -> None:
    """Headers that are not ours mean a first attempt."""
    headers = ((ATTEMPT_HEADER, number), (FIRST_PLACE_HEADER, b"requests.update[2]@5"))
    assert attempt_of("here", headers) == Attempt("here", 1)


def test_the_mark_of_a_moved_record_does_not_travel_on() -> None:
    """The next attempt has a first place of its own; a reserved header that a producer set is not taken away."""
    moved = given(event(), headers=(origin_header(Origin(1, 2)), ("a", b"b")))
    assert [name for name, _ in next_headers(moved, Attempt("p", 1))] == ["a", ATTEMPT_HEADER, FIRST_PLACE_HEADER]
    steered = given(event(), headers=(("fanfare-origin", b"no place"),))
    assert ("fanfare-origin", b"no place") in next_headers(steered, Attempt("p", 1))


def test_a_letter_says_which_attempt_was_refused() -> None:
    """The producer's own is the first; what was sent again and refused again counts on."""
    refusal = Refusal(Reason.UNKNOWN_BUSINESS, "nobody is not registered")
    one = given(event())
    for number in (1, 2, 3):
        letter = dead_letter(one, refusal, policy=policy(), now_ms=NOW_MS)
        assert letter.attempts == number
        one = given(event(), headers=next_headers(one, attempt_of("requests.update[2]@17", one.headers)))


def later(now_ms: int, one: PlanInput, held: Registry) -> str:
    """The reason that plan would give at ``now_ms``."""
    return forecast(one, registry=held, policy=policy(), now_ms=now_ms).reason


def test_the_next_attempt_passes_ingress() -> None:
    """The two headers mean nothing to plan, in any number of attempts."""
    one = given(event())
    again = given(event(), headers=next_headers(one, Attempt("requests.update[2]@17", 1)))
    assert later(NOW_MS, again, registry()) == ""


@pytest.mark.parametrize(
    ("one", "after_ms", "reason"),
    [
        pytest.param(given(event()), 0, "", id="sound"),
        pytest.param(given(event()), 11 * MINUTE_MS, "request_expired", id="expired meanwhile"),
        pytest.param(given(event()), 3 * DAY_MS, "stale", id="stale meanwhile"),
        pytest.param(given(event(data={"template": "none"})), 0, "unknown_template", id="no such template"),
        pytest.param(given(b"{"), 0, "invalid_json", id="no JSON"),
        pytest.param(given(event(), headers=(("Faust-Ag-ReplyTo", b"x"),)), 0, "reserved_header", id="steering"),
    ],
)
def test_the_forecast_is_what_plan_would_say(one: PlanInput, after_ms: int, reason: str) -> None:
    """Form, parties and time are judged as on the log, at the time that is given."""
    assert later(NOW_MS + after_ms, one, registry()) == reason


def test_the_forecast_follows_the_registry() -> None:
    """What was refused because nobody knew the business is not refused once somebody registers it."""
    held = registry()
    held.apply("business/airline", None)
    assert later(NOW_MS, given(event()), held) == "unknown_business"
    held.add(Business("airline", "Airline"))
    assert later(NOW_MS, given(event()), held) == ""


def test_what_raises_is_forecast_as_poison() -> None:
    """The class of the error is told and nothing of what it says."""

    class Trap(dict[str, Business]):
        def __contains__(self, key: object) -> bool:
            raise LookupError("secret")

    held = registry()
    held.businesses = Trap()
    said = forecast(given(event()), registry=held, policy=policy(), now_ms=NOW_MS)
    assert (said.reason, said.detail) == ("poison", "Judging it raises LookupError.")
