"""One frame: what stands in a picture stands in it, whatever the size, and what is away is said."""

import io
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from schemas.lanes import Lane
from schemas.status import Status
from schemas.topics import status as status_topic
from schemas.wire import cloudevents
from streams.operate.scrape import Process, Scrape
from streams.operate.top import fitting
from streams.operate.top.fitting import Heard, chosen, phones_of
from streams.operate.top.layout import frame
from streams.operate.top.model import Aside, Phone, Picture, Word, picture
from streams.operate.top.readings import Key, Reading, growth
from streams.operate.top.screen import svg

PHONE = Phone(
    at_ms=9_000,
    phone="+140••••••402",
    name="JetBlue Airways",
    verified=True,
    language="en",
    text="Flight B6185 has landed.",
    business="airline-b6",
)
WORD = Word(9_000, "airline-b6", "B6-185-3", "closed", "41 delivered, 2 unreachable")
FULL = Aside(((PHONE,),), "", (WORD,), "")
NARROW, WIDE = (80, 24), (118, 42)


def scrape(more: int) -> Scrape:
    """A worker of the update lane after so much."""
    lane, real, beat = ("lane", "update"), ("heartbeat", "no"), ("heartbeat", "yes")
    samples: dict[Key, float] = {
        ("fanfare_requests_accepted_total", frozenset({lane, real})): 1_234,
        ("fanfare_requests_accepted_total", frozenset({lane, beat})): 480,
        ("fanfare_messages_total", frozenset({lane, ("state", "accepted"), real})): 50_000 + more,
        ("fanfare_messages_total", frozenset({lane, ("state", "accepted"), beat})): 960 + more,
        ("fanfare_messages_total", frozenset({lane, ("state", "stopped_all"), real})): 65,
        ("fanfare_messages_total", frozenset({lane, ("state", "sending"), real})): 99_999,
        ("fanfare_stage_in_total", frozenset({lane, ("stage", "deliver")})): 7_001,
        ("fanfare_stage_out_total", frozenset({lane, ("stage", "deliver")})): 6_989,
        ("fanfare_stage_waiting", frozenset({lane, ("stage", "deliver")})): 12,
        ("fanfare_stage_oldest_seconds", frozenset({lane, ("stage", "deliver")})): 0.25,
        ("fanfare_requests_refused_total", frozenset({lane, ("reason", "unknown_template")})): 17,
        ("fanfare_dead_letters_total", frozenset({("stage", "plan"), ("reason", "unknown_template")})): 2,
        ("fanfare_gateway_answers_total", frozenset({lane, ("answer", "throttled")})): 31,
        ("fanfare_gateway_codes_total", frozenset({lane, ("code", "131026")})): 8,
        ("fanfare_receipts_total", frozenset({lane, ("status", "delivered")})): 40_404,
        ("fanfare_ledger_posted_micro_total", frozenset({("currency", "USD")})): 106_180_000,
        ("fanfare_ledger_posted_total", frozenset({("category", "utility")})): 19_584,
        ("fanfare_handoff_age_seconds_bucket", frozenset({lane, ("le", "0.1")})): more,
        ("fanfare_handoff_age_seconds_bucket", frozenset({lane, ("le", "+Inf")})): more,
        ("fanfare_dev_secret", frozenset({("secret", "pepper")})): 1,
    }
    return Scrape(Process("worker update", 9811), "ok", samples)


def seen(aside: Aside = FULL, *, heartbeats: bool = False) -> Picture:
    """A worker that handed off 300 messages within two seconds, one that is not ready, and a ledger that is away."""
    others = (
        Scrape(Process("worker otp", 9810), "failed: shards"),
        Scrape(Process("ledger", 9830), "away"),
        Scrape(Process("worker otp slot 1", 9910, optional=True), "away"),
    )
    before, after = (Reading(at_ms, (scrape(more), *others)) for at_ms, more in ((7_000, 0), (9_000, 300)))
    grown = growth(before, after)
    return picture(after, grown, grown, {"update": (1.0, 8.0)}, aside, heartbeats=heartbeats)


def drawn(shown: Picture, size: tuple[int, int], *, note: str = "") -> list[str]:
    """The lines of a frame, without colours."""
    console = Console(width=size[0], height=size[1], file=io.StringIO(), record=True, color_system=None)
    console.print(frame(shown, *size, note=note))
    return console.export_text().splitlines()


MUST = [
    *("1,234", "50,300", "150", "50 ms", "99 ms", "7,001", "6,989", "12", "250 ms"),
    *("19 unknown template", "65 stopped all", "31 throttled", "8 undeliverable", "40,404 delivered"),
    *("USD 106.18", "19,584 utility", "1 ready", "failed: shards: worker otp", "away: ledger"),
    *(
        "+140••••••402",
        "✓ JetBlue Airways: Flight B6185 has landed.",
        "airline-b6",
        "closed",
        "41 delivered, 2 unreach",
    ),
]


@pytest.mark.parametrize("must", MUST)
def test_a_narrow_frame_holds_it(must: str) -> None:
    """What operators look for can be read at 80 by 24."""
    assert must in "\n".join(drawn(seen(), NARROW))


@pytest.mark.parametrize("must", MUST)
def test_a_wide_frame_holds_it(must: str) -> None:
    """The same in panels, where words stand before numbers."""
    text = " ".join("\n".join(drawn(seen(), WIDE)).split())
    number, _, words = must.partition(" ")
    assert must in text or f"{words} {number}" in text


@pytest.mark.parametrize("size", [NARROW, (80, 30), (100, 50), (112, 36), WIDE, (200, 60)])
def test_a_frame_fits_its_terminal(size: tuple[int, int]) -> None:
    """However much there is to show."""
    full = seen(Aside(((PHONE,) * 40, (PHONE,) * 40), "", (WORD,) * 40, ""))
    lines = drawn(full, size)
    assert len(lines) <= size[1]
    assert all(len(line) <= size[0] for line in lines)


@pytest.mark.parametrize("size", [NARROW, (112, 36), WIDE, (200, 60)])
def test_a_verdict_is_read_to_its_end(size: tuple[int, int]) -> None:
    """Which says for how long; over how long rates are taken is left out if there is no room for both."""
    late = "an input of deliver in lane update has been unfinished for 420 s"
    health = tuple(msgspec.structs.replace(one, ready="ok") for one in seen().health)
    text = "\n".join(drawn(msgspec.structs.replace(seen(), verdict=late, health=health), size))
    assert late in text
    assert ("rates over" in text) is (size[0] == 200)


def test_what_is_away_is_said() -> None:
    """Notes stand where phones and words would."""
    for size in (NARROW, WIDE):
        text = "\n".join(drawn(seen(Aside((), "no phones: nobody answers", (), "no Kafka answers")), size))
        assert "no phones: nobody answers" in text
        assert "no Kafka answers" in text


def test_only_what_belongs_there_is_counted() -> None:
    """A further slot is not missed; a message that is on its way has not ended."""
    assert [one.name for one in seen().health] == ["worker update", "worker otp", "ledger"]
    assert [one.word for one in seen().ended] == ["stopped_all"]
    assert not seen().good


def test_a_note_stands_at_the_foot() -> None:
    """Instead of the warning that secrets are those of development."""
    assert drawn(seen(), NARROW, note="published 12 events")[-1].strip() == "published 12 events"
    assert "NOT FOR PRODUCTION" in drawn(seen(), NARROW)[-1]


def test_a_picture_file_stands_alone() -> None:
    """Well-formed, the same each time, with nothing fetched from elsewhere."""
    text = svg(seen(), title="fanfare top")
    assert text == svg(seen(), title="fanfare top")
    letters = "".join(ET.fromstring(text).itertext()).replace("\xa0", " ")
    assert all(must in letters for must in ("50,300", "JetBlue", "airline-b6"))
    assert "url(" not in text.replace("url(#fanfare-", "")
    assert "file:" not in text


def shown(at_ms: int, business: str, language: str) -> Phone:
    """One message."""
    return msgspec.structs.replace(PHONE, at_ms=at_ms, business=business, language=language)


SHOWN = st.lists(
    st.builds(shown, st.integers(0, 99), st.sampled_from("abc"), st.sampled_from(["en", "hi"])), max_size=12
)


@given(SHOWN, SHOWN, st.integers(0, 9))
def test_phones_are_of_every_lane_and_kind(codes: list[Phone], updates: list[Phone], most: int) -> None:
    """As many as there is room for, newest first; half of it for each of two lanes, and no kind twice without need."""
    kept = chosen([codes, [msgspec.structs.replace(one, name="update") for one in updates]], most)
    assert len(kept) == min(most, len(codes) + len(updates))
    assert [one.at_ms for one in kept] == sorted((one.at_ms for one in kept), reverse=True)
    for lane, phones in (("JetBlue Airways", codes), ("update", updates)):
        own = [(one.business, one.language) for one in kept if one.name == lane]
        kinds = {(one.business, one.language) for one in phones}
        assert len(set(own)) >= min(most // 2, len(kinds))
        assert len(set(own)) == len(own) or kinds == set(own)


def test_heartbeats_are_counted_if_they_are_asked_for() -> None:
    """Else a deployment on which nobody publishes seems to be busy."""
    shown = [seen(), seen(heartbeats=True)]
    assert [(one.lanes[Lane.UPDATE].requests, one.lanes[Lane.UPDATE].messages) for one in shown] == [
        (1_234, 50_300),
        (1_714, 51_560),
    ]
    assert [one.lanes[Lane.UPDATE].rate for one in shown] == [150, 300]


def test_codes_are_hidden() -> None:
    """A code is for the phone alone; a flight's number is not one."""
    code = msgspec.structs.replace(PHONE, text="731204 is your code, valid for 5 minutes. Or AB-12CD.")
    body = msgspec.json.encode([code])
    (hidden,) = phones_of(body, Lane.OTP)
    assert hidden.text == "•••••• is your code, valid for 5 minutes. Or ••••••."
    assert phones_of(body, Lane.UPDATE) == [code]


def test_the_newest_word_of_each_business_is_heard() -> None:
    """Words of shards are put together; a refusal says why; what is no status is passed over."""
    heard = Heard()
    told = {
        "shop": [
            Status("r", "//shop/a", "1", "closed", 1, 5, shard=0, shards=2, counts={"delivered": 3}),
            Status("r", "//shop/a", "1", "closed", 1, 7, shard=1, shards=2, counts={"delivered": 1, "stopped": 2}),
        ],
        "bank": [Status("q", "//bank/a", "2", "refused", 1, 6, reason="stale", detail="It is too old.")],
    }
    for business, statuses in told.items():
        for status in statuses:
            heard.take(status_topic(business), cloudevents.encode_status(status))
    heard.take(status_topic("shop"), b"{}")
    heard.take(status_topic("shop"), None)
    assert heard.newest() == (
        Word(7, "shop", "1", "closed", "4 delivered, 2 stopped"),
        Word(6, "bank", "2", "refused", "stale: It is too old."),
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.0123, "12 ms"), (1.25, "1.25 s"), (42, "42 s"), (7_200, "120 min")]
)
def test_ages_are_short(seconds: float | None, text: str) -> None:
    """In the unit that fits."""
    assert fitting.age(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (0, "-"),
        (0.04, "<0.1"),
        (9.96, "10"),
        (42.4, "42"),
        (999.7, "1.0k"),
        (9_949, "9.9k"),
        (9_951, "10k"),
        (23_456, "23k"),
    ],
)
def test_rates_are_short(per_second: float, text: str) -> None:
    """At their edges, too."""
    assert fitting.rate(per_second) == text


@given(st.lists(st.floats(0, 1e6)), st.integers(1, 40))
def test_a_curve_has_its_width(values: list[float], width: int) -> None:
    """The highest is full, nothing is blank, and what is not known yet as well."""
    curve = fitting.curve(values, width)
    assert len(curve) == width
    kept = values[-width:]
    assert (max(kept, default=0) > 0) == ("█" in curve)
    assert all((mark == " ") == (value == 0) for mark, value in zip(curve[width - len(kept) :], kept, strict=True))
