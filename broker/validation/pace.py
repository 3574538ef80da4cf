"""Tells how a sound event would go out: at what rate, until when, and how many could not be told, as plan says at acceptance.

What was asked of the number before is not known here, and without the sizes of lists neither is how many are on one.
"""

from typing import Any

import msgspec

from broker.audience.sizes import NO_SIZES, ListSizes
from broker.plan.authorize import Parties, expiry_of, parties_of
from broker.plan.decode import Notice
from broker.plan.outputs import pace_sentence
from broker.plan.verdict import Rate, outlook
from broker.registry.fold import Registry
from broker.registry.rates import share_of
from broker.validation.all_errors import admitted
from schemas.ids import Lane, business_of
from schemas.reasons import Refusal
from schemas.topics import WINDOWS


def pace_of(lane: Lane, event: dict[str, Any], *, registry: Registry, now_ms: int, sizes: ListSizes = NO_SIZES) -> str:
    """Returns the sentence about an event in structured mode; empty if it goes out at once, or if plan would refuse it."""
    try:
        business = business_of(str(event.get("source")))
    except ValueError:
        return ""
    notice = admitted(lane, business, msgspec.json.encode(event))
    if not isinstance(notice, Notice):
        return ""
    parties = parties_of(notice, registry, lane)
    expires_ms = expiry_of(notice.event, WINDOWS[lane], now_ms)
    if not isinstance(parties, Parties) or isinstance(expires_ms, Refusal):
        return ""
    listed = notice.content.body.to.list
    people = len(notice.content.people) if listed is None else sizes.people(business, listed)
    rate = Rate.of(share_of(parties.sender, lane))
    view = outlook(people, rate, listed=listed is not None, start_ms=now_ms, through_ms=0)
    return pace_sentence(view, expires_ms, now_ms)
