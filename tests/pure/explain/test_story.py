"""A request's story: every decision once, in order, with reason and place; void records left out; one person's alone."""

import msgspec
import pytest

from broker.explain.line import Focus
from broker.explain.timeline import Story as Told
from broker.explain.timeline import Telling
from schemas import topics
from schemas.ids import request_name, shard_of
from schemas.lanes import Lane
from tests.pure.audit.dump import Asked
from tests.pure.audit.log import SHARDS, person
from tests.pure.audit.story import Story


@pytest.fixture(scope="module")
def run() -> Story:
    """A clean run that has something of everything."""
    return Story()


def told(run: Story, lane: Lane, business: str, event_id: str, one: int | None = None) -> Told:
    """The story of one event, from all logs of the run, as it was told; of person ``one`` alone if given."""
    return telling_of(run, lane, business, event_id, one).story


def telling_of(run: Story, lane: Lane, business: str, event_id: str, one: int | None = None) -> Telling:
    """The same, about to end."""
    name = request_name(lane, f"//{business}/system", event_id)
    telling = Telling(lane, name, business)
    for record in run.logs[topics.status(business)]:
        telling.status(record)
    for record in run.logs[topics.plans(lane)]:
        telling.plan(record)
    if telling.planned is None:
        return telling
    ordinal = -1
    if one is not None:
        shard = shard_of(person(one), SHARDS)
        telling.focus = Focus(name, person(one), shard)
        ordinal = run.ordinals[shard].index(one) if one in run.ordinals[shard] else -1
    for topic, hear in (
        (topics.work(lane), telling.work),
        (topics.outcomes(lane), lambda record: telling.outcome(record, ordinal)),
        (topics.receipts(lane), telling.receipts),
        (topics.CHARGES, telling.charge),
        (topics.SUPPRESSIONS, telling.suppressions),
    ):
        for record in run.logs[topic]:
            hear(record)
    return telling


def texts(story: Told) -> list[str]:
    """``stage: text`` of every line, in order of time."""
    return [f"{line.stage}: {line.text}" for line in sorted(story.lines, key=lambda line: line.at_ms)]


def shaped(text: str) -> str:
    """A line without what differs from run to run: instants."""
    return " ".join("<time>" if part.startswith("20") and "T" in part else part for part in text.split())


def test_the_way_of_a_parcel_is_told_from_acceptance_to_charge(run: Story) -> None:
    """Waiting, a throttled attempt, the retry, receipts and charges, each with its ranks."""
    found = [shaped(text).split(", market")[0] for text in texts(told(run, Lane.UPDATE, "shop", "parcel"))]
    wanted = [
        "plan: accepted for 3 recipients",
        "plan: the event is of <time>",
        "deliver: taken over by shard 3 (epoch 1): 3 recipients",
        "deliver: rank 0 of shard 3: waiting until <time>",
        "deliver: ranks 1-2 of shard 3: sending, attempt 1",
        "gateway: rank 2 of shard 3: accepted by the gateway",
        "gateway: rank 1 of shard 3: waiting until <time>",
        "deliver: rank 0 of shard 3: sending, attempt 1",
        "deliver: rank 1 of shard 3: sending, attempt 2",
        "gateway: ranks 0-1 of shard 3: accepted by the gateway",
        "receipt: ranks 0-2 of shard 3: delivered",
        "settle: ranks 0-1",
    ]
    places = [next(i for i, text in enumerate(found) if text.startswith(start)) for start in wanted[:-1]]
    assert places == sorted(places)
    assert sum(text.startswith("settle: ") for text in found) >= 1


def test_what_was_said_about_a_repeated_event_is_part_of_the_story(run: Story) -> None:
    """A duplicate and a conflict are told beside what they repeat."""
    found = texts(told(run, Lane.UPDATE, "shop", "parcel"))
    assert any(text.startswith("plan: told the business accepted, duplicate") for text in found)
    assert any(text.startswith("plan: told the business refused, conflict") for text in found)


@pytest.mark.parametrize(
    ("event_id", "start"),
    [
        pytest.param("stale", "plan: refused stale: The event's time is older", id="a verdict in plan's journal"),
        pytest.param("typo", "plan: told the business refused, unknown_field", id="a refusal by form, in no journal"),
        pytest.param("old", "deliver: rank 0 of shard 1: expired: It could not be handed off", id="expired in deliver"),
    ],
)
def test_a_refusal_is_told_with_its_reason(run: Story, event_id: str, start: str) -> None:
    """Wherever it was refused, the story says where and why, in the words of the table of consequences."""
    assert any(text.startswith(start) for text in texts(told(run, Lane.UPDATE, "shop", event_id)))


def test_a_record_of_a_former_owner_is_left_out_and_counted(run: Story) -> None:
    """After a take-over the woken owner's decision is void: it is no part of the story."""
    story = told(run, Lane.UPDATE, "shop", "pick-up")
    assert story.voids == 1
    assert sum("rank 1 of shard 0: sending" in line.text for line in story.lines) == 1
    assert any("rank 0 of shard 0: in_doubt" in line.text for line in story.lines)


def people_of(asked: Asked) -> list[tuple[int, int, int]]:
    """(shard, rank, person) of every rank."""
    return [(shard, rank, one) for shard, people in asked.people.items() for rank, one in enumerate(people)]


def test_one_persons_story_is_told_of_their_rank_alone(run: Story) -> None:
    """For each member of a list: only their shard and rank are spoken of, and a STOP of theirs is shown."""
    for shard, rank, one in people_of(run.sale):
        story = told(run, Lane.CAMPAIGN, "shop", "sale", one)
        deciding = [line.text for line in story.lines if "of shard" in line.text]
        assert deciding
        assert {text.partition(":")[0] for text in deciding} == {f"rank {rank} of shard {shard}"}
        stopped = any("stopped: The person told" in text for text in deciding)
        assert stopped == (one == run.stopper)
        assert any(line.text.startswith("the person forbade marketing") for line in story.lines) == (
            one in (run.stopper, run.returner)
        )


def test_a_story_about_everybody_accounts_for_every_rank(run: Story) -> None:
    """Decisions about a list, shard by shard, cover each rank exactly once."""
    story = told(run, Lane.CAMPAIGN, "shop", "sale")
    first = [line for line in story.lines if line.stage == "deliver" and "of shard" in line.text]
    spoken = [line.text.partition(":")[0] for line in first if "send" in line.text or "stopped" in line.text]
    assert {text.rpartition(" ")[2] for text in spoken} == {str(shard) for shard in range(SHARDS)}


def test_an_unknown_event_has_no_story(run: Story) -> None:
    """Nothing is invented for a name that no log holds, nor for another lane's."""
    assert told(run, Lane.UPDATE, "shop", "never published").lines == []
    assert told(run, Lane.OTP, "shop", "parcel").lines == []


def test_no_line_holds_a_sealed_value_or_an_address(run: Story) -> None:
    """A story is made for eyes and terminals: neither the code nor the number behind a recipient is in it."""
    story = told(run, Lane.OTP, "bank", "login")
    assert story.lines
    said = msgspec.json.encode([line.text for line in story.lines]).decode()
    assert "dev1." not in said
    assert "tel:" not in said
