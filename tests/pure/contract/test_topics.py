"""The arithmetic that every log's promise rests on (PROTOCOL.md section 1.8), over the catalogue of topics."""

import re
from pathlib import Path

import msgspec
import pytest

from schemas import topics
from schemas.lanes import CLOCK_SLACK_MS, DAY_MS, HOUR_MS, MINUTE_MS, Lane
from schemas.spans import disorder, scaled_retention, scaled_windows
from schemas.topics import (
    FOR_EVER,
    Topic,
    business_topics,
    catalogue,
    lane_topics,
    topic_of_business,
)

LANES = pytest.mark.parametrize("lane", Lane, ids=lambda lane: lane.word)
PROTOCOL = (Path(__file__).parents[3] / "broker" / "PROTOCOL.md").read_text("utf-8")
UNITS_MS = {"min": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def retention(name: str) -> int:
    """A topic's retention; what is kept for ever is longer than any span."""
    (found,) = [topic.retention_ms for topic in catalogue(("airline",)) if topic.name == name]
    return 10**18 if found == FOR_EVER else found


def table(lane: Lane) -> tuple[int, ...]:
    """The lane's row in PROTOCOL.md section 1.8, in milliseconds."""
    (row,) = re.findall(rf"(?m)^\| {lane.word} \|(.*)\|$", PROTOCOL)
    return tuple(int(number) * UNITS_MS[unit] for number, unit in (cell.split() for cell in row.split("|")))


@LANES
def test_the_catalogue_is_the_protocols_table(lane: Lane) -> None:
    """As written in PROTOCOL.md section 1.8."""
    windows = lane.rules.windows
    spans = windows.lifetime_max_ms, windows.idempotency_ms, windows.fold_ms, windows.settle_ms
    kept = retention(topics.requests(lane)), retention(topics.plans(lane)), retention(topics.outcomes(lane))
    assert (*spans, *kept) == table(lane)
    assert retention(topics.work(lane)) == retention(topics.requests(lane))
    assert retention(topics.receipts(lane)) == retention(topics.outcomes(lane))


@LANES
def test_the_staleness_bound_is_the_window_less_the_clock_slack(lane: Lane) -> None:
    """A name is known for as long as its event is not stale, even if the producer's clock is ahead."""
    windows = lane.rules.windows
    assert windows.stale_ms == windows.idempotency_ms - CLOCK_SLACK_MS
    assert windows.stale_ms > 0


@LANES
def test_every_log_outlives_what_is_asked_of_it(lane: Lane) -> None:
    """Inputs no longer than the journals that took them over; journals their longest fold and an outage of a week at the most."""
    assert list(disorder(lane.rules.windows, lane.rules.retention)) == []


@LANES
@pytest.mark.parametrize("by", [1.5, 7, 60, 1_000, 3_333.3])
def test_what_time_is_scaled_by_keeps_the_order(lane: Lane, by: float) -> None:
    """But for what a network takes, which is not scaled."""
    windows, kept = scaled_windows(lane.rules.windows, by), scaled_retention(lane.rules.retention, by)
    slack = msgspec.structs.replace(windows, frame_ms=1, gateway_timeout_ms=1)
    assert (
        list(
            disorder(slack, msgspec.structs.replace(kept, plans_ms=kept.plans_ms + 1, outcomes_ms=kept.outcomes_ms + 2))
        )
        == []
    )
    topic = next(topic for topic in catalogue(time_scale=by) if topic.name == topics.plans(lane))
    assert topic.retention_ms == kept.plans_ms
    assert int(topic.config()["segment.ms"]) * 8 <= kept.plans_ms


@pytest.mark.parametrize(
    ("field", "value_ms", "sentence"),
    [
        ("frame_ms", 48 * HOUR_MS, "a frame"),
        ("gateway_timeout_ms", 48 * HOUR_MS, "a gateway's answer"),
        ("clock_slack_ms", 48 * HOUR_MS, "the idempotency window"),
        ("idempotency_ms", 8 * DAY_MS, "plans, to outlive a fold"),
        ("fold_ms", 6 * DAY_MS, "outcomes, to outlive a fold"),
    ],
)
def test_spans_out_of_order_are_told(field: str, value_ms: int, sentence: str) -> None:
    """Each by itself."""
    windows = msgspec.structs.replace(Lane.UPDATE.rules.windows, **{field: value_ms})
    assert any(each.startswith(sentence) for each in disorder(windows, Lane.UPDATE.rules.retention))


@LANES
def test_the_gateway_remembers_names_for_a_life_and_an_outage(lane: Lane) -> None:
    """Whatever is sent again within three days is recognised."""
    windows = lane.rules.windows
    assert windows.gateway_names_ms >= windows.lifetime_max_ms + 3 * DAY_MS


@LANES
def test_a_message_is_outlived_by_what_must_remember_it(lane: Lane) -> None:
    """A frame is younger than the message, and the gateway's answer is awaited within its life."""
    windows = lane.rules.windows
    assert windows.frame_ms < windows.lifetime_max_ms
    assert windows.gateway_timeout_ms < windows.lifetime_max_ms
    assert windows.settle_fold_ms == windows.lifetime_max_ms + windows.settle_ms


@LANES
def test_the_five_topics_of_a_lane_have_one_partition_a_shard(lane: Lane) -> None:
    """Partition s of each goes to one owner."""
    found = lane_topics(lane)
    assert [topic.name for topic in found] == [
        f"{word}.{lane.word}" for word in ("requests", "plans", "work", "outcomes", "receipts")
    ]
    assert {topic.partitions for topic in found} == {None}
    assert not any(topic.compacted for topic in found), "a journal that is compacted loses its adjacency"


def test_what_money_and_consent_rest_on_is_kept_for_ever() -> None:
    """Suppressions, audiences, charges and billing events can be read from their first record."""
    for name in (topics.SUPPRESSIONS, topics.AUDIENCE, topics.CHARGES, topics.billing("airline")):
        assert retention(name) == 10**18


@pytest.mark.parametrize("topic", catalogue(("airline",)), ids=lambda topic: topic.name)
def test_every_topic_says_how_it_is_kept_and_why(topic: Topic) -> None:
    """One name once, the broker's clock, and records of our limit fit."""
    assert [each.name for each in catalogue(("airline",))].count(topic.name) == 1
    assert topic.why.endswith(".")
    config = topic.config()
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert config["cleanup.policy"] == ("compact" if topic.compacted else "delete")
    assert int(config["max.message.bytes"]) > 900_000


def test_a_business_reads_two_topics_of_one_partition_each() -> None:
    """One literal ACL and one order for answers, and the same for bills."""
    found = [(topic.name, topic.partitions) for topic in business_topics("airline")]
    assert found == [("status.airline", 1), ("billing.airline", 1)]
    assert [topic_of_business(name) for name, _ in found] == list(business_topics("airline"))
    assert topic_of_business("charges") is None
