"""Tells how a sound event would go out: at what rate, until when, and how many could not be told, as plan says at acceptance.

What was asked of the number before is not known here, and without the sizes of lists neither is how many are on one.
"""

from typing import Any

import msgspec

from broker.audience.sizes import NO_SIZES, ListSizes
from broker.plan.authorize import Authority, read
from broker.plan.outputs import pace_sentence
from broker.plan.parties import Registered
from broker.plan.validate import Request
from broker.plan.verdict import Rate, outlook
from broker.registry.fold import Registry
from broker.validation.all_errors import form_of
from schemas.ids import Lane, business_of


def pace_of(lane: Lane, event: dict[str, Any], *, registry: Registry, now_ms: int, sizes: ListSizes = NO_SIZES) -> str:
    """Returns the sentence about an event in structured mode; empty if it goes out at once, or if plan would refuse it."""
    try:
        business = business_of(str(event.get("source")))
    except ValueError:
        return ""
    request = form_of(lane, business, msgspec.json.encode(event))
    if not isinstance(request, Request):
        return ""
    granted = next(read(request, Registered(registry, lane), lane.rules.windows, now_ms))
    if not isinstance(granted, Authority):
        return ""
    listed = request.body.to.list
    people = len(request.people) if listed is None else sizes.people(business, listed)
    rate = Rate.of(granted.parties.per_s)
    view = outlook(people, rate, listed=listed is not None, start_ms=now_ms, through_ms=0)
    return pace_sentence(view, granted.expires_ms, now_ms)
