"""The verdict on a notification of sound form: who says it, with what, and whether it is the time for it.

These checks depend on the registry, the clock and the sender's debt, so they are made once: the verdict is appended, and a
redelivered event finds it instead of being judged again (PROTOCOL.md rule 3).
"""

from collections.abc import Callable
from typing import Final

import msgspec

from broker.audience.sizes import ListSizes
from broker.heartbeat import is_heartbeat
from broker.languages import languages_of
from broker.plan.addresses import rows_of
from broker.plan.authorize import Parties, expiry_of, fill, parties_of
from broker.plan.decode import Notice
from broker.plan.policy import PlanPolicy
from broker.registry.fold import SEAL, Registry
from broker.registry.rates import share_of
from schemas.plan_journal import Origin, Planned, Rows, Terms
from schemas.reasons import Reason, Refusal
from schemas.registry import Sender
from schemas.topics import CLOCK_SLACK_MS, Windows
from schemas.wire.timestamps import text_of as instant

# Sender throughput: one GCRA per sender, reserved at acceptance for explicit recipients; and when a list will be through.
#
# Plan is the one writer of a business in its lane, so the limit is exact at its source and no shard talks to another
# (PROTOCOL.md section 5, 1). The state of a sender is one instant: when all that was reserved is paid for. It stands in the
# journal (``Planned.free_us``), so the fold needs neither the registry nor the rate of that time.
#
# *Bound.* In any window of T seconds the starts of at most rate * T + burst recipients lie: a request of more people than a burst
# is not sent at its start but goes out in the sender's slots, as lists do (``broker/deliver/limits/slots.py``). Lists reserve
# nothing.

_SECOND_US: Final = 1_000_000
_BURSTS_PER_S: Final = 10
"""A burst is a tenth of a second's worth: enough that single messages seldom wait, and in any second at most a tenth
above the rate."""


class Rate(msgspec.Struct, frozen=True):
    """Bounds a sender: recipients per second, and how many at once."""

    per_s: int
    burst: int

    @classmethod
    def of(cls, per_s: int) -> "Rate":
        """A rate with the burst that goes with it."""
        return cls(per_s, max(1, per_s // _BURSTS_PER_S))

    def cost_us(self, count: int) -> int:
        """Returns how long ``count`` recipients take, rounded up: an error is never in the sender's favour."""
        return -(-count * _SECOND_US // self.per_s)


class Reservation(msgspec.Struct, frozen=True):
    """When a request may begin, and when its sender's throughput is paid for."""

    start_ms: int
    free_us: int


def reserve(free_us: int, now_ms: int, count: int, rate: Rate) -> Reservation:
    """Reserve ``count`` recipients of a sender whose throughput is used up until ``free_us``.

    A request larger than the burst begins when nothing is owed, and owes all it takes.
    """
    tolerance_us = rate.burst * _SECOND_US // rate.per_s
    earliest_us = free_us + rate.cost_us(min(count, rate.burst)) - tolerance_us
    start_ms = max(now_ms, -(-earliest_us // 1000))
    return Reservation(start_ms, max(free_us, start_ms * 1000) + rate.cost_us(count))


class Outlook(msgspec.Struct, frozen=True):
    """Estimates how a request goes out: what the business is told when it is accepted."""

    per_s: int = 0
    """Messages a second of the sender's slots; 0: all of it at once."""
    people: int = 0
    """0: not known."""
    through_ms: int = 0
    """0: at once, or not known."""


def outlook(people: int, rate: Rate, *, listed: bool, start_ms: int, through_ms: int) -> Outlook:
    """Returns how ``people`` go out from ``start_ms`` on, after what the sender's slots owe until ``through_ms``.

    An estimate: what else the number sends meanwhile takes its part of the slots.
    """
    if not listed and people <= rate.burst:
        return Outlook(0, people, 0)
    begins_ms = max(start_ms, through_ms) if listed else start_ms
    ends_ms = begins_ms + -(-rate.cost_us(people) // 1000) if people else 0
    return Outlook(rate.per_s, people, ends_ms)


def unreached(view: Outlook, expires_ms: int) -> int:
    """Returns how many people a request cannot reach before it expires, at its rate."""
    late_ms = view.through_ms - expires_ms
    return min(view.people, -(-late_ms * view.per_s // 1000)) if late_ms > 0 else 0


class _Grant(msgspec.Struct, frozen=True):
    """Holds what an accepted request gets: terms, rows, its place in the sender's throughput, and the estimate."""

    terms: Terms
    rows: Rows | None
    reservation: Reservation
    outlook: Outlook


class Owed(msgspec.Struct, frozen=True):
    """Holds what was asked of senders before and is not handed off yet."""

    free_us: Callable[[str], int]
    """Until when a sender's throughput is reserved, microseconds."""
    through_ms: Callable[[str], int]
    """Until when a sender's slots are asked for by lists, about."""
    sizes: ListSizes
    """Members of each list, by business and list."""


def judge(
    notice: Notice,
    origin: Origin,
    *,
    registry: Registry,
    policy: PlanPolicy,
    now_ms: int,
    owed: Owed,
) -> Planned:
    """The entry to append. The business must be registered."""
    event, windows = notice.event, policy.windows
    keep_ms = min(event.time_ms + windows.stale_ms, now_ms + windows.idempotency_ms)
    verdict = _grant(notice, registry=registry, policy=policy, now_ms=now_ms, owed=owed)
    entry = Planned(
        name=notice.named.name,
        origin=origin,
        fingerprint=notice.fingerprint,
        verdict=0,
        decided_ms=now_ms,
        keep_ms=keep_ms,
        first=notice.first,
    )
    if isinstance(verdict, Refusal):
        return refused(entry, verdict, notice)
    return msgspec.structs.replace(
        entry,
        terms=verdict.terms,
        rows=verdict.rows,
        list=notice.content.body.to.list or "",
        start_ms=verdict.reservation.start_ms,
        free_us=verdict.reservation.free_us,
        per_s=verdict.outlook.per_s,
        people=verdict.outlook.people,
        through_ms=verdict.outlook.through_ms,
    )


def refused(entry: Planned, refusal: Refusal, notice: Notice) -> Planned:
    """The same entry with a refusal for its verdict: it names the event and holds no content."""
    blank = Terms(
        business=notice.named.business,
        sender="",
        template="",
        template_version=0,
        category=0,
        card=0,
        params={},
        time_ms=notice.event.time_ms,
        expires_ms=0,
        keep_ms=entry.keep_ms,
        source=notice.named.source,
        id=notice.named.id,
        trace=notice.named.traceparent,
        labels=notice.named.labels,
    )
    return msgspec.structs.replace(
        entry,
        verdict=refusal.reason.value,
        detail=refusal.detail,
        terms=blank,
        rows=None,
        list="",
        start_ms=refusal.retry_at_ms,
        free_us=0,
        per_s=0,
        people=0,
        through_ms=0,
    )


def _grant(notice: Notice, *, registry: Registry, policy: PlanPolicy, now_ms: int, owed: Owed) -> _Grant | Refusal:
    parties = parties_of(notice, registry, policy.lane)
    if isinstance(parties, Refusal):
        return parties
    people = notice.content.people
    seal_keys = {kid: key for kid, key in registry.keys.items() if key.use == SEAL}
    # Before time is looked at: whoever sent a code in clear must hear that it is burnt, however long it was to live.
    filled = fill(parties.template, notice.content.body.params, people, seal_keys=seal_keys)
    if isinstance(filled, Refusal):
        return filled
    expires_ms = expiry_of(notice.event, policy.windows, now_ms)
    if isinstance(expires_ms, Refusal):
        return expires_ms
    reservation = _reserve(parties.sender, len(people), policy=policy, now_ms=now_ms, owed=owed)
    if refusal := _too_late(reservation, expires_ms, now_ms + policy.windows.idempotency_ms):
        return refusal
    keep_ms = _remembered_until_ms(notice, expires_ms, policy.windows)
    terms = _terms(notice, parties, expires_ms=expires_ms, keep_ms=keep_ms, params=filled.common)
    view = _outlook(notice, parties.sender, reservation, policy=policy, owed=owed)
    if not people:
        return _Grant(terms, None, reservation, view)
    rows = rows_of(people, filled.own, languages=terms.languages, policy=policy)
    return _Grant(terms, rows, reservation, view)


def _reserve(sender: Sender, count: int, *, policy: PlanPolicy, now_ms: int, owed: Owed) -> Reservation:
    if not count or not policy.limits:
        return Reservation(now_ms, 0)
    return reserve(owed.free_us(sender.id), now_ms, count, Rate.of(share_of(sender, policy.lane)))


def _outlook(notice: Notice, sender: Sender, reservation: Reservation, *, policy: PlanPolicy, owed: Owed) -> Outlook:
    if not policy.limits or is_heartbeat(notice.named.business):
        return Outlook()
    listed = notice.content.body.to.list
    people = len(notice.content.people) if listed is None else owed.sizes.people(notice.named.business, listed)
    return outlook(
        people,
        Rate.of(share_of(sender, policy.lane)),
        listed=listed is not None,
        start_ms=reservation.start_ms,
        through_ms=owed.through_ms(sender.id),
    )


def _too_late(reservation: Reservation, expires_ms: int, foldable_ms: int) -> Refusal | None:
    """The refusal of a request that could not begin in time, or whose debt would outlive the fold that must know it."""
    if reservation.start_ms < expires_ms and reservation.free_us <= foldable_ms * 1000:
        return None
    return Refusal(
        Reason.BACKLOG_FULL,
        f"The sender's throughput is used up until {instant(reservation.start_ms)}, when this would be worthless: send less, "
        "or again then.",
        reservation.start_ms,
    )


def _remembered_until_ms(notice: Notice, expires_ms: int, windows: Windows) -> int:
    """Until when deliver knows that there was this request. A fact stays for as long as an older version may be accepted."""
    remembered_ms = expires_ms + CLOCK_SLACK_MS
    if notice.content.body.version is None:
        return remembered_ms
    return max(remembered_ms, notice.event.time_ms + windows.idempotency_ms)


def _terms(notice: Notice, parties: Parties, *, expires_ms: int, keep_ms: int, params: dict[str, str]) -> Terms:
    event, body = notice.event, notice.content.body
    return Terms(
        business=notice.named.business,
        sender=parties.sender.id,
        template=parties.template.id,
        template_version=parties.template.version,
        category=parties.category.value,
        card=parties.card,
        params=params,
        time_ms=event.time_ms,
        expires_ms=expires_ms,
        keep_ms=keep_ms,
        source=event.source,
        id=event.id,
        trace=event.traceparent or "",
        entity=event.subject or "",
        facet=body.facet or "",
        version=-1 if body.version is None else body.version,
        labels=body.labels,
        test=body.test,
        languages=languages_of(parties.template),
    )
