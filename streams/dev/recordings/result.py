"""Sums up a replay: rates, quantiles of latency and errors, as one sentence and as JSON.

Latency runs from when an event was due to Kafka's acknowledgement, in milliseconds.
"""

import math
from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec

# The one way in which values that are all at hand become p50 and p99; of buckets it is ``streams/operate/scrape.py``.

_Number = TypeVar("_Number", int, float)


def quantile(ascending: Sequence[_Number], share: float) -> _Number | None:
    """The smallest value that at least ``share`` of the values do not exceed (nearest rank); ``None`` of none."""
    if not ascending:
        return None
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class Result(msgspec.Struct, frozen=True):
    """The figures of a replay; rates are events a second, latencies milliseconds (none without an acknowledgement)."""

    sent: int
    acknowledged: int
    offered_per_s: float
    achieved_per_s: float
    latency_ms: dict[str, int]
    errors: int
    interrupted: bool


def result_of(latencies_ms: Sequence[int], *, sent: int, due_ms: int, done_ms: int, interrupted: bool) -> Result:
    """Figures of ``sent`` events: the last was due after ``due_ms``, the last acknowledgement came after ``done_ms``."""
    ascending = sorted(latencies_ms)
    return Result(
        sent=sent,
        acknowledged=len(ascending),
        offered_per_s=round(sent * 1000 / max(due_ms, 1), 1),
        achieved_per_s=round(len(ascending) * 1000 / max(done_ms, 1), 1),
        latency_ms={
            name: found for name, share in QUANTILES.items() if (found := quantile(ascending, share)) is not None
        },
        errors=sent - len(ascending),
        interrupted=interrupted,
    )


def sentence_of(result: Result) -> str:
    """The last line, in the manner of Kafka's own performance tool."""
    latency = " / ".join(str(result.latency_ms.get(name, "-")) for name in QUANTILES)
    return (
        f"{result.sent} records sent, {result.offered_per_s:.1f} records/sec offered, "
        f"{result.achieved_per_s:.1f} records/sec achieved, "
        f"{latency} ms {' / '.join(QUANTILES)}, {result.errors} errors"
    )


def json_of(result: Result) -> str:
    """The same as one line of JSON."""
    return msgspec.json.encode(result).decode()
