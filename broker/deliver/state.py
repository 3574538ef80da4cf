"""Folds deliver's journal: open items, closed names, newest versions, and the times that limits remember.

The living owner applies its own records inside their acknowledgement through the same :meth:`ShardState.apply` that a
recovering owner folds with; there is no second way to change this state (PROTOCOL.md section 1.2).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from broker.audience.members import Audience
from broker.deliver.item import Item
from broker.deliver.limits.limit import Counting, Limit, Limits, spend
from broker.deliver.limits.pair import PairLimiter
from broker.deliver.moves import legal_answers, legal_decisions
from broker.deliver.policy import DeliverPolicy
from broker.deliver.suspects import framing, freezing
from broker.deliver.versions import Versions
from schemas.delivery_journal import (
    Decided,
    Held,
    ItemPart,
    LimitsRestated,
    Opened,
    OpenItem,
    Outcome,
    Restated,
    Trying,
)
from schemas.plan_journal import Origin
from schemas.reasons import State
from schemas.wire.columns import ranks_of, values_of
from schemas.wire.header import Header, Kind, body_of
from schemas.wire.item_parts import Parts

Body = Outcome | Restated | ItemPart | LimitsRestated | Trying
_SHAPES: Mapping[Kind, type[Body]] = {
    Kind.OUTCOME: Outcome,
    Kind.OUTCOME_RESTATED: Restated,
    Kind.ITEM_PART: ItemPart,
    Kind.LIMITS_RESTATED: LimitsRestated,
    Kind.TRYING: Trying,
}

LIMITS: Final[tuple[Callable[[DeliverPolicy], Limit], ...]] = (lambda policy: PairLimiter(policy.pair_limit),)
"""Makes each limit of a lane, with nothing spent, in the order in which they are asked."""


@dataclass(frozen=True, slots=True)
class Append:
    """Holds the record to append next."""

    kind: Kind
    at_ms: int
    """When it was decided, milliseconds since the epoch; goes into the record's head, and is what every fold takes for now."""
    body: Body
    taken: tuple[Origin, ...] = ()
    """Inputs that are finished once this is acknowledged."""
    given_up: int = 0
    """Lists that end in it without members, because freezing them crashed workers."""


def body_of_outcome(header: Header, record: bytes) -> Body | None:
    """The typed body of a valid record of deliver's journal; None for claims."""
    shape = _SHAPES.get(header.kind)
    return None if shape is None else body_of(record, shape)


def touched_by(body: Outcome) -> dict[bytes, None]:
    """Returns the requests of which a record says what changes when they are decided next, each once."""
    touched = dict.fromkeys(opened.item.request for opened in body.opened)
    for sections in (body.members, body.decided, body.answered):
        touched |= dict.fromkeys(section.request for section in sections)
    return touched


def sends_in(section: Decided) -> int:
    """Returns how many messages a section hands off."""
    return values_of(section.statuses).count(State.SENDING)


class ShardState:
    """Folds one shard of one lane. ``audience`` is the live join that list ranks are looked up in."""

    def __init__(self, policy: DeliverPolicy, audience: Audience) -> None:
        self.items: dict[bytes, Item] = {}
        self.closed: dict[bytes, tuple[int, int]] = {}
        """Name -> (keep_ms, when it was last said)."""
        self.versions = Versions()
        self.limits = Limits(make(policy) for make in LIMITS if policy.limits)
        self.tries: Counter[bytes] = Counter()
        """Work that was announced or blamed and has shown no result since (``suspects.py``)."""
        self.last_ms = 0
        self.refused = 0
        """Moves that stand in the journal and not in the table of the life cycle: nobody folds them (``moves.py``)."""
        self._parts = Parts()
        self._audience = audience

    def knows(self, request: bytes) -> bool:
        """Returns whether a work item of this name was taken over before."""
        return request in self.items or request in self.closed

    def apply(self, header: Header, body: Body) -> None:
        """Fold one valid record."""
        at_ms = header.at_ms
        self.last_ms = max(self.last_ms, at_ms)
        match body:
            case Outcome():
                self._outcome(body, at_ms)
            case Restated():
                self._restated(body, at_ms)
            case ItemPart():
                whole = self._parts.add(body)
                if whole is not None and whole.opened.item.request not in self.closed:
                    self._restore(whole, at_ms)
            case LimitsRestated():
                for spent in body.spent:
                    self.limits.restore(spent, at_ms)
            case Trying():
                self.tries[body.request] += 1

    def _outcome(self, body: Outcome, at_ms: int) -> None:
        # In this order, because one record may open, freeze and decide the same request.
        for opened in body.opened:
            self._open(opened, at_ms)
        for members in body.members:
            item = self.items.get(members.request)
            if item is not None and not item.frozen:  # frozen for good: ranks are numbers of these people from now on
                item.freeze(members)
                self.tries.pop(freezing(members.request), None)
                self._close_if_finished(item)
        for decided in body.decided:
            item = self.items.get(decided.request)
            if item is not None:
                legal, refused = legal_decisions(item, decided)
                self.refused += refused
                self._decided(item, legal, at_ms)
        for answered in body.answered:
            item = self.items.get(answered.request)
            if item is not None:
                taken, refused = legal_answers(item, answered)
                self.refused += refused
                item.answered(taken)
                self.tries.pop(framing(answered.request), None)
                self._close_if_finished(item)
        self._hold(body.held)

    def _hold(self, sections: Iterable[Held]) -> None:
        for section in sections:
            item = self.items.get(section.request)
            if item is not None:
                item.hold(section)

    def _open(self, opened: Opened, at_ms: int) -> None:
        # Work may be written twice, also by two owners of plan: the first opening is the one whose ranks were decided.
        if self.knows(opened.item.request):
            return
        self.items[opened.item.request] = Item(opened, at_ms)
        self.versions.see(opened.item.terms, at_ms)

    def _decided(self, item: Item, section: Decided, at_ms: int) -> None:
        item.decided(section)
        self.tries.pop(item.request, None)
        counting = self.limits.counting(item.terms)
        if counting:
            self._spend(item, section, counting, at_ms)
        self._close_if_finished(item)

    def _spend(self, item: Item, section: Decided, counting: Iterable[Counting], at_ms: int) -> None:
        ranks, statuses = ranks_of(section.ranks), values_of(section.statuses)
        if statuses.count(State.SENDING) < len(statuses):
            ranks = [rank for rank, status in zip(ranks, statuses, strict=True) if status == State.SENDING]
        if ranks:  # they were folded just now, so the item has their attempts
            people = item.people(ranks, self._audience).recipients
            spend(counting, people, lambda: item.attempts_of(ranks), at_ms)

    def _close_if_finished(self, item: Item) -> None:
        # That it is closed follows from all that was said of it, so the name is as old as its opening.
        if item.finished and self.items.pop(item.request, None) is not None:
            self.closed[item.request] = (item.terms.keep_ms, item.stated_ms)

    def _restated(self, body: Restated, at_ms: int) -> None:
        for entry in body.open:
            self._restore(entry, at_ms)
        for closed in body.closed:
            self.items.pop(closed.request, None)
            self.closed[closed.request] = (closed.keep_ms, at_ms)
        for newest in body.newest:
            self.versions.restore(newest, at_ms)

    def _restore(self, entry: OpenItem, at_ms: int) -> None:
        request = entry.opened.item.request
        item = self.items.get(request)
        if item is None:
            self.items[request] = Item.restored(entry, at_ms)
            return
        if entry.members is not None and not item.frozen:  # a list too large for ``Members`` is frozen by its parts
            item.adopt(entry)
            self.tries.pop(freezing(request), None)
        # What was folded of it is at least as new as what is restated, which its owner had in memory then.
        item.stated_ms = at_ms
