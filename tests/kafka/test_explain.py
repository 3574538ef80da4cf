"""Explaining from a real Kafka: by the names that a request has, and what nobody could be told of."""

import asyncio
import base64
from collections.abc import Iterator

import msgspec
import pytest

from schemas import topics
from schemas.delivery_journal import Decided, Opened, Outcome
from schemas.ids import partition_of, request_name, shard_of, text_of
from schemas.lanes import Lane
from schemas.plan_journal import Claim, Origin, Planned, PlannedBatch, Rows, Terms, Work, WorkItem
from schemas.reasons import Reason
from schemas.status import DeadLetter, Status
from schemas.wire import cloudevents
from schemas.wire.arrays import runs_of
from schemas.wire.columns import interval
from schemas.wire.header import Header, Kind, pack
from streams.kafka.producer import Outgoing
from streams.kafka.publisher import Publisher
from streams.operate.explain import Event, Explainer
from streams.runtime import clock
from streams.runtime.kafka_access import Address
from tests.kafka.registered import SHARDS, registered_kafka
from tests.support.secured import as_admin

BUSINESS = "shop-parcelo"
LANE = Lane.UPDATE
PERSON = bytes(range(16))
SHARD = shard_of(PERSON, SHARDS)
HOME = partition_of(BUSINESS.encode(), SHARDS)
PARCEL = Event(f"//{BUSINESS}/parcels", "delivered-1")
REFUSED = Event(f"//{BUSINESS}/parcels", "misspelt-1")
NAMELESS = Event("//nobody/parcels", "stray-1")
NAMELESS_CODE = Event("//nobody/logins", "stray-2")


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[Address]:
    """A Kafka with every topic."""
    with registered_kafka([BUSINESS]) as address:
        yield address


def requested(event: Event) -> bytes:
    """What stands in the requests' topic."""
    body = {"specversion": "1.0", "source": event.source, "id": event.id, "type": "fanfare.notification.v1"}
    return msgspec.json.encode(body)


def came(event: Event) -> Outgoing:
    """The input record of an event of the business."""
    return Outgoing(topics.requests(LANE), requested(event), partition=HOME)


def parcel(now_ms: int) -> Iterator[Outgoing]:
    """One request to one person who stopped, decided; and a later word of an owner that is none any more."""
    name = request_name(LANE, *PARCEL)
    terms = Terms(BUSINESS, f"{BUSINESS}/main", "parcel", 1, 2, 1, {}, now_ms, now_ms, now_ms, *PARCEL)
    item = WorkItem(name, terms, Rows(PERSON, bytes(33), b"en", b"\0\1"))
    stopped = Decided(name, interval(0, 1), runs_of(bytes((Reason.STOPPED,))), runs_of(b"\0"), b"", 0)
    planned = Planned(name, Origin(HOME, 0), b"12345678", 0, now_ms, now_ms, terms=terms, rows=item.rows)
    outcome = Outcome(opened=(Opened(item, Origin(SHARD, 0), now_ms),), decided=(stopped,))
    for topic, shard, epoch, kind, body in (
        (topics.plans(LANE), HOME, 1, Kind.CLAIM, Claim("one")),
        (topics.plans(LANE), HOME, 1, Kind.PLANNED, PlannedBatch((planned,))),
        (topics.work(LANE), SHARD, 1, Kind.WORK, Work((item,))),
        (topics.outcomes(LANE), SHARD, 2, Kind.CLAIM, Claim("two")),
        (topics.outcomes(LANE), SHARD, 2, Kind.OUTCOME, outcome),
        (topics.outcomes(LANE), SHARD, 1, Kind.OUTCOME, outcome),
    ):
        yield Outgoing(topic, pack(Header(kind, LANE, shard, epoch, now_ms), body), partition=shard)


def answered(event: Event, now_ms: int) -> Outgoing:
    """A refusal by form, which stands on the business's topic alone."""
    name = text_of(request_name(LANE, *event))
    told = Status(name, *event, "refused", 1, now_ms, reason="unknown_field", detail="no colour is known")
    return Outgoing(topics.status(BUSINESS), cloudevents.encode_status(told), partition=0)


def letter(lane: Lane, offset: int, payload: bytes | None, now_ms: int) -> Outgoing:
    """A record that nobody could be told of; of the otp lane without its payload."""
    kept = None if payload is None else base64.b64encode(payload).decode()
    body = DeadLetter(
        topics.requests(lane), 0, offset, "unknown_business", "nobody is not registered", "plan", now_ms, "", kept
    )
    return Outgoing(topics.DEAD_LETTERS, msgspec.json.encode(body), partition=0)


async def happen(bootstrap: Address) -> int:
    """All of that; returns when it began."""
    now_ms = clock.now_ms()
    publisher = Publisher(as_admin(bootstrap), "test-explain")
    await publisher.start()
    try:
        for record in (came(PARCEL), *parcel(now_ms), answered(REFUSED, now_ms)):
            await publisher.publish(record)
        place = await publisher.publish(Outgoing(topics.requests(Lane.OTP), requested(NAMELESS_CODE), partition=0))
        await publisher.publish(letter(Lane.OTP, place.offset, None, now_ms))
        await publisher.publish(letter(LANE, 5, requested(NAMELESS), now_ms))
    finally:
        await publisher.stop()
    return now_ms


@pytest.fixture(scope="module")
def explainer(bootstrap: Address) -> Explainer:
    """Of a deployment in which it happened."""
    since_ms = asyncio.run(happen(bootstrap)) - 60_000
    return Explainer(bootstrap, shards=SHARDS, since_ms=since_ms)


async def texts(explainer: Explainer, event: Event) -> list[str]:
    """``lane stage: text`` of the event's stories."""
    stories = await explainer.stories(list(Lane), event)
    return [f"{story.lane.word} {line.stage}: {line.text}" for story in stories for line in story.lines]


async def test_a_request_is_found_by_its_event_and_by_its_name(explainer: Explainer) -> None:
    """In its lane alone; the word of the former owner is left out."""
    name = request_name(LANE, *PARCEL)
    assert await explainer.named(name, list(Lane)) == PARCEL
    (story,) = await explainer.stories(list(Lane), PARCEL)
    assert story.lane is LANE
    assert story.voids == 1
    assert sum("rank 0" in line.text and line.reason is Reason.STOPPED for line in story.lines) == 1


async def test_a_story_says_when_its_event_was_published(explainer: Explainer) -> None:
    """By Kafka's time of the input record, which is looked up by its place."""
    (story,) = await explainer.stories([LANE], PARCEL)
    (line,) = [line for line in story.lines if line.stage == "input"]
    assert line.place == f"requests.update/{HOME}@0"
    assert line.text.startswith("published 0.")


async def test_a_person_is_found_at_their_rank(bootstrap: Address, explainer: Explainer) -> None:
    """Another person of the same shard is not."""
    other = next(one for number in range(99) if shard_of(one := bytes((number,)) * 16, SHARDS) == SHARD)
    for person, said in ((PERSON, True), (other, False)):
        (story,) = await Explainer(bootstrap, shards=SHARDS, recipient=person).stories([LANE], PARCEL)
        assert any("stopped: " in line.text for line in story.lines) == said


async def test_what_no_journal_holds_is_found_where_its_business_was_told(explainer: Explainer) -> None:
    """By name too: the businesses' topics are looked through."""
    assert await explainer.named(request_name(LANE, *REFUSED), list(Lane)) == REFUSED
    (line,) = await texts(explainer, REFUSED)
    assert line == "update plan: told the business refused, unknown_field: no colour is known"


@pytest.mark.parametrize(("event", "lane"), [(NAMELESS, "update"), (NAMELESS_CODE, "otp")])
async def test_what_nobody_could_be_told_of_is_found_among_the_dead_letters(
    explainer: Explainer, event: Event, lane: str
) -> None:
    """By its payload, or by the record itself where the letter holds none; in its own lane only."""
    (line,) = await texts(explainer, event)
    assert line.startswith(f"{lane} plan: dead letter, unknown_business: The business is not registered.")


async def test_a_name_that_no_log_holds_is_nobodys(explainer: Explainer) -> None:
    """Nothing is invented."""
    assert await explainer.named(bytes(16), list(Lane)) is None
    assert await explainer.stories(list(Lane), Event("//nobody/parcels", "never")) == []


async def test_a_person_is_found_without_the_request(bootstrap: Address, explainer: Explainer) -> None:
    """By their id alone: what was about them, and how it stands; nobody else's."""
    found, said = await explainer.encounters(list(Lane), PERSON)
    assert [(one.lane, one.terms.id, one.state) for one in found] == [(LANE, PARCEL.id, "stopped")]
    assert said == []
    assert await explainer.encounters(list(Lane), bytes(16)) == ([], [])
    later = Explainer(bootstrap, shards=SHARDS, since_ms=clock.now_ms() + 60_000)
    assert await later.encounters(list(Lane), PERSON) == ([], [])


async def test_whom_a_request_did_not_reach_is_said(explainer: Explainer) -> None:
    """By their id, with the state in which they stand."""
    (story,) = await explainer.stories([LANE], PARCEL)
    assert await explainer.missed(story) == [(PERSON, "stopped")]
