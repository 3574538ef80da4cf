"""Says again what was said long ago and still matters, so that the floor can rise (``broker/claims.py``).

A round says open items, closed names, newest versions, and the limits in force, in this order (PROTOCOL.md section 1.2, 5). A
closed name is kept until its ``keep_ms``, and while work of that time is not committed; a late duplicate would otherwise re-open
it. Limits are last and whole in each round: what an earlier one said of a person may lack decisions about items that this one
says, for a decision does not say who it is about.

A round goes in bites, each a record of a few thousand names at the most, and ordinary decisions go on between them. That is sound
for everything that a record states by itself; what is decided about an item before its bite stands in it, and after it in the
log. It is not for limits, whose bites follow one another: nothing is spent between them. Nor for the parts of an item that is
larger than a record (``schemas/wire/item_parts.py``): nothing is said of it between them.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from broker.claims import Claims, Round
from broker.deliver.limits.limit import said
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import Append, ShardState
from schemas.delivery_journal import ClosedName, ItemPart, LimitsRestated, OpenItem, Restated
from schemas.wire.head import RECORD_LIMIT_BYTES
from schemas.wire.header import Kind
from schemas.wire.item_parts import parts_of

Bite = Restated | ItemPart | LimitsRestated
_KINDS: Final[Mapping[type[Bite], Kind]] = {
    Restated: Kind.OUTCOME_RESTATED,
    ItemPart: Kind.ITEM_PART,
    LimitsRestated: Kind.LIMITS_RESTATED,
}

_ITEM_BYTES: Final = 600
_PART_BYTES: Final = RECORD_LIMIT_BYTES // 4
"""Bytes of items in a record."""
_WHOLE_BYTES: Final = RECORD_LIMIT_BYTES - 100_000
"""Bytes up to which a single item is said whole. Explicit recipients are fewer: plan bounds a request. A larger list is cut."""


def weight_of(entry: OpenItem) -> int:
    """About how many bytes a restated item takes."""
    rows = entry.opened.item.rows
    own = (
        0
        if rows is None
        else len(rows) * 60 + sum(len(key) + len(text) + 4 for each in rows.params for key, text in each.items())
    )
    params = sum(len(key) + len(text) + 4 for key, text in entry.opened.item.terms.params.items())
    members = len(entry.members.ordinals) if entry.members else 0
    return (
        _ITEM_BYTES
        + own
        + params
        + members
        + len(entry.statuses)
        + len(entry.attempts)
        + len(entry.dues)
        + len(entry.markets)
    )


class Restating:
    """Runs the rounds of one ownership."""

    __slots__ = (
        "_bite",
        "_bites",
        "_claims",
        "_now_ms",
        "_quarter_ms",
        "_rests",
        "_round",
        "_state",
        "_until_ms",
        "claim_due",
    )

    def __init__(self, policy: DeliverPolicy, state: ShardState, claims: Claims) -> None:
        self._state = state
        self._claims = claims
        self._quarter_ms = policy.windows.fold_ms // 4
        self._bite = policy.bite
        self._round: Round | None = None
        """The round that has begun."""
        self._bites: Iterator[Bite | None] = iter(())
        self._now_ms = 0
        self._until_ms = 0
        """Names that end until then are forgotten."""
        self._rests = False
        """It is the others' turn."""
        self.claim_due: int | None = None
        """A round is complete: the owner is to claim again with this floor, and to call :meth:`claimed`."""

    def next(self, now_ms: int, uncommitted_ms: int | None) -> Append | None:
        """Returns the next record of a round; None if none is due, if it is the others' turn, or if the round is complete.

        Work is written before the ``keep_ms`` of its name, so names that end before ``uncommitted_ms`` have none to come again.
        """
        if self.claim_due is not None:
            return None
        if self._round is None and (due := self._claims.due(now_ms, self._quarter_ms)) is not None:
            self._round, self._bites, self._rests = due, self._all(due.said_ms), False
        if self._round is None or self._rests:
            self._rests = False
            return None
        # What is said now is later than what is due, or it would be due for ever.
        self._now_ms = max(now_ms, self._round.said_ms + 1)
        self._until_ms = self._now_ms if uncommitted_ms is None else min(self._now_ms, uncommitted_ms)
        for body in self._bites:
            self._rests = not isinstance(body, LimitsRestated | ItemPart)
            return None if body is None else Append(_KINDS[type(body)], self._now_ms, body)
        self.claim_due = self._round.floor
        return None

    def claimed(self) -> None:
        """The claim was repeated with the floor that was due."""
        self._round = self.claim_due = None

    def due_ms(self, now_ms: int) -> int:
        """Returns when the next round or bite is due, milliseconds since the epoch; 0: now."""
        return self._claims.due_ms(now_ms, self._quarter_ms) if self._round is None else 0

    def _all(self, before_ms: int) -> Iterator[Bite | None]:
        """Yield what was last said until ``before_ms``, a record at a time; None where a look has found nothing.

        Each list is made when those before it are through: what an item comes to until then stands in the next one.
        """
        state = self._state
        for keys in _cut(list(state.items), max(1, self._bite // 8)):
            yield from self._items(keys, before_ms)
        for keys in _cut(list(state.closed), self._bite):
            names = self._names(keys, before_ms)
            yield Restated(closed=names) if names else None
        for keys in _cut(state.versions.facts(), self._bite):
            newest = tuple(state.versions.stated_until(before_ms, self._now_ms, keys))
            yield Restated(newest=newest) if newest else None
        owing = state.limits.restate(self._now_ms)
        while spent := said(islice(owing, self._bite)):
            yield LimitsRestated(spent)

    def _items(self, keys: Iterable[bytes], before_ms: int) -> Iterator[Bite | None]:
        waiting = deque(keys)
        while waiting:
            left, bite = _PART_BYTES, list[OpenItem]()
            while waiting:
                item = self._state.items.get(waiting[0])
                if item is not None and item.stated_ms <= before_ms:
                    entry = item.stated()
                    left -= (weight := weight_of(entry))
                    if left < 0 and bite:
                        break
                    if weight > _WHOLE_BYTES:
                        yield from parts_of(entry, _PART_BYTES)
                    else:
                        bite.append(entry)
                waiting.popleft()
            yield Restated(tuple(bite)) if bite else None

    def _names(self, keys: Iterable[bytes], before_ms: int) -> tuple[ClosedName, ...]:
        closed, found = self._state.closed, []
        for key in keys:
            keep_ms, stated_ms = closed.get(key, (0, before_ms + 1))
            if keep_ms <= self._until_ms:
                closed.pop(key, None)
            elif stated_ms <= before_ms:
                found.append(ClosedName(key, keep_ms))
        return tuple(found)


def _cut(keys: list[bytes], most: int) -> Iterator[list[bytes]]:
    return (keys[start : start + most] for start in range(0, len(keys), most))
