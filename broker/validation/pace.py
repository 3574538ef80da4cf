"""Tells how a sound event would go out: at what rate, until when, and how many could not be told, as plan says at acceptance.

What was asked of the number before is not known here, and without the sizes of lists neither is how many are on one.
"""

from typing import Any

from broker.audience.sizes import NO_SIZES, ListSizes
from broker.plan.authorize import Authority, read
from broker.plan.outputs import pace_sentence
from broker.plan.parties import Registered
from broker.plan.validate import Request
from broker.plan.verdict import outlook
from broker.registry.fold import Registry
from broker.validation.all_errors import form_of_record, record_of
from schemas.ids import Lane


def pace_of(lane: Lane, event: dict[str, Any], *, registry: Registry, now_ms: int, sizes: ListSizes = NO_SIZES) -> str:
    """Returns the sentence about an event in structured mode; empty if it goes out at once, or if plan would refuse it."""
    request = form_of_record(*record_of(lane, event))
    if not isinstance(request, Request):
        return ""
    granted = next(read(request, Registered(registry, lane), lane.rules.windows, now_ms))
    if not isinstance(granted, Authority):
        return ""
    return pace_sentence(outlook(granted, sizes, start_ms=now_ms, through_ms=0), granted.expires_ms, now_ms)
