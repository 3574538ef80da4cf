"""Defines the lanes, a row each: whatever distinguishes one from another stands here, and other code reads it from the row.

To add a lane, give it the next number in :class:`Lane` (its place among the others is its urgency) and a row in ``LANES``;
:class:`LaneRules` says of each field its meaning, its unit, and what speaks for its value. The rows' arithmetic is held by
``tests/pure/contract/test_topics.py`` and ``test_lanes.py`` beside it, and their spans are those of PROTOCOL.md, section 1.8.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

import msgspec

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

CLOCK_SLACK_MS: Final = 5 * MINUTE_MS
"""Milliseconds by which a producer's clock may be ahead: a ``time`` still later is refused ``from_the_future``."""
_OUTAGE_MS: Final = 3 * DAY_MS
"""The longest outage, in milliseconds, after which the gateway must still know what it was sent before."""


class Category(IntEnum):
    """Names the purpose of a template; prices and consent follow from it."""

    AUTHENTICATION = 1
    UTILITY = 2
    MARKETING = 3

    @property
    def word(self) -> str:
        """As it stands in YAML and labels."""
        return self.name.lower()


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
    clock_slack_ms: int = CLOCK_SLACK_MS
    """By so much a window is longer than what is asked of it."""
    outage_ms: int = _OUTAGE_MS
    """The longest outage after which the gateway must still know what it was sent before."""

    @property
    def settle_fold_ms(self) -> int:
        """Returns how far back settle reads at its start: a message's whole life and its settle window."""
        return self.lifetime_max_ms + self.settle_ms

    @property
    def stale_ms(self) -> int:
        """A request whose ``time`` is older is refused: the window less the clock slack, so that it is exact for ever."""
        return self.idempotency_ms - self.clock_slack_ms

    @property
    def gateway_names_ms(self) -> int:
        """Milliseconds that the gateway remembers a name: a message's life and the longest outage before it is sent again."""
        return self.lifetime_max_ms + self.outage_ms


class Retention(msgspec.Struct, frozen=True):
    """Milliseconds that the records of a lane's topics are kept."""

    requests_ms: int
    """``requests`` and ``work``: inputs, so at most as long as the journals; the longest time that a lane may stand still."""
    plans_ms: int
    """``plans``: at least the idempotency window, which is its fold, and that stand-still."""
    outcomes_ms: int
    """``outcomes`` and ``receipts``: at least three of deliver's folds, or one and that stand-still."""


class PairLimit(msgspec.Struct, frozen=True):
    """A lane's share of the gateway's limit per (sender, recipient): 10 a minute with a burst of 45 over all lanes."""

    per_minute: int
    """Messages a minute in the long run."""
    burst: int
    """Messages at once after a rest."""


class LaneRules(msgspec.Struct, frozen=True, kw_only=True):
    """Holds everything that distinguishes a lane. Whoever would ask which lane it is asks one of these instead."""

    about: str
    """A sentence for businesses on what it carries; stands in the AsyncAPI document."""
    category: Category
    """Templates of this category travel here and on no other lane; of lanes that share one, the first is recommended."""
    asked_for: bool
    """The person waits for it: a stop of everything does not end it, only a block does. Off for what comes unasked."""
    carries_codes: bool
    """It carries one-time codes: dead letters keep no payload, recordings nothing that is not of the contract's form, and
    views hide the text. Off for all others, whose payload is worth keeping for a redrive."""
    takes_lists: bool
    """Requests may name a list, and opt-ins may be published here. Off where a record of 4,096 people would delay the next."""
    supersedes: bool
    """Requests may name a fact and its version, and an older version is never told after a newer one. On one lane only, for
    versions are compared in one journal."""
    usual_life_ms: int
    """Milliseconds that a message of ``fanfare send`` lives if nobody says for how long."""
    needs_expiry: bool
    """``expirytime`` is required. Off where all of ``windows.lifetime_max_ms`` is a sensible default."""
    by_deadline: bool
    """Scarce slots of a number go to the request that expires first. Off: to the one that had the fewest, since all live long."""
    windows: Windows
    retention: Retention
    pair_limit: PairLimit
    share_percent: int
    """Percent of a number's throughput, where the sender's entry does not say otherwise; 100 over all lanes at most."""
    retry_ceiling_ms: int
    """The longest back-off, in milliseconds, from a gateway that is ill: a fraction of how long a message lives. No count of
    attempts ends a message, only its expiry does."""
    resends_unknown: bool
    """Asked where the gateway takes a name as often as it comes: what may have been handed off goes again when no answer
    came, because twice is better than not at all. Off: it ends as in doubt, because twice is worse."""
    linger_ms: int
    """Milliseconds that an append waits for others of the process, to share a request with them; 0 where somebody waits."""
    batch_interval_ms: int
    """Milliseconds of plan's and deliver's beat: what comes within one is worked on together; 0 where somebody waits."""
    nice: int
    """So far its processes give way to others on their machine (nice, 0 to 19). Three is half of another's weight: at five,
    a third, a worker stood still for three seconds at a time in a run queue of twelve, which its watchdog takes for a pause."""
    late_after_s: float | None
    """Seconds of age at hand-off above which an operator is woken; None where nobody waits."""
    gateway_place: int
    """Place of its listener among the simulated gateway's ports: 8810 and 9840 and so many more."""
    gateway_for: str
    """The use of that listener, as the setting of its address says it."""
    colour: str
    """Colour of its rows in ``fanfare top``, as rich calls it."""

    @property
    def marketing(self) -> bool:
        """Returns True for offers: only to who opted in, ended by a stop of marketing, and what an opt-in here is for."""
        return self.category is Category.MARKETING


class Lane(IntEnum):
    """Names the urgencies that never wait for one another, most urgent first; the number is the byte on the wire for ever."""

    OTP = 0
    UPDATE = 1
    CAMPAIGN = 2

    @property
    def word(self) -> str:
        """The lane as it stands in topic names, labels and commands."""
        return _WORDS[self]

    @property
    def rules(self) -> LaneRules:
        """Returns the lane's row."""
        return LANES[self]

    @classmethod
    def of(cls, word: str) -> "Lane":
        """The lane called ``word`` (``otp``, ``update``, ``campaign``); ``KeyError`` for any other word."""
        return _BY_WORD[word]


_WORDS: Final = {lane: lane.name.lower() for lane in Lane}
_BY_WORD: Final = {word: lane for lane, word in _WORDS.items()}


LANES: Final[Mapping[Lane, LaneRules]] = {
    Lane.OTP: LaneRules(
        about="One-time codes. Codes are sealed to the gateway's key before they are published; a code in clear is refused.",
        category=Category.AUTHENTICATION,
        asked_for=True,
        carries_codes=True,
        takes_lists=False,
        supersedes=False,
        usual_life_ms=5 * MINUTE_MS,
        needs_expiry=True,
        by_deadline=False,
        windows=Windows(
            lifetime_max_ms=15 * MINUTE_MS,
            idempotency_ms=HOUR_MS,
            fold_ms=HOUR_MS,
            settle_ms=DAY_MS,
            frame_ms=5_000,
            gateway_timeout_ms=2_000,
        ),
        retention=Retention(requests_ms=DAY_MS, plans_ms=3 * DAY_MS, outcomes_ms=3 * DAY_MS),
        pair_limit=PairLimit(per_minute=3, burst=15),
        share_percent=20,
        retry_ceiling_ms=2_000,
        resends_unknown=True,
        linger_ms=0,
        batch_interval_ms=0,
        nice=0,
        late_after_s=2.5,
        gateway_place=1,
        gateway_for="one-time codes",
        colour="magenta",
    ),
    Lane.UPDATE: LaneRules(
        about="What happened to something people asked to be told about: flights, parcels, accounts.",
        category=Category.UTILITY,
        asked_for=False,
        carries_codes=False,
        takes_lists=True,
        supersedes=True,
        usual_life_ms=6 * HOUR_MS,
        needs_expiry=True,
        by_deadline=True,
        windows=Windows(
            lifetime_max_ms=48 * HOUR_MS,
            idempotency_ms=48 * HOUR_MS,
            fold_ms=48 * HOUR_MS,
            settle_ms=3 * DAY_MS,
            frame_ms=1_000,
            gateway_timeout_ms=10_000,
        ),
        retention=Retention(requests_ms=7 * DAY_MS, plans_ms=14 * DAY_MS, outcomes_ms=14 * DAY_MS),
        pair_limit=PairLimit(per_minute=6, burst=25),
        share_percent=30,
        retry_ceiling_ms=5 * MINUTE_MS,
        resends_unknown=True,
        linger_ms=5,
        batch_interval_ms=10,
        nice=1,
        late_after_s=30,
        gateway_place=2,
        gateway_for="updates",
        colour="cyan",
    ),
    Lane.CAMPAIGN: LaneRules(
        about="Offers to people who opted in. Opt-in events are published here, or beside updates.",
        category=Category.MARKETING,
        asked_for=False,
        carries_codes=False,
        takes_lists=True,
        supersedes=False,
        usual_life_ms=7 * DAY_MS,
        needs_expiry=False,
        by_deadline=False,
        windows=Windows(
            lifetime_max_ms=30 * DAY_MS,
            idempotency_ms=35 * DAY_MS,
            fold_ms=48 * HOUR_MS,
            settle_ms=7 * DAY_MS,
            frame_ms=1_000,
            gateway_timeout_ms=10_000,
        ),
        retention=Retention(requests_ms=7 * DAY_MS, plans_ms=45 * DAY_MS, outcomes_ms=14 * DAY_MS),
        pair_limit=PairLimit(per_minute=1, burst=5),
        share_percent=50,
        retry_ceiling_ms=5 * MINUTE_MS,
        resends_unknown=False,
        linger_ms=5,
        batch_interval_ms=10,
        nice=3,
        late_after_s=None,
        gateway_place=0,
        gateway_for="campaigns, and the phones' page",
        colour="yellow",
    ),
}


BY_PLACE: Final = sorted(Lane, key=lambda lane: lane.rules.gateway_place)
"""In the order of the simulated gateway's ports."""


def lane_for(category: Category) -> Lane:
    """Returns the lane that templates of ``category`` travel on: the most urgent, if several take it."""
    return next(lane for lane in Lane if lane.rules.category is category)


def listed(words: Iterable[str], last: str = "or") -> str:
    """Returns words as a sentence lists them: ``otp, update or campaign``; ``last`` stands before the last."""
    *firsts, end = words
    return f"{', '.join(firsts)} {last} {end}" if firsts else end


LANE_WORDS: Final = listed(lane.word for lane in Lane)
"""Every lane, as a sentence names them."""
