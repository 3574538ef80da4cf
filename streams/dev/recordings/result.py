"""Sums up a replay: rates, quantiles of latency and errors, as one sentence and as JSON.

Latency runs from when an event was due to Kafka's acknowledgement, in milliseconds.
"""

from typing import Final

import msgspec

from streams.dev.recordings.latencies import Latencies

QUANTILES: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


class Result(msgspec.Struct, frozen=True):
    """The figures of a replay; rates are events a second, latencies milliseconds (none without an acknowledgement)."""

    sent: int
    acknowledged: int
    offered_per_s: float
    """Events a second until the last was due."""
    achieved_per_s: float
    """Events a second until the last acknowledgement."""
    latency_ms: dict[str, int]
    """Milliseconds from when an event was due to its acknowledgement, by :data:`QUANTILES`."""
    errors: int
    interrupted: bool


def result_of(latencies: Latencies, *, sent: int, due_ms: int, done_ms: int, interrupted: bool) -> Result:
    """Figures of ``sent`` events: the last was due after ``due_ms``, the last acknowledgement came after ``done_ms``."""
    return Result(
        sent=sent,
        acknowledged=len(latencies),
        offered_per_s=round(sent * 1000 / max(due_ms, 1), 1),
        achieved_per_s=round(len(latencies) * 1000 / max(done_ms, 1), 1),
        latency_ms={
            name: found for name, share in QUANTILES.items() if (found := latencies.quantile(share)) is not None
        },
        errors=sent - len(latencies),
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
