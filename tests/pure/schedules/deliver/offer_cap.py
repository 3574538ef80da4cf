"""A limit of the schedules' own: so many offers to one person in a span that outlives a fold, so that only restating keeps it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from broker.deliver.limits.limit import Unfolded
from schemas.lanes import Category
from schemas.plan_journal import Terms
from schemas.wire.columns import cells

MOST: Final = 2
SPAN_MS: Final = 1_800
"""More than a fold: what was sent before the fold begins is known from restatements alone."""
_OLDER_BITS: Final = 16

_Times = tuple[int, ...]


class OfferCap:
    """Keeps when each person was last sent an offer, up to ``MOST`` times, ascending; who had so many waits."""

    word: Final = "offer_cap"
    reason: Final = None
    each_try: Final = False

    def __init__(self) -> None:
        self._sent: dict[str, dict[bytes, _Times]] = {}

    def group(self, terms: Terms) -> str | None:
        """By business, and offers alone."""
        return terms.business if terms.category == Category.MARKETING else None

    def due_ms(self, group: str, people: bytes, now_ms: int, unfolded: Unfolded) -> Mapping[int, int]:
        """The end of the span that began with the last but one."""
        sent, counts, found = self._sent.get(group, {}), unfolded.counts(), {}
        for position, person in enumerate(cells(people, 16)):
            times = (sent.get(person, ()) + (now_ms,) * counts[person])[-MOST:]
            if len(times) == MOST and times[0] + SPAN_MS > now_ms:
                found[position] = times[0] + SPAN_MS
            else:
                counts[person] += 1
        return found

    def spend(self, group: str, people: bytes, at_ms: int) -> None:
        """One more time."""
        sent = self._sent.setdefault(group, {})
        for person in cells(people, 16):
            sent[person] = (*sent.get(person, ()), at_ms)[-MOST:]

    def restate(self, now_ms: int) -> Iterator[tuple[str, bytes, int]]:
        """Both times in one number: one alone holds nobody back, and counts."""
        return (
            (group, person, _packed(times))
            for group, sent in self._sent.items()
            for person, times in sent.items()
            if times[-1] + SPAN_MS > now_ms
        )

    def restore(self, group: str, people: bytes, numbers: Sequence[int], at_ms: int) -> None:  # noqa: ARG002 - all is kept
        """Of what was restated and what is known the latest stand; the same time of both is one."""
        sent = self._sent.setdefault(group, {})
        for person, number in zip(cells(people, 16), numbers, strict=True):
            both = Counter(sent.get(person, ())) | Counter(_unpacked(number))
            sent[person] = tuple(sorted(both.elements()))[-MOST:]


def _packed(times: _Times) -> int:
    """Returns the newest, and how much older the other is: 0 where there is none, or it is over."""
    newest, older_ms = times[-1], times[-1] - times[0] + 1
    return newest << _OLDER_BITS | (older_ms if len(times) == MOST and older_ms <= SPAN_MS else 0)


def _unpacked(number: int) -> _Times:
    newest, older_ms = number >> _OLDER_BITS, number & (1 << _OLDER_BITS) - 1
    return (newest - older_ms + 1, newest) if older_ms else (newest,)
