"""Scales the spans of lanes, for deployments in which time goes faster, and tells those that are out of order.

The order is what PROTOCOL.md, section 1.8, promises: nothing is trimmed or forgotten that is still asked for.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from schemas.lanes import Retention, Windows

_REAL: Final = ("frame_ms", "gateway_timeout_ms")
"""Spans that a network takes, however fast time goes."""


def scaled_ms(span_ms: int, by: float) -> int:
    """Returns a span where time goes ``by`` times as fast, milliseconds, at least one."""
    return max(1, round(span_ms / by))


def scaled_windows(windows: Windows, by: float) -> Windows:
    """Returns the windows of a deployment in which time goes ``by`` times as fast."""
    spans = {name: getattr(windows, name) for name in windows.__struct_fields__ if name not in _REAL}
    return msgspec.structs.replace(windows, **{name: scaled_ms(span, by) for name, span in spans.items()})


def scaled_retention(kept: Retention, by: float) -> Retention:
    """Returns the retention of such a deployment."""
    return Retention(*(scaled_ms(span, by) for span in msgspec.structs.astuple(kept)))


def disorder(windows: Windows, kept: Retention) -> Iterator[str]:
    """Yields a sentence for each promise of PROTOCOL.md, section 1.8, that spans do not keep; none for those of ``LANES``."""
    outage_ms = kept.requests_ms
    least = (
        ("a frame, to be younger than its message", windows.lifetime_max_ms, windows.frame_ms + 1),
        ("a gateway's answer, to come within a life", windows.lifetime_max_ms, windows.gateway_timeout_ms + 1),
        ("the idempotency window, to outlast the clock slack", windows.stale_ms, 1),
        ("plans, to outlive the inputs", kept.plans_ms, outage_ms),
        ("plans, to outlive a fold and an outage", kept.plans_ms, windows.idempotency_ms + outage_ms),
        ("outcomes, to outlive the inputs", kept.outcomes_ms, outage_ms),
        ("outcomes, to outlive a fold and an outage", kept.outcomes_ms, windows.fold_ms * 5 // 4 + outage_ms),
        ("outcomes, to outlive three folds", kept.outcomes_ms, 3 * windows.fold_ms),
        (
            "outcomes, to outlive what settle folds and an outage",
            kept.outcomes_ms,
            min(windows.settle_fold_ms, outage_ms) + outage_ms,
        ),
    )
    return (f"{what}: {has_ms} ms, and must be {needs_ms}" for what, has_ms, needs_ms in least if has_ms < needs_ms)
