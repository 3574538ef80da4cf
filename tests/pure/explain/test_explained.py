"""Every reason that there is: whoever decides it, its story says why in a sentence, and what can be done."""

import base64

import msgspec
import pytest

from broker.audit.sources import Logged
from broker.consequences import consequence_of
from broker.deliver.policy import CODES
from broker.explain.line import Focus
from broker.explain.timeline import Telling
from schemas import topics
from schemas.delivery_journal import Answered, Decided, Members, Opened, OpenItem, Outcome, Restated
from schemas.ids import request_name, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Origin, Planned, PlannedBatch, Terms, WorkItem
from schemas.reasons import MESSAGE_REASONS, REQUEST_REASONS, Reason, State
from schemas.status import DeadLetter, RecipientStatus, Status
from schemas.wire import cloudevents
from schemas.wire.arrays import runs_of
from schemas.wire.columns import i64s, interval, u32s
from schemas.wire.header import Header, Kind, pack
from streams.commands.explain import page

SOURCE = "//shop/system"
NAME = request_name(Lane.UPDATE, SOURCE, "1")
PERSON = bytes(range(16))
NOW_MS = 1_800_000_000_000
TERMS = Terms("shop", "shop/main", "news", 1, 2, 1, {}, NOW_MS, NOW_MS, NOW_MS, SOURCE, "1")


def logged(topic: str, kind: Kind, body: object) -> Logged:
    """A record of ours in shard 3."""
    return Logged(topic, 3, 7, NOW_MS, None, pack(Header(kind, Lane.UPDATE, 3, 1, NOW_MS), body))


def status(reason: str = "", shard: int = -1, **fields: object) -> Logged:
    """An answer to the business."""
    told = Status(text_of(NAME), SOURCE, "1", "refused", 1, NOW_MS, shard=shard, reason=reason, **fields)  # type: ignore[arg-type]
    return Logged("status.shop", 0, 7, NOW_MS, None, cloudevents.encode_status(told))


def planned(reason: Reason) -> Planned:
    """A refusal in plan's journal."""
    return Planned(NAME, Origin(3, 2), b"12345678", reason, NOW_MS, NOW_MS, "The detail.", start_ms=NOW_MS)


def outcome(**sections: object) -> Logged:
    """A record of deliver's journal."""
    return logged("outcomes.update", Kind.OUTCOME, Outcome(**sections))  # type: ignore[arg-type]


def decided(status: int) -> Logged:
    """Three ranks, decided alike."""
    ranks = interval(0, 3)
    return outcome(decided=(Decided(NAME, ranks, runs_of(bytes((status,)) * 3), runs_of(b"\1" * 3), b"", 0),))


def answered(status: int) -> Logged:
    """The gateway's answer about rank 1 of three."""
    given = Answered(NAME, interval(0, 3), NOW_MS, u32s([1]), bytes((status,)), u32s([131026]), i64s([0]))
    return outcome(answered=(given,))


def shown(telling: Telling) -> str:
    """The page of a story."""
    return "\n".join(page(telling.end()))


def told(reason: Reason) -> str:
    """What a page must say of a reason."""
    return f"{reason.word}: {consequence_of(reason).sentence}"


def advised(reason: Reason) -> str:
    """And at its end."""
    return f"next step  {reason.word}: {consequence_of(reason).next_step}"


@pytest.fixture
def telling() -> Telling:
    """A story that begins."""
    return Telling(Lane.UPDATE, NAME, "shop")


@pytest.mark.parametrize("reason", sorted(REQUEST_REASONS), ids=lambda reason: reason.word)
def test_a_refusal_of_plan_is_explained(reason: Reason, telling: Telling) -> None:
    """In its journal, on the business's status topic, and as a dead letter."""
    telling.plan(logged("plans.update", Kind.PLANNED, PlannedBatch((planned(reason),))))
    page_of_plan = shown(telling)
    assert told(reason) in page_of_plan
    assert "The detail." in page_of_plan
    assert advised(reason) in page_of_plan

    by_status = Telling(Lane.UPDATE, NAME, "shop")
    by_status.status(status(reason.word, detail="The detail."))
    assert f"refused, {reason.word}: The detail." in shown(by_status)
    assert advised(reason) in shown(by_status)

    by_letter = Telling(Lane.UPDATE, NAME, "shop")
    letter = DeadLetter("requests.update", 3, 2, reason.word, "The detail.", "plan", NOW_MS, "")
    by_letter.planned = planned(reason)
    by_letter.letter(Logged(topics.DEAD_LETTERS, 0, 4, NOW_MS, None, msgspec.json.encode(letter)))
    assert f"dead letter, {told(reason)}" in shown(by_letter)
    assert advised(reason) in shown(by_letter)


@pytest.mark.parametrize("reason", sorted(MESSAGE_REASONS), ids=lambda reason: reason.word)
def test_the_end_of_a_message_is_explained(reason: Reason, telling: Telling) -> None:
    """Decided by deliver, and restated after its decision has left the log."""
    telling.outcome(decided(reason))
    assert f"ranks 0-2 of shard 3: {told(reason)}" in shown(telling)
    assert advised(reason) in shown(telling)

    later = Telling(Lane.UPDATE, NAME, "shop")
    item = OpenItem(Opened(WorkItem(NAME, TERMS), Origin(3, 1), NOW_MS), None, runs_of(bytes((reason,)) * 3), b"", b"")
    later.outcome(logged("outcomes.update", Kind.OUTCOME_RESTATED, Restated((item,), ())))
    assert told(reason) in shown(later)
    assert advised(reason) in shown(later)


@pytest.mark.parametrize(
    "reason",
    sorted({Reason.GATEWAY_REFUSED, *(end for end in CODES.values() if isinstance(end, Reason))}),
    ids=lambda reason: reason.word,
)
def test_what_the_gateway_refuses_is_explained(reason: Reason, telling: Telling) -> None:
    """With its code."""
    telling.outcome(answered(reason))
    assert f"rank 1 of shard 3: {told(reason)} (gateway code 131026, undeliverable)" in shown(telling)
    assert "2 ranks of shard 3: accepted by the gateway" in shown(telling)
    assert advised(reason) in shown(telling)


@pytest.mark.parametrize("reason", [Reason.FAILED, Reason.UNKNOWN], ids=lambda reason: reason.word)
def test_what_settle_decides_is_explained(reason: Reason, telling: Telling) -> None:
    """The newest word about each shard, of everybody and of one person."""
    telling.status(status(shard=3, counts={"sent": 3}))
    telling.status(status(shard=3, counts={"delivered": 2, reason.word: 1}))
    assert f"shard 3 refused: 2 delivered, 1 {reason.word}" in shown(telling)
    assert f"1 of shard 3: {told(reason)}" in shown(telling)
    assert advised(reason) in shown(telling)
    assert "3 sent" not in shown(telling)

    one = Telling(Lane.UPDATE, NAME, "shop")
    people = (RecipientStatus(text_of(PERSON), 0, reason.word, NOW_MS), RecipientStatus("x" * 26, 1, "read", NOW_MS))
    one.status(status(shard=3, counts={"read": 1, reason.word: 1}, recipients=people))
    one.focus = Focus(NAME, PERSON, 3)
    assert f"rank 0 of shard 3: {told(reason)}" in shown(one)
    assert "read" not in shown(one)


def test_a_shard_without_anybody_is_left_out(telling: Telling) -> None:
    """A list on which nobody of the shard is; as long as that is not known, it is told of."""
    told = Status(text_of(NAME), SOURCE, "1", "closed", 1, NOW_MS, shard=3)
    record = Logged("status.shop", 0, 7, NOW_MS, None, cloudevents.encode_status(told))
    telling.status(record)
    assert "told the business: shard 3 closed: nobody" in shown(telling)

    empty = Telling(Lane.UPDATE, NAME, "shop")
    empty.planned = msgspec.structs.replace(planned(Reason.STALE), verdict=0, list="L")
    empty.outcome(outcome(members=(Members(NAME, 0, b"", 1, 1),)))
    empty.status(record)
    assert shown(empty) == f"request {text_of(NAME)} in lane update: nobody was on the list"


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (0, "is not known; a receipt or the end of"),
        (
            Reason.SUPERSEDED,
            "it was not asked for again: a newer version of the same fact came while the gateway did not",
        ),
        (Reason.EXPIRED, "it was not asked for again: it expired while the gateway did not answer; a receipt"),
        (Reason.STOPPED, "it was not asked for again: the person stopped while the gateway did not answer; a receipt"),
    ],
)
def test_a_message_in_doubt_says_what_that_means(cause: int, why: str, telling: Telling) -> None:
    """It is no end, so nothing can be done but wait, and the line says for what, and why it was not sent again."""
    given = Answered(NAME, interval(1, 1), 0, u32s([1]), bytes((State.IN_DOUBT,)), u32s([cause]), i64s([0]))
    telling.outcome(outcome(answered=(given,)))
    assert "in_doubt: Whether it was handed off is not known" in shown(telling)
    assert why in shown(telling)
    assert "gateway code" not in shown(telling)
    assert "next step" not in shown(telling)


def test_an_opt_in_has_a_story(telling: Telling) -> None:
    """It stands in no journal of requests; the answer to its business tells of it."""
    told = Status(text_of(NAME), SOURCE, "1", "accepted", 1, NOW_MS, counts={"members": 70})
    telling.status(Logged("status.shop", 0, 7, NOW_MS, None, cloudevents.encode_status(told)))
    assert "told the business accepted: 70 members" in shown(telling)


def test_a_reason_of_another_release_is_shown_as_it_is(telling: Telling) -> None:
    """A word that this release does not know has no advice."""
    telling.status(status("too_loud", detail="It is too loud."))
    letter = DeadLetter(
        "requests.update", 3, 2, "too_loud", "It is.", "plan", NOW_MS, "", base64.b64encode(b"{}").decode()
    )
    telling.stray(letter, "dead-letters/0@4")
    assert "dead letter, too_loud It is." in shown(telling)
    assert "next step" not in shown(telling)
