"""Which configurations of a topic are refused, and that nothing else is."""

import pytest

from streams.kafka.topic_rules import OFFSETS_KEPT_MIN, TopicFacts, TopicPlan, barriers, misfit, objections, weaknesses

PLAN = TopicPlan(
    name="requests.otp",
    partitions=8,
    copies=3,
    in_sync=2,
    config={
        "cleanup.policy": "delete",
        "retention.ms": "86400000",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "1048588",
    },
)


def found(*, partitions: int = 8, copies: int = 3, **changed: str) -> TopicFacts:
    """The topic as planned, but for what is named (dots of Kafka's settings written as underscores)."""
    return TopicFacts(
        partitions, copies, {**PLAN.full_config(), **{k.replace("_", "."): v for k, v in changed.items()}}
    )


def test_a_topic_as_it_is_made_passes() -> None:
    """What provisioning creates is never refused afterwards."""
    assert misfit(PLAN, found()) is None
    assert list(objections(PLAN, found())) == []


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(found(copies=5), id="more copies"),
        pytest.param(found(min_insync_replicas="3"), id="more in sync"),
        pytest.param(found(retention_ms="86400001"), id="longer"),
        pytest.param(found(retention_ms="-1"), id="for ever"),
        pytest.param(found(max_message_bytes="2000000"), id="larger records"),
    ],
)
def test_more_than_needed_passes(facts: TopicFacts) -> None:
    """Safer than asked for is no reason to refuse."""
    assert list(objections(PLAN, facts)) == []


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        pytest.param(found(copies=2), "has 2 copies, needs 3", id="copies"),
        pytest.param(found(copies=1, min_insync_replicas="1"), "has 1 copy, needs 3", id="one copy"),
        pytest.param(found(min_insync_replicas="1"), "min.insync.replicas = 1, must be at least 2", id="in sync"),
        pytest.param(found(min_insync_replicas="4"), "min.insync.replicas = 4, must be at most 3", id="unwritable"),
        pytest.param(
            found(unclean_leader_election_enable="true"), "unclean.leader.election.enable = true", id="unclean"
        ),
        pytest.param(
            found(retention_ms="86399999"), "retention.ms = 86399999, must be at least 86400000", id="shorter"
        ),
        pytest.param(found(retention_bytes="1000000000"), "retention.bytes = 1000000000, must be -1", id="by size"),
        pytest.param(found(cleanup_policy="compact"), "cleanup.policy = compact, must be delete", id="compacted"),
        pytest.param(found(message_timestamp_type="CreateTime"), "message.timestamp.type = CreateTime", id="time"),
        pytest.param(found(max_message_bytes="1000"), "max.message.bytes = 1000, must be at least 1048588", id="bytes"),
    ],
)
def test_what_would_lose_records_is_refused(facts: TopicFacts, sentence: str) -> None:
    """Each fault is named first, by the topic, the setting and its value."""
    first = next(objections(PLAN, facts))
    assert first.startswith("requests.otp has ")
    assert sentence in first
    assert first.endswith(".")


def test_a_log_kept_for_ever_may_not_be_trimmed() -> None:
    """Where the catalogue says for ever, any span is too short."""
    for_ever = TopicPlan("charges", 8, 3, 2, {**PLAN.config, "retention.ms": "-1"})
    assert [reason.split(", ")[1].split(" Mend it")[0] for reason in objections(for_ever, found())] == [
        "must be -1 (for ever): records would be gone before their window is."
    ]


def test_a_compacted_topic_is_not_judged_by_retention() -> None:
    """Without `delete` in its policy, retention does not trim a topic."""
    compacted = TopicPlan("registry", 1, 3, 2, {**PLAN.config, "cleanup.policy": "compact", "retention.ms": "-1"})
    assert list(objections(compacted, found(cleanup_policy="compact"))) == []


def test_another_partition_count_does_not_fit() -> None:
    """More partitions are as wrong as fewer."""
    assert "has 9 partitions, not 8" in (misfit(PLAN, found(partitions=9)) or "")
    assert "has 7 partitions, not 8" in (misfit(PLAN, found(partitions=7)) or "")


BROKER = {
    "message.max.bytes": "1048588",
    "offsets.retention.minutes": "10080",
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
}


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("message.max.bytes", "1048587", "must be at least 1048588"),
        ("offsets.retention.minutes", "10079", f"must be at least {OFFSETS_KEPT_MIN}"),
    ],
)
def test_a_broker_is_held_to_its_own_limits(setting: str, value: str, sentence: str) -> None:
    """Kafka's own defaults pass; one less does not, and the sentence says what to set."""
    assert list(weaknesses("1", BROKER, record_bytes=1_048_588, bootstrap="a:1")) == []
    (said,) = weaknesses("1", BROKER | {setting: value}, record_bytes=1_048_588, bootstrap="a:1")
    assert said.startswith(f"broker 1 has {setting} = {value}, {sentence}")
    assert f"{setting}=" in said


@pytest.mark.parametrize(
    ("session_ms", "taken"), [(5_999, False), (6_000, True), (1_800_000, True), (1_800_001, False)]
)
def test_a_broker_takes_session_timeouts_of_a_range(session_ms: int, *, taken: bool) -> None:
    """Kafka refuses a member outside it, each time anew."""
    assert (list(barriers("1", BROKER, session_ms=session_ms)) == []) == taken
