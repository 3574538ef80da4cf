"""Merges statuses, put together from the words of many shards, into the state of each request, and sums up its counts.

Plan speaks once (accepted, refused), then each shard for its part, cumulatively: a later ``seq`` of a (request, shard)
replaces the earlier. Statuses may come twice and, after a crash, again; what is merged only ever moves on. Pure.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from schemas.status import RecipientStatus, Status

PLAN: Final = -1
"""The shard number under which plan speaks."""

CLOSED: Final = "closed"
REFUSED: Final = "refused"

_REMEMBERED: Final = 100_000
"""Finished requests whose names are kept, so that a repeated word about one does not look like a new request."""


class Progress:
    """Merges the statuses of one business. Holds what is open, and the names of the last 100,000 finished requests."""

    def __init__(self) -> None:
        self._words: dict[str, dict[int, Status]] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()

    def apply(self, status: Status) -> Status | None:
        """The request's status as it stands with this word, or ``None`` if it says nothing new.

        A merged status has shard -1, the sum of the counts and all explicit recipients by shard and rank. It is
        ``closed`` when plan has said how many shards will report and as many have closed. What plan says about a request
        that was accepted before (duplicate, conflict) passes through: it is about a repeated event.
        """
        known = status.request in self._words or status.request in self._finished
        if status.shard == PLAN and status.reason and (known or status.state == REFUSED):
            return status
        if status.request in self._finished:
            return None
        words = self._words.setdefault(status.request, {})
        held = words.get(status.shard)
        if held is not None and held.seq >= status.seq:
            return None
        words[status.shard] = status
        merged = _merged(status, words)
        if _is_end(merged, status):
            self._forget(status.request)
        return merged

    def is_open(self, request: str) -> bool:
        """Returns whether more is to come about a request that was heard of."""
        return request in self._words

    def drop_unjudged(self, before_ms: int) -> list[str]:
        """Forget requests that have words of shards alone and none since ``before_ms``: their beginning was not read."""
        dropped = [
            request
            for request, words in self._words.items()
            if PLAN not in words and max(word.at_ms for word in words.values()) < before_ms
        ]
        for request in dropped:
            del self._words[request]
        return dropped

    def _forget(self, request: str) -> None:
        del self._words[request]
        self._finished[request] = None
        while len(self._finished) > _REMEMBERED:
            self._finished.popitem(last=False)


def _is_end(merged: Status, word: Status) -> bool:
    """Returns whether nothing more is to come. Plan's word about an opt-in event has counts, and is the only one."""
    return merged.state == CLOSED or (word.shard == PLAN and bool(word.counts))


def _merged(latest: Status, words: dict[int, Status]) -> Status:
    parts = [word for shard, word in words.items() if shard != PLAN]
    if not parts:
        return latest
    shards = max(word.shards for word in words.values())
    done = 0 < shards <= sum(word.state == CLOSED for word in parts)
    return msgspec.structs.replace(
        _paced(latest, words, parts, shards),
        shard=PLAN,
        state=CLOSED if done else "running",
        seq=sum(word.seq for word in words.values()),
        at_ms=max(word.at_ms for word in words.values()),
        shards=shards,
        counts=_summed(word.counts for word in parts),
        recipients=_people(parts),
    )


def _paced(latest: Status, words: dict[int, Status], parts: list[Status], shards: int) -> Status:
    """Put the outlook together: before all shards have reported, plan's word about the people counts if it is the higher one."""
    people = sum(word.people for word in parts)
    return msgspec.structs.replace(
        latest,
        people=people if len(parts) == shards else max(people, *(word.people for word in words.values())),
        rate_per_s=max(word.rate_per_s for word in words.values()),
        eta_ms=max(word.eta_ms for word in parts),
        unreached=sum(word.unreached for word in parts),
    )


def _summed(all_counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for counts in all_counts:
        for state, count in counts.items():
            total[state] = total.get(state, 0) + count
    return total


def _people(parts: list[Status]) -> tuple[RecipientStatus, ...]:
    return tuple(person for part in sorted(parts, key=lambda part: part.shard) for person in part.recipients)


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
