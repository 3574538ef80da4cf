"""The lanes, a row each: everything that distinguishes one from another stands here, and other code reads it from the row.

To add a lane, give it the next number in :class:`Lane` (its place among the others is its urgency) and a row in ``LANES``.
The rows' arithmetic is held by ``tests/pure/contract/test_topics.py`` and ``test_lanes.py`` beside it, and their spans are
those of PROTOCOL.md, section 1.8.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

from schemas.lane_rules import DAY_MS, HOUR_MS, MINUTE_MS, Category, LaneRules, PairLimit, Retention, Windows


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
