"""Estimates when a paced request will be through in one shard, from its rate and from how it went so far."""

from typing import Final, NamedTuple, Protocol

_MEASURED_MS: Final = 2_000
"""Milliseconds that a request goes on before its own progress is believed more than the rate."""


class Outlook(NamedTuple):
    """Holds the estimate for one request in one shard."""

    eta_ms: int = 0
    """When the last of its people here will have been told, about; 0: they have been, or it needs no time."""
    unreached: int = 0
    """People here who cannot be told before it expires."""


class Paced(Protocol):
    """Names the fields of a request that the estimate is made of."""

    per_s: int
    """Messages a second of its sender's share."""
    begun_ms: int
    """When it could begin, milliseconds since the epoch."""
    expires_ms: int
    """When it expires, milliseconds since the epoch."""


def outlook_of(people: int, owed: int, request: Paced, shards: int, now_ms: int) -> Outlook:
    """Returns the outlook of ``people`` of whom ``owed`` are not told, at the shard's part of the rate, or as slowly as it went.

    Slower is what shares its number with others, or was held back. Faster than its rate it cannot be.
    """
    if not owed:
        return Outlook()
    left_ms = owed * shards * 1_000 // request.per_s
    spent_ms, told = now_ms - request.begun_ms, people - owed
    if told and spent_ms >= _MEASURED_MS:
        left_ms = max(left_ms, owed * spent_ms // told)
    live_ms = max(0, request.expires_ms - now_ms)
    return Outlook(now_ms + left_ms, owed - owed * live_ms // left_ms if left_ms > live_ms else 0)
