"""What becomes of accepted messages: seeded people, and reports that may stray but never lose what is billed."""

import base64
from collections import Counter
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from broker.webhook.keywords import Vocabulary
from schemas.facts import Scope
from schemas.gateway_api import GatewayEvent, Reply
from schemas.ids import text_of
from streams.simulator.behaviour import OPT_OUT_BODIES, Due, life, mark_of, stopping
from streams.simulator.latest import Latest
from streams.simulator.phone_users import MOODS, ONLINE, REAL, Crowd, Trait
from tests.support.simulated import HOUR_MS, NOW_MS, name, person

TRAITS = {
    "reads_at_once": Trait.READS_AT_ONCE,
    "reads_later": Trait.READS_LATER,
    "offline": Trait.OFFLINE,
    "blocked": Trait.BLOCKED,
    "wrong_number_later": Trait.WRONG_NUMBER_LATER,
    "stops": Trait.STOPS,
    "stops_all": Trait.STOPS_ALL,
    "blocks": Trait.BLOCKS,
    "chats": Trait.CHATS,
    "contradicts": Trait.CONTRADICTS,
}
STOPPERS = replace(ONLINE, stops=5_000)
PEOPLE = b"".join(person(number) for number in range(3_000))


def accepted(people: bytes = PEOPLE, *, first: int = 0, expires_ms: int = NOW_MS + HOUR_MS) -> GatewayEvent:
    """A line of the log."""
    return GatewayEvent(
        "accepted",
        NOW_MS,
        lane="campaign",
        shard=3,
        request=text_of(name("r")),
        business="acme",
        sender="acme/main",
        ranks=((first, len(people) // 16),),
        recipients=base64.b64encode(people).decode(),
        expires_ms=expires_ms,
        ref="ref",
    )


def told(dues: list[Due]) -> dict[int, set[str]]:
    """What was reported of each rank, however often."""
    said: dict[int, set[str]] = {}
    for due in dues:
        if due.run is not None:
            for first, count in due.run.ranks:
                for rank in range(first, first + count):
                    said.setdefault(rank, set()).add(due.run.status)
    return said


def test_column_and_single_draw_alike() -> None:
    """A person is the same person whether looked up alone or in a column of thousands."""
    crowd = Crowd(7, REAL)
    together = crowd.classes(PEOPLE, name("r"))
    alone = b"".join(crowd.classes(PEOPLE[at : at + 16], name("r")) for at in range(0, len(PEOPLE), 16))
    assert together == alone


def test_shares() -> None:
    """Traits occur about as often as the profile says, and moods evenly."""
    people = b"".join(person(number) for number in range(20_000))
    classes = Crowd(7, REAL).classes(people, name("r"))
    traits = Counter(Trait(of_class // MOODS) for of_class in classes)
    moods = Counter(of_class % MOODS for of_class in classes)
    assert traits[Trait.READS_LATER] == pytest.approx(9_000, rel=0.05)
    assert traits[Trait.READS_AT_ONCE] == pytest.approx(3_000, rel=0.08)
    assert traits[Trait.OFFLINE] == pytest.approx(1_600, rel=0.12)
    assert traits[Trait.WRONG_NUMBER] == pytest.approx(120, rel=0.4)
    assert all(count == pytest.approx(5_000, rel=0.05) for count in moods.values())


def test_trait_stays_and_mood_changes() -> None:
    """From one message to the next a person keeps the trait; another seed makes other people."""
    crowd = Crowd(7, REAL)
    first, second = crowd.classes(PEOPLE, name("a")), crowd.classes(PEOPLE, name("b"))
    assert first != second
    assert [each // MOODS for each in first] == [each // MOODS for each in second]
    assert [each // MOODS for each in Crowd(8, REAL).classes(PEOPLE, name("a"))] != [each // MOODS for each in first]


@pytest.mark.parametrize(
    ("share", "statuses"),
    [
        (None, {frozenset({"sent", "delivered"})}),
        ("reads_at_once", {frozenset({"sent", "read"}), frozenset({"sent", "delivered", "read"})}),
        ("reads_later", {frozenset({"sent", "delivered", "read"})}),
        ("offline", {frozenset({"sent", "delivered"})}),
        ("blocked", {frozenset({"sent"})}),
        ("wrong_number_later", {frozenset({"failed"})}),
        ("stops", {frozenset({"sent", "delivered", "read"})}),
        ("chats", {frozenset({"sent", "delivered", "read"})}),
        ("contradicts", {frozenset({"sent", "failed", "delivered"})}),
    ],
)
def test_reports_of_each_trait(share: str | None, statuses: set[frozenset[str]]) -> None:
    """Where nothing strays, each kind of phone reports what it should, of every person."""
    profile = replace(ONLINE, **({share: 10_000} if share else {}))
    said = told(list(life(Crowd(1, profile), accepted())))
    assert {frozenset(each) for each in said.values()} == statuses
    assert said.keys() == set(range(3_000))


@pytest.mark.parametrize(
    ("share", "scope"), [("stops", Scope.MARKETING), ("stops_all", Scope.ALL), ("blocks", Scope.BLOCK), ("chats", None)]
)
def test_replies(share: str, scope: Scope | None) -> None:
    """Who stops says so in words that the broker knows, in any of nine languages; small talk stops nothing."""
    dues = [due for due in life(Crowd(1, replace(ONLINE, **{share: 10_000})), accepted()) if due.reply]
    said = partial(Vocabulary().changes, after_offer=False)
    meant = {change.scope for due in dues if due.reply for change in said(due.reply.kind, due.reply.body)}
    assert meant == ({scope, Scope.LIST} if scope is Scope.MARKETING else {scope} if scope else set())
    assert len({due.reply.id for due in dues if due.reply}) == len(dues) > 500
    if share in {"stops", "stops_all"}:
        assert {due.reply.body for due in dues if due.reply} == set(OPT_OUT_BODIES[TRAITS[share]])


def test_every_other_stop_names_its_message() -> None:
    """A reply carries the reference and rank of the message that it answers, or none, as a text without context."""
    named = [due.reply for due in life(Crowd(1, replace(ONLINE, stops=10_000)), accepted(first=500)) if due.reply]
    for reply in named:
        if reply.ref:
            at = (reply.rank - 500) * 16
            assert reply.recipient == text_of(PEOPLE[at : at + 16])
    assert {(reply.ref, reply.rank >= 0) for reply in named} == {("ref", True), ("", False)}


@given(st.integers(0, 1_000_000), st.integers(1, 80), st.integers(0, 5_000))
@settings(max_examples=60, deadline=None)
def test_straying_loses_nothing_billed(seed: int, people: int, first: int) -> None:
    """However reports stray, what is delivered or read of each message is the same as without straying."""
    straying = replace(REAL, sent_late=3_000, sent_skipped=3_000, repeated=5_000)
    tidy = replace(REAL, sent_late=0, sent_skipped=0, repeated=0)
    line = accepted(PEOPLE[: 16 * people], first=first)
    strays, keeps = (told(list(life(Crowd(seed, profile), line))) for profile in (straying, tidy))
    for rank, said in keeps.items():
        assert strays.get(rank, set()) | {"sent"} == said | {"sent"}


def test_straying_happens() -> None:
    """Reports do come late, twice, or not at all."""
    profile = replace(ONLINE, sent_late=3_000, sent_skipped=3_000, repeated=3_000)
    late = twice = skipped = 0
    for number in range(200):
        dues = list(life(Crowd(1, profile), accepted(PEOPLE[:16], first=number)))
        marks = Counter(due.mark for due in dues)
        twice += sum(count == 2 for count in marks.values())
        late += any(due.run and due.run.status == "sent" and due.due_ms > NOW_MS + 100 for due in dues)
        skipped += not any(due.run and due.run.status == "sent" for due in dues)
    assert late > 20
    assert twice > 20
    assert skipped > 20


def test_same_line_same_life() -> None:
    """A restarted gateway computes from its log exactly what it owed, and tells what was acknowledged from it."""
    one, other = (list(life(Crowd(3, REAL), accepted())) for _ in range(2))
    assert one == other
    run = next(due for due in one if due.run)
    assert run.run is not None
    line = GatewayEvent(
        "report", 0, request=run.request, ref="ref", status=run.run.status, code=run.run.code, ranks=run.run.ranks
    )
    assert mark_of(line) == run.mark
    reply = next(due for due in one if due.reply)
    assert reply.reply is not None
    rank = reply.reply.rank
    line = GatewayEvent(
        "reply", 0, request=reply.request, recipients=base64.b64encode(PEOPLE[rank * 16 : rank * 16 + 16]).decode()
    )
    assert mark_of(line) == reply.mark


def test_nothing_arrives_after_expiry() -> None:
    """A phone that comes back after the expiry finds nothing: neither delivered nor read is reported."""
    profile = replace(ONLINE, offline=10_000)
    said = told(list(life(Crowd(1, profile), accepted(expires_ms=NOW_MS + 100))))
    assert {frozenset(each) for each in said.values()} == {frozenset({"sent"})}


def test_heartbeats_are_always_online() -> None:
    """A heartbeat is delivered whatever the seed would say of its person."""
    profile = replace(REAL, blocked=5_000, reads_later=0, reads_at_once=0)
    said = told(list(life(Crowd(1, profile), accepted(), alive=True)))
    assert all("delivered" in each for each in said.values())


def test_nobody_answers_the_confirmation_of_a_stop() -> None:
    """Otherwise whoever stops would stop its confirmation, and so on."""
    line = replace(accepted(), confirms=True)
    assert not [due for due in life(Crowd(1, replace(ONLINE, stops=10_000)), line) if due.reply]


def contacts(line: GatewayEvent, first: int = 500) -> GatewayEvent:
    """The line as the gateway logs it, with where each of its people who stop would write from."""
    positions = stopping(Crowd(1, STOPPERS), base64.b64decode(line.recipients), name("r"))
    return replace(line, contacts=tuple((first + at, f"sealed {at}", "es") for at in positions))


def test_a_stop_says_where_it_came_from() -> None:
    """The log holds the sealed address of whoever stops, and of nobody else, so a restarted gateway knows it, too."""
    line = contacts(accepted(first=500))
    replies = [due.reply for due in life(Crowd(1, STOPPERS), line) if due.reply]
    assert len(replies) > 200
    assert len(line.contacts) < 2_000
    for reply in replies:
        place = next(at for at in range(3_000) if text_of(PEOPLE[16 * at : 16 * at + 16]) == reply.recipient)
        assert (reply.address, reply.locale) == (f"sealed {place}", "es")


@pytest.mark.parametrize("turned", [False, True])
def test_a_stop_that_names_no_message_answers_the_newest_of_that_number(*, turned: bool) -> None:
    """Of what the person had when they wrote, whatever came later or by another number, in whichever order it is read."""
    line = contacts(accepted(first=500))
    later = replace(line, at_ms=NOW_MS + 1, ref="newer")
    lines = [
        line,
        later,
        replace(line, at_ms=NOW_MS + 9, ref="too late"),
        replace(later, sender="acme/other", ref="other"),
    ]
    latest = Latest()
    for each in reversed(lines) if turned else lines:
        latest.note(each)
    rank, address, locale = line.contacts[0]
    who = text_of(PEOPLE[(rank - 500) * 16 : (rank - 499) * 16])
    said = Reply("in-1", "acme", "acme/main", who, "text", "Stop", NOW_MS + 5)
    assert latest.answered(said) == replace(said, ref="newer", rank=rank, address=address, locale=locale)
    assert latest.answered(replace(said, ref="named", rank=7)) == replace(said, ref="named", rank=7)
    assert latest.answered(replace(said, recipient=text_of(name("stranger")))).ref == ""
