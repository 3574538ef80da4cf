"""Sums up the counts of a request's merged status in the words of whoever controls it. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

_HANDED_OFF: Final = frozenset({"accepted", "sent", "delivered", "read", "failed", "unknown"})
_UNDER_WAY: Final = frozenset({"pending", "sending", "waiting"})


class Numbers(msgspec.Struct, frozen=True):
    """Counts the messages of one request; the fields but the first add up to it."""

    people: int = 0
    handed_off: int = 0
    """The gateway took them, whatever became of them then."""
    held: int = 0
    """They wait until the request is resumed, cancelled, or over."""
    cancelled: int = 0
    under_way: int = 0
    """Deliver is to decide about them, or waits for the gateway's answer."""
    in_doubt: int = 0
    """Perhaps handed off: there was no answer, and they may not be sent again."""
    ended: int = 0
    """Not handed off for another reason: a STOP, an expiry, a refusal."""

    @property
    def quiet(self) -> bool:
        """Returns whether nothing is under way: until somebody says something, or a receipt comes, the numbers stay."""
        return not self.under_way


def numbers_of(counts: Mapping[str, int], known: int = 0) -> Numbers:
    """Returns the numbers behind the counts of a status; of ``known`` people the rest, of whom nothing was said, is under way."""
    people = max(known, sum(counts.values()))
    handed_off = sum(count for word, count in counts.items() if word in _HANDED_OFF)
    under_way = people - sum(count for word, count in counts.items() if word not in _UNDER_WAY)
    held, cancelled, in_doubt = (counts.get(word, 0) for word in ("held", "cancelled", "in_doubt"))
    return Numbers(
        people=people,
        handed_off=handed_off,
        held=held,
        cancelled=cancelled,
        under_way=under_way,
        in_doubt=in_doubt,
        ended=people - handed_off - under_way - held - cancelled - in_doubt,
    )
