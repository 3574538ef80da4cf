"""The catalogue of topics: key, partitions, retention, the reason for each, and the arithmetic that keeps their promises.

Every duration that must fit another stands here once, in milliseconds. The inequalities of PROTOCOL.md section 1.8 are
tested over this table (``tests/pure/contract/test_topics.py``). All topics use LogAppendTime: the broker's clock stamps them, and
Fanfare's own times are ``at_ms`` inside.
"""

from typing import Final

import msgspec

from schemas.ids import Lane

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
FOR_EVER: Final = -1

SHARDS: Final = 8
"""S for development. Fixed at birth and recorded in the registry's ``deployment``; changing it is an offline copy."""

CLOCK_SLACK_MS: Final = 5 * MINUTE_MS
"""Milliseconds by which a producer's clock may be ahead: a ``time`` still later is refused ``from_the_future``."""


class Windows(msgspec.Struct, frozen=True):
    """The spans of one lane, milliseconds."""

    lifetime_max_ms: int
    """``expirytime`` may lie at most this far after ``time``."""
    idempotency_ms: int
    """A repeated (source, id) is recognised this long; plan's fold; older requests are refused as stale."""
    fold_ms: int
    """Deliver's F: each quarter what was said before the last claim is restated, so a fold reaches back half of it."""
    settle_ms: int
    """Receipts count this long after expiry; then a message without one is ``unknown``."""
    frame_ms: int
    """The longest a frame may lie between the STOP check and the gateway."""
    gateway_timeout_ms: int
    """Milliseconds that a frame waits for its answer."""

    @property
    def settle_fold_ms(self) -> int:
        """Returns how far back settle reads at its start: a message's whole life and its settle window."""
        return self.lifetime_max_ms + self.settle_ms

    @property
    def stale_ms(self) -> int:
        """A request whose ``time`` is older is refused: the window less the clock slack, so that it is exact for ever."""
        return self.idempotency_ms - CLOCK_SLACK_MS


WINDOWS: Final = {
    Lane.OTP: Windows(15 * MINUTE_MS, HOUR_MS, HOUR_MS, DAY_MS, 5_000, 2_000),
    Lane.UPDATE: Windows(48 * HOUR_MS, 48 * HOUR_MS, 48 * HOUR_MS, 3 * DAY_MS, 1_000, 10_000),
    Lane.CAMPAIGN: Windows(30 * DAY_MS, 35 * DAY_MS, 48 * HOUR_MS, 7 * DAY_MS, 1_000, 10_000),
}

GATEWAY_NAMES_MS: Final = {lane: windows.lifetime_max_ms + 3 * DAY_MS for lane, windows in WINDOWS.items()}
"""Milliseconds that the gateway remembers a name: a message's life and the longest outage after which it may be sent again."""


class Topic(msgspec.Struct, frozen=True):
    """Describes one topic of the catalogue. ``partitions`` of ``None`` means S, the number of shards."""

    name: str
    key: str
    partitions: int | None
    retention_ms: int
    """Milliseconds that records are kept."""
    why: str
    compacted: bool = False

    def config(self) -> dict[str, str]:
        """The topic's configuration as Kafka words."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(self.retention_ms),
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": "1048588",
        }


_REQUESTS_MS = {Lane.OTP: DAY_MS, Lane.UPDATE: 7 * DAY_MS, Lane.CAMPAIGN: 7 * DAY_MS}
_PLANS_MS = {Lane.OTP: 3 * DAY_MS, Lane.UPDATE: 14 * DAY_MS, Lane.CAMPAIGN: 45 * DAY_MS}
_OUTCOMES_MS = {Lane.OTP: 3 * DAY_MS, Lane.UPDATE: 14 * DAY_MS, Lane.CAMPAIGN: 14 * DAY_MS}


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
    return (
        Topic(
            requests(lane),
            "business",
            None,
            _REQUESTS_MS[lane],
            "Inputs live no longer than the journal that took them over.",
        ),
        Topic(plans(lane), "business", None, _PLANS_MS[lane], "Plan's journal: its fold is the idempotency window."),
        Topic(work(lane), "none", None, _REQUESTS_MS[lane], "Inputs of deliver; taken over into its journal."),
        Topic(
            outcomes(lane),
            "none",
            None,
            _OUTCOMES_MS[lane],
            "Deliver's journal; settle reads it for the settle window.",
        ),
        Topic(receipts(lane), "none", None, _OUTCOMES_MS[lane], "Evidence; settle reads it for the settle window."),
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


def catalogue(businesses: tuple[str, ...] = ()) -> tuple[Topic, ...]:
    """Every topic of a deployment."""
    lanes = tuple(topic for lane in Lane for topic in lane_topics(lane))
    return lanes + SHARED + tuple(topic for business in businesses for topic in business_topics(business))
