"""Coming back to a position: whatever was open then, what is told goes on as if nobody had been away."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import RequestName, text_of
from schemas.request import NOTIFICATION_TYPE, OPTIN_TYPE
from schemas.status import Status
from streams.client.following import Position, Reading
from streams.client.results import Published
from streams.client.waiting import Until, Waiting

SHARDS = 3


def words_of(request: str, dice: random.Random) -> list[Status]:
    """What plan and the shards say about one request, each in its own order."""
    if dice.random() < 0.2:
        return [Status(request, "//shop/x", request, "accepted", 1, 1, counts={"members": 5})]
    said = [Status(request, "//shop/x", request, "accepted", 1, 1, shards=SHARDS)]
    for shard in range(SHARDS):
        last = dice.randint(1, 3)
        for seq in range(1, last + 1):
            state = "closed" if seq == last and dice.random() < 0.8 else "running"
            said.append(Status(request, "//shop/x", request, state, seq, seq, shard=shard, counts={"sent": seq}))
    return said


def a_day(dice: random.Random) -> list[Status | None]:
    """Words of some requests, interleaved, some said twice; plan's first. None is a record that is no status."""
    queues = [words_of(f"r{number}", dice) for number in range(dice.randint(1, 5))]
    day: list[Status | None] = []
    while queues:
        queue = dice.choice(queues)
        day.append(queue[0] if dice.random() < 0.1 else queue.pop(0))
        if dice.random() < 0.1:
            day.append(None)
        queues = [each for each in queues if each]
    return day


def told(reading: Reading, day: list[Status | None], start: int) -> list[tuple[int, Status]]:
    """What a reader tells from an offset on, with the offset of each."""
    found = []
    for offset in range(start, len(day)):
        status = reading.apply(offset, day[offset])
        if status is not None:
            found.append((offset, status))
    return found


def is_end(status: Status) -> bool:
    """Whether nothing more becomes of its request."""
    return status.state == "closed" or bool(status.counts.get("members"))


@given(st.integers(0, 1 << 32), st.floats(0, 1))
def test_coming_back_goes_on_with_whole_sums(seed: int, part: float) -> None:
    """From any position the rest is told as by a reader who never left; a word repeated after an end may be told again."""
    day = a_day(random.Random(seed))
    whole = Reading()
    everything = told(whole, day, 0)
    left_at = 1 + int(part * (len(day) - 1))
    first = Reading()
    told(first, day[:left_at], 0)
    assert first.position is not None
    assert first.position.next == left_at
    position = Position.of(str(first.position))
    again = Reading(position)
    ended = {status.request for offset, status in everything if offset < left_at and is_end(status)}
    later = [each for each in told(again, day, position.first) if each[1].request not in ended]
    assert later == [(offset, status) for offset, status in everything if offset >= left_at]
    if left_at < len(day):
        assert again.position is not None
        assert whole.position is not None
        assert again.position.next == len(day)


def test_a_request_that_is_open_holds_the_position() -> None:
    """Its first word is read again; a finished one and an opt-in hold nothing."""
    reading = Reading()
    reading.apply(10, Status("a", "//shop/x", "a", "accepted", 1, 1, counts={"members": 5}))
    assert str(reading.position) == "11..11"
    reading.apply(11, Status("b", "//shop/x", "b", "accepted", 1, 1, shards=1))
    reading.apply(12, Status("c", "//shop/x", "c", "accepted", 1, 1, shards=1))
    assert str(reading.position) == "11..13"
    reading.apply(13, Status("b", "//shop/x", "b", "closed", 1, 1, shard=0))
    assert str(reading.position) == "12..14"


def test_what_began_before_the_position_and_ended_holds_nothing_for_ever() -> None:
    """A late word about it, read again, opens nothing that will never close."""
    hour_ms = 3_600_000
    reading = Reading(Position(5, 7))
    reading.apply(5, Status("old", "//shop/x", "old", "closed", 9, hour_ms, shard=0))
    reading.apply(6, Status("new", "//shop/x", "new", "accepted", 1, hour_ms, shards=1))
    reading.apply(7, Status("new", "//shop/x", "new", "running", 1, 3 * hour_ms, shard=0))
    assert str(reading.position) == "6..8"


@pytest.mark.parametrize("text", ["", "12", "12..", "..4", "a..b", "9..3", "-1..3"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    """With a sentence that shows one."""
    with pytest.raises(ValueError, match=r"looks like 12\.\.40"):
        Position.of(text)


def receipt(number: int, kind: str = NOTIFICATION_TYPE) -> Published:
    """An event that was published."""
    return Published("requests.update", 0, number, RequestName(b"%016d" % number), 1, "//shop/x", str(number), kind)


def said(sent: Published, state: str, seq: int = 1, **fields: object) -> Status:
    """A word about it, or what is merged of several."""
    return Status(sent.request, sent.source, sent.id, state, seq, 1, **fields)  # type: ignore[arg-type]


def hear(waiting: Waiting, word: Status) -> None:
    """What is merged is the word itself."""
    waiting.hear(word, word)


@pytest.mark.parametrize(
    ("until", "kind", "state", "ends"),
    [
        pytest.param("answered", NOTIFICATION_TYPE, "accepted", True, id="an answer was waited for"),
        pytest.param("closed", NOTIFICATION_TYPE, "accepted", False, id="an answer is no end"),
        pytest.param("closed", NOTIFICATION_TYPE, "running", False, id="nor is a part of it"),
        pytest.param("closed", NOTIFICATION_TYPE, "closed", True, id="the end"),
        pytest.param("closed", NOTIFICATION_TYPE, "refused", True, id="a refusal is the end of anything"),
        pytest.param("closed", OPTIN_TYPE, "accepted", True, id="nothing more becomes of an opt-in"),
        pytest.param(lambda status: status.state == "running", NOTIFICATION_TYPE, "running", True, id="the caller's"),
        pytest.param(lambda _: False, NOTIFICATION_TYPE, "closed", True, id="no caller waits longer than for the end"),
    ],
)
def test_what_ends_the_waiting(until: Until, kind: str, state: str, *, ends: bool) -> None:
    """By what is waited for, by what was published, and by what is told."""
    waiting = Waiting([receipt(1, kind)], until)
    hear(waiting, said(receipt(2), "closed", 2))
    assert waiting.open_of("shop")
    hear(waiting, said(receipt(1), state))
    assert waiting.open_of("shop") != ends
    assert waiting.newest[text_of(b"%016d" % 1)].state == state


def test_what_is_open_is_told_with_what_to_do() -> None:
    """Silence asks for the worker; an answered request names the command that goes on telling."""
    waiting = Waiting([receipt(1), receipt(2)], "closed")
    assert "no answer to 2 of 2 open requests after 5 s: is that lane's worker running?" in waiting.sentence(5)
    for number in (1, 2):
        hear(waiting, said(receipt(number), "accepted", number))
    assert waiting.sentence(5).startswith(
        "2 requests are not finished after 5 s; `fanfare follow shop --since 1h` goes on telling"
    )
    hear(waiting, said(receipt(1), "closed", 9, shard=0))
    assert waiting.sentence(5).startswith("1 request is not finished after 5 s; `fanfare follow shop --since 1h`")


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({"delivered": 3, "sent": 1}, "after 5 s: the gateway has 1 message whose phone has not answered yet, as if"),
        ({"accepted": 2, "sent": 1_000}, "after 5 s: the gateway has 1,002 messages whose phone"),
        ({"sent": 1, "waiting": 2}, "after 5 s; `fanfare follow shop"),
        ({}, "after 5 s; `fanfare follow shop"),
    ],
)
def test_what_is_open_because_phones_are_off_is_said_to_be(counts: dict[str, int], told: str) -> None:
    """Nothing is wrong then; as long as anything is still to be handed off, that is what it waits for."""
    waiting = Waiting([receipt(1)], "closed")
    hear(waiting, said(receipt(1), "accepted", 1))
    hear(waiting, said(receipt(1), "running", 2, shard=0, counts=counts))
    assert told in waiting.sentence(5)


AGAIN = receipt(7)
"""Published a second time: its name was accepted from offset 3 before."""


@pytest.mark.parametrize(
    ("until", "own", "state"),
    [
        pytest.param("answered", said(AGAIN, "refused", 7, reason="conflict"), "refused", id="other content"),
        pytest.param("closed", said(AGAIN, "refused", 7, reason="conflict"), "refused", id="though the first is over"),
        pytest.param("answered", said(AGAIN, "accepted", 7, reason="duplicate"), "accepted", id="the same, answered"),
        pytest.param("closed", said(AGAIN, "accepted", 7, reason="duplicate"), "closed", id="the same, and its end"),
    ],
)
def test_what_was_said_to_the_first_is_no_answer_to_the_second(until: Until, own: Status, state: str) -> None:
    """Neither its acceptance nor its end, and not what a third was told; then the own answer decides."""
    waiting = Waiting([AGAIN], until)
    hear(waiting, said(AGAIN, "accepted", 3))
    hear(waiting, said(AGAIN, "closed", 2, shard=0))
    hear(waiting, said(AGAIN, "refused", 5, reason="conflict"))
    assert waiting.open_of("shop")
    hear(waiting, own)
    assert not waiting.open_of("shop")
    assert waiting.newest[AGAIN.request].state == state


def test_an_answer_may_come_after_the_end() -> None:
    """Plan died before it had told: its word says nothing new then, and is the one that was waited for."""
    waiting, sent = Waiting([AGAIN], "closed"), said(AGAIN, "closed", 2, shard=0)
    hear(waiting, sent)
    assert waiting.open_of("shop")
    waiting.hear(said(AGAIN, "accepted", 7), None)
    assert waiting.newest == {AGAIN.request: sent}
