"""The catalogue of topics: key, partitions, retention, the reason for each, and the arithmetic that keeps their promises.

How long a lane's records are kept stands in its row (``schemas/lanes.py``), everything else here, in milliseconds. The
inequalities of PROTOCOL.md section 1.8 are tested over both (``tests/pure/contract/test_topics.py``). All topics use
LogAppendTime: the broker's clock stamps them, and Fanfare's own times are ``at_ms`` inside.
"""

from typing import Final

import msgspec

from schemas.lanes import DAY_MS, Lane
from schemas.spans import scaled_ms

FOR_EVER: Final = -1

_SEGMENTS: Final = 8
"""Parts that a retention is trimmed in, where time is scaled."""

SHARDS: Final = 8
"""S for development. Fixed at birth and recorded in the registry's ``deployment``; changing it is an offline copy."""


class Topic(msgspec.Struct, frozen=True):
    """Describes one topic of the catalogue. ``partitions`` of ``None`` means S, the number of shards."""

    name: str
    key: str
    partitions: int | None
    retention_ms: int
    """Milliseconds that records are kept."""
    why: str
    compacted: bool = False
    segment_ms: int | None = None
    """Milliseconds after which Kafka begins a new segment: it trims whole ones. None: its own default, a week."""

    def scaled(self, by: float) -> "Topic":
        """Returns the topic of a deployment in which time goes ``by`` times as fast."""
        if by == 1 or self.retention_ms == FOR_EVER:
            return self
        kept_ms = scaled_ms(self.retention_ms, by)
        return msgspec.structs.replace(self, retention_ms=kept_ms, segment_ms=max(1, kept_ms // _SEGMENTS))

    def config(self) -> dict[str, str]:
        """The topic's configuration as Kafka words."""
        segments = {} if self.segment_ms is None else {"segment.ms": str(self.segment_ms)}
        return segments | {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(self.retention_ms),
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": "1048588",
        }


def requests(lane: Lane) -> str:
    """Where businesses publish."""
    return f"requests.{lane.word}"


def plans(lane: Lane) -> str:
    """Plan's journal."""
    return f"plans.{lane.word}"


def work(lane: Lane) -> str:
    """Returns the topic of what planned requests ask of shards."""
    return f"work.{lane.word}"


def outcomes(lane: Lane) -> str:
    """Deliver's journal."""
    return f"outcomes.{lane.word}"


def receipts(lane: Lane) -> str:
    """Returns the topic of what the gateway reported later."""
    return f"receipts.{lane.word}"


def status(business: str) -> str:
    """Where one business reads its answers."""
    return f"{STATUS_PREFIX}{business}"


def billing(business: str) -> str:
    """Returns the topic on which one business reads what it is charged."""
    return f"{BILLING_PREFIX}{business}"


SUPPRESSIONS: Final = "suppressions"
AUDIENCE: Final = "audience.changes"
SIZES: Final = "audience.sizes"
INBOUND: Final = "inbound"
CHARGES: Final = "charges"
REGISTRY: Final = "registry"
CONTROLS: Final = "controls"
DEAD_LETTERS: Final = "dead-letters"
STATUS_PREFIX: Final = "status."
BILLING_PREFIX: Final = "billing."
STATUS_RETENTION_MS: Final = 14 * DAY_MS


def lane_topics(lane: Lane) -> tuple[Topic, ...]:
    """The five co-partitioned topics of a lane, in the order of the data."""
    kept = lane.rules.retention
    return (
        Topic(
            requests(lane),
            "business",
            None,
            kept.requests_ms,
            "Inputs live no longer than the journal that took them over.",
        ),
        Topic(plans(lane), "business", None, kept.plans_ms, "Plan's journal: its fold is the idempotency window."),
        Topic(work(lane), "none", None, kept.requests_ms, "Inputs of deliver; taken over into its journal."),
        Topic(
            outcomes(lane),
            "none",
            None,
            kept.outcomes_ms,
            "Deliver's journal; settle reads it for the settle window.",
        ),
        Topic(receipts(lane), "none", None, kept.outcomes_ms, "Evidence; settle reads it for the settle window."),
    )


SHARED: Final = (
    Topic(
        SUPPRESSIONS, "recipient", None, FOR_EVER, "A STOP holds for ever; tiny, so that no import stands before one."
    ),
    Topic(AUDIENCE, "recipient", None, FOR_EVER, "Ordinals are the order of first appearance, so it is never trimmed."),
    Topic(
        SIZES,
        "business/list/shard",
        1,
        FOR_EVER,
        "How many are on each list: told when one is accepted.",
        compacted=True,
    ),
    Topic(INBOUND, "recipient", None, 7 * DAY_MS, "Replies of people; clear text lives seven days."),
    Topic(CHARGES, "business", None, FOR_EVER, "The ledger can be rebuilt from it at any time."),
    Topic(
        DEAD_LETTERS, "source", None, 14 * DAY_MS, "What was refused before it had a name, and poison; with its origin."
    ),
    Topic(
        REGISTRY, "kind/id", 1, FOR_EVER, "Businesses, senders, templates, prices, keys, deployment.", compacted=True
    ),
    Topic(
        CONTROLS,
        "what it says",
        1,
        FOR_EVER,
        "Pause, cancel, kill switch: each word once, however often it was written.",
        compacted=True,
    ),
)


def status_topic(business: str) -> Topic:
    """The status topic of one business: one partition, so that one literal read ACL and one order suffice."""
    return Topic(status(business), "request", 1, STATUS_RETENTION_MS, "Only this business may read it.")


def billing_topic(business: str) -> Topic:
    """Returns the billing topic of one business: one partition, for its order is the order of posting."""
    return Topic(
        billing(business),
        "request",
        1,
        FOR_EVER,
        "A bill is asked about for years: from its first event on it adds up to the book.",
    )


def business_topics(business: str) -> tuple[Topic, ...]:
    """Returns the topics that one business reads, made when it is registered."""
    return status_topic(business), billing_topic(business)


def topic_of_business(name: str) -> Topic | None:
    """Returns the catalogue's row of ``status.<business>`` or ``billing.<business>``; None for any other name."""
    if name.startswith(STATUS_PREFIX):
        return status_topic(name.removeprefix(STATUS_PREFIX))
    if name.startswith(BILLING_PREFIX):
        return billing_topic(name.removeprefix(BILLING_PREFIX))
    return None


def catalogue(businesses: tuple[str, ...] = (), *, time_scale: float = 1) -> tuple[Topic, ...]:
    """Every topic of a deployment; ``time_scale``: in it time goes so many times as fast."""
    lanes = tuple(topic for lane in Lane for topic in lane_topics(lane))
    shared = tuple(topic.scaled(time_scale) for topic in lanes + SHARED)
    return shared + tuple(topic for business in businesses for topic in business_topics(business))
