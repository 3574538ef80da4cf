"""Makes the verdict: what is appended for a request, and what an opt-in or a control event becomes.

A verdict depends on the registry, the clock and the sender's debt, so it is made once: it is appended, and a redelivered event
finds it instead of being judged again (PROTOCOL.md rule 3).
"""

from typing import Final, assert_never

import msgspec

from broker.audience.sizes import ListSizes
from broker.heartbeat import is_heartbeat
from broker.plan.authorize import Authority, Authorized, Rejected
from broker.plan.control_events import Command, ControlRecord, control_record
from broker.plan.decode import Named, PlanInput
from broker.plan.opt_in import AudienceRecord, Membership, audience_records
from broker.plan.policy import PlanPolicy
from broker.plan.state import PlanState
from broker.plan.validate import Request
from schemas.ids import recipient_id
from schemas.lanes import Windows
from schemas.plan_journal import LOCALE_WIDTH, Origin, Planned, Rows, Terms
from schemas.reasons import Reason, Refusal
from schemas.wire.columns import u16s
from schemas.wire.timestamps import text_of as instant


class Taken(msgspec.Struct, frozen=True):
    """Takes over an opt-in or a control event: records that are joins, so that nothing is appended for it."""

    named: Named
    records: tuple[AudienceRecord | ControlRecord, ...]
    counts: dict[str, int]
    people: int = 0


class Debt(msgspec.Struct, frozen=True):
    """Says what a sender's throughput is used up for."""

    free_us: int = 0
    """Until when it is reserved, microseconds since the epoch."""
    through_ms: int = 0
    """Until when lists ask for the sender's slots, about, ms since the epoch."""

    @classmethod
    def of(cls, state: PlanState, sender: str) -> "Debt":
        """Return what the journal says of a sender."""
        held = state.free.get(sender)
        return cls(0 if held is None else held.free_us, state.through.get(sender, 0))


def judge(
    authorized: Authorized, record: PlanInput, debt: Debt, policy: PlanPolicy, *, sizes: ListSizes, now_ms: int
) -> Planned | Taken:
    """Return the entry to append for a request, or the records that an opt-in or a control event becomes."""
    match authorized:
        case Authority():
            return _accept(authorized, record.origin, debt, policy, sizes=sizes, now_ms=now_ms)
        case Membership():
            people = len(authorized.people)
            # By the record's own time of arrival and not by now, so that a redelivery says the same.
            records = audience_records(authorized, policy, record.timestamp_ms)
            return Taken(authorized.named, tuple(records), {"members": people}, people)
        case Command():
            word = control_record(authorized, policy.lane, record.timestamp_ms)
            return Taken(authorized.named, (word,), {"controls": 1})
        case _:
            assert_never(authorized)


def _accept(
    granted: Authority, origin: Origin, debt: Debt, policy: PlanPolicy, *, sizes: ListSizes, now_ms: int
) -> Planned:
    """Return the entry of a request that may go out: reserved in its sender's throughput, or refused if that comes too late."""
    request = granted.request
    reservation = Reservation(now_ms, 0)
    if request.people and policy.limits:
        reservation = reserve(debt.free_us, now_ms, len(request.people), Rate.of(granted.parties.per_s))
    foldable_ms = now_ms + policy.windows.idempotency_ms
    if reservation.start_ms >= granted.expires_ms or reservation.free_us > foldable_ms * 1000:
        return refuse(Rejected(request, _backlog_full(reservation)), origin, policy, now_ms)
    view = Outlook()
    if policy.limits and not is_heartbeat(request.named.business):
        view = outlook(granted, sizes, start_ms=reservation.start_ms, through_ms=debt.through_ms)
    return Planned(
        name=request.named.name,
        origin=origin,
        fingerprint=request.fingerprint,
        verdict=0,
        decided_ms=now_ms,
        keep_ms=_keep_ms(request, policy.windows, now_ms),
        terms=_terms(granted, policy.windows),
        rows=_rows(granted, policy) if request.people else None,
        list=request.body.to.list or "",
        start_ms=reservation.start_ms,
        first=request.first,
        free_us=reservation.free_us,
        per_s=view.per_s,
        people=view.people,
        through_ms=view.through_ms,
    )


def refuse(rejected: Rejected, origin: Origin, policy: PlanPolicy, now_ms: int) -> Planned:
    """Return the entry to append for a request that is refused: it names the event and holds no content."""
    request, refusal = rejected.request, rejected.refusal
    named = request.named
    keep_ms = _keep_ms(request, policy.windows, now_ms)
    return Planned(
        name=named.name,
        origin=origin,
        fingerprint=request.fingerprint,
        verdict=refusal.reason.value,
        decided_ms=now_ms,
        keep_ms=keep_ms,
        detail=refusal.detail,
        terms=_blank(named, request.cloud.time_ms, keep_ms),
        start_ms=refusal.retry_at_ms,
        first=request.first,
        people=refusal.left,
    )


def refused(entry: Planned, refusal: Refusal) -> Planned:
    """Return an entry of a request with a refusal for its verdict."""
    terms = entry.terms
    if terms is not None:
        named = Named(terms.business, terms.source, terms.id, entry.name, terms.trace, terms.labels)
        terms = _blank(named, terms.time_ms, entry.keep_ms)
    return Planned(
        name=entry.name,
        origin=entry.origin,
        fingerprint=entry.fingerprint,
        verdict=refusal.reason.value,
        decided_ms=entry.decided_ms,
        keep_ms=entry.keep_ms,
        detail=refusal.detail,
        terms=terms,
        first=entry.first,
    )


def _keep_ms(request: Request, windows: Windows, now_ms: int) -> int:
    """Return until when the name of a request is remembered, ms since the epoch."""
    # From the first on it is refused as stale whether the name is known or not. The second bounds what is refused as from the
    # future: its ``time`` is whatever a producer wrote, and no name may be kept for longer than a fold reaches back.
    return min(request.cloud.time_ms + windows.stale_ms, now_ms + windows.idempotency_ms)


def _blank(named: Named, time_ms: int, keep_ms: int) -> Terms:
    return Terms(
        business=named.business,
        sender="",
        template="",
        template_version=0,
        category=0,
        card=0,
        params={},
        time_ms=time_ms,
        expires_ms=0,
        keep_ms=keep_ms,
        source=named.source,
        id=named.id,
        trace=named.traceparent,
        labels=named.labels,
    )


def _terms(granted: Authority, windows: Windows) -> Terms:
    cloud, body, parties = granted.request.cloud, granted.request.body, granted.parties
    # Until when deliver knows that there was this request. A fact stays for as long as an older version may be accepted.
    keep_ms = granted.expires_ms + windows.clock_slack_ms
    if body.version is not None:
        keep_ms = max(keep_ms, cloud.time_ms + windows.idempotency_ms)
    return Terms(
        business=granted.request.named.business,
        sender=parties.sender.id,
        template=parties.template.id,
        template_version=parties.template.version,
        category=parties.category.value,
        card=parties.card,
        params=granted.common,
        time_ms=cloud.time_ms,
        expires_ms=granted.expires_ms,
        keep_ms=keep_ms,
        source=cloud.source,
        id=cloud.id,
        trace=cloud.traceparent or "",
        entity=cloud.subject or "",
        facet=body.facet or "",
        version=-1 if body.version is None else body.version,
        labels=body.labels,
        test=body.test,
        languages=parties.languages,
    )


def _rows(granted: Authority, policy: PlanPolicy) -> Rows:
    """Return the people as columns, addresses sealed, parameters of their own on top of the common ones.

    Who names a language that the template has not, or none, is told in the template's default.
    """
    people, languages = granted.request.people, granted.parties.languages
    known = [languages[at : at + LOCALE_WIDTH] for at in range(0, len(languages), LOCALE_WIDTH)]
    return Rows(
        b"".join([recipient_id(policy.pepper, person.address) for person in people]),
        b"".join([policy.address_book.seal(person.address) for person in people]),
        "".join([person.language if person.language in known else known[0] for person in people]).encode(),
        u16s([person.market for person in people]),
        granted.own if any(granted.own) else (),
    )


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
    """Recipients a second."""
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
    """When it may begin, milliseconds since the epoch."""
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


def outlook(granted: Authority, sizes: ListSizes, *, start_ms: int, through_ms: int) -> Outlook:
    """Returns how a request goes out from ``start_ms`` on, after what the sender's slots owe until ``through_ms``.

    An estimate: what else the number sends meanwhile takes its part of the slots.
    """
    request, rate = granted.request, Rate.of(granted.parties.per_s)
    listed = request.body.to.list
    people = len(request.people) if listed is None else sizes.people(request.named.business, listed)
    if listed is None and people <= rate.burst:
        return Outlook(0, people, 0)
    begins_ms = start_ms if listed is None else max(start_ms, through_ms)
    ends_ms = begins_ms + -(-rate.cost_us(people) // 1000) if people else 0
    return Outlook(rate.per_s, people, ends_ms)


def _backlog_full(reservation: Reservation) -> Refusal:
    """Return the refusal of a request that could not begin in time, or whose debt would outlive the fold that must know it."""
    sentence = (
        f"The sender's throughput is used up until {instant(reservation.start_ms)}, when this would be worthless: send less, "
        "or again then."
    )
    return Refusal(Reason.BACKLOG_FULL, sentence, reservation.start_ms)
