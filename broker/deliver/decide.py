"""Decides about ranks of one request, one verdict each; the checks run in the order in which they take precedence.

Expired, cancelled, superseded, consent, membership, limits; what is left is sent. Pure: the facts are passed in, and
what they were (offsets) goes into the decision, so that the auditor can repeat it.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
from pyroaring import BitMap

from broker.audience.consent import NEVER, Consent, Returns
from broker.audience.members import Audience
from broker.deliver.item import Item, People, recipients_of
from broker.deliver.limits.limit import Counting, Limits, Messages, Unfolded, over_limits
from broker.deliver.policy import DeliverPolicy
from broker.deliver.suspects import Suspects
from broker.deliver.versions import Versions
from broker.registry.fold import RateOf, accepted_rate
from broker.standing import Controls, Standing
from schemas.delivery_journal import Decided
from schemas.reasons import Reason, State
from schemas.registry import CONFIRMATIONS
from schemas.wire.arrays import intervals_of, runs_of
from schemas.wire.columns import i64s, u16s

MOST_ATTEMPTS: Final = 255
"""An attempt is a byte in the journal. Later ones keep this number: nothing ends by being tried often."""
_NEXT_ATTEMPT: Final = bytes(min(MOST_ATTEMPTS, attempt + 1) for attempt in range(256))


class Facts(NamedTuple):
    """Holds what other logs say, and how freshly they were read."""

    consent: Consent
    audience: Audience
    suppressed_upto: int
    """Offset of the last suppression that was applied."""
    suppressed_fresh_ms: int
    """The newest moment at which suppressions and controls were known to be read to their ends, milliseconds since the epoch."""
    audience_read_ms: int
    """The same of the audience's changes, milliseconds of the process's monotonic clock."""
    monotonic_ms: int
    """Now, in milliseconds of that clock: the wall clock jumps, and those of two owners differ."""
    rate_of: RateOf = accepted_rate
    """The rate of a sender's slots, as registered now."""
    controls: Controls = Controls()
    """Who may go on, who waits, and what ends."""
    uncommitted_ms: int | None = None
    """When the oldest record of work was appended that is not committed and so may come again, milliseconds since the epoch;
    None: all are committed."""


class Rules(NamedTuple):
    """Holds what a decision needs beside the item."""

    policy: DeliverPolicy
    facts: Facts
    versions: Versions
    limits: Limits
    unfolded: dict[str, Unfolded]
    """Messages decided in the same append and not folded yet, by :attr:`Counting.key`. Makes an entry for a new key."""
    suspects: Suspects


def whole_refusal(item: Item, rules: Rules, now_ms: int) -> Reason | None:
    """Returns the refusal that holds for all ranks of a request alike, None if there is none."""
    terms = item.terms
    # Expiry stands first: after it nothing is sent, whatever else holds (PROTOCOL.md rule 12).
    if now_ms >= terms.expires_ms:
        return Reason.EXPIRED
    if rules.facts.controls.ruling(item.request, terms).standing is Standing.CANCELLED:
        return Reason.CANCELLED
    if rules.versions.superseded(terms):
        return Reason.SUPERSEDED
    return None


def forbidden(item: Item, ranks: Sequence[int], people: People, rules: Rules) -> dict[int, Reason]:
    """Returns the positions in ``ranks``, whose columns are ``people``, that suppressions forbid now."""
    audience, business, list_id = rules.facts.audience, item.terms.business, item.opened.item.list

    def returns(position: int) -> Returns:
        ordinals = item.ordinals
        return NEVER if ordinals is None else audience.returns(business, list_id, int(ordinals[ranks[position]]))

    found = rules.facts.consent.forbidden(
        recipients_of(people), business, lane=rules.policy.lane, list_id=list_id, returns=returns
    )
    if item.terms.template in CONFIRMATIONS:  # what confirms a stop is not stopped by it
        return {at: reason for at, reason in found.items() if reason is Reason.BLOCKED}
    return found


def decide(item: Item, ranks: Sequence[int], rules: Rules, now_ms: int) -> Decided:
    """Returns the decision about ``ranks`` (ascending, pending or due) of ``item``, ready to be appended."""
    whole = whole_refusal(item, rules, now_ms)
    if whole is not None:
        return all_alike(item, ranks, whole, rules)
    people = item.people(ranks, rules.facts.audience)
    statuses = bytearray((State.SENDING,)) * len(ranks)
    for position, reason in forbidden(item, ranks, people, rules).items():
        statuses[position] = reason
    for position in leavers(item, ranks, rules.facts.audience):
        # A STOP is the stronger reason, and what the business reads: having left the list comes second.
        if statuses[position] == State.SENDING:
            statuses[position] = Reason.NOT_OPTED_IN
    before = item.attempts_of(ranks)
    attempts = before.translate(_NEXT_ATTEMPT)
    # Limits come last: whoever is refused spends nothing of them.
    counting = rules.limits.counting(item.terms)
    asked = Messages(people.recipients, attempts)
    dues = _keep_limits(counting, asked, statuses, rules, now_ms) if counting else []
    if statuses.count(State.SENDING) < len(statuses):
        # An attempt is a hand-off: who is refused or waits keeps the number of those that were.
        sent = zip(statuses, attempts, before, strict=True)
        attempts = bytes(new if status == State.SENDING else old for status, new, old in sent)
    return _section(item, ranks, (bytes(statuses), attempts, people.markets, dues), rules.facts)


def all_alike(item: Item, ranks: Sequence[int], reason: Reason, rules: Rules) -> Decided:
    """The same refusal for all of ``ranks``."""
    return _section(item, ranks, (bytes((reason,)) * len(ranks), item.attempts_of(ranks), (), []), rules.facts)


def leavers(item: Item, ranks: Sequence[int], audience: Audience) -> list[int]:
    """Returns the positions in ``ranks`` of members of a list who are not on it any more."""
    if item.ordinals is None:
        return []
    ordinals = item.ordinals[np.asarray(ranks, dtype=np.int64)]
    gone = BitMap(ordinals) - audience.freeze(item.terms.business, item.opened.item.list)
    return [position for position, ordinal in enumerate(ordinals.tolist()) if ordinal in gone] if gone else []


def _keep_limits(
    counting: Iterable[Counting], asked: Messages, statuses: bytearray, rules: Rules, now_ms: int
) -> list[int]:
    """Lets wait, or ends, whoever is over a limit. Returns when those who wait are due, in the order of their ranks."""
    places: Sequence[int] = range(len(statuses))
    if statuses.count(State.SENDING) < len(statuses):
        places = [place for place in places if statuses[place] == State.SENDING]
        asked = Messages(asked.people_at(places), bytes(asked.tries[place] for place in places))
    over = over_limits(counting, asked, rules.unfolded, now_ms)
    if not over:
        return []
    for position, (reason, _) in over.items():
        statuses[places[position]] = State.WAITING if reason is None else reason
    return [over[position].due_ms for position in sorted(over) if over[position].reason is None]


_Columns = tuple[bytes, bytes, Sequence[int], list[int]]


def _section(item: Item, ranks: Sequence[int], columns: _Columns, facts: Facts) -> Decided:
    statuses, attempts, markets, dues = columns
    sent = markets
    if statuses.count(State.SENDING) < len(statuses):
        # Not strict: a refusal of all ranks alike brings no markets, for it sends nothing.
        sent = [market for market, status in zip(markets, statuses, strict=False) if status == State.SENDING]
    # Most requests go to one country: then a number says it, and the journal is spared two bytes a message.
    alike = len(set(sent)) <= 1
    return Decided(
        item.request,
        intervals_of(ranks),
        runs_of(statuses),
        runs_of(attempts),
        b"" if alike else u16s(sent),
        sent[0] if sent and alike else 0,
        i64s(dues),
        facts.suppressed_upto,
        facts.audience.upto,
    )
