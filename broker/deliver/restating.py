"""Says again what was said long ago and still matters, so that the floor can rise (``broker/claims.py``).

A round says open items, closed names, newest versions, and the limits in force, in this order (PROTOCOL.md section 1.2, 5). A
closed name is kept until its ``keep_ms``, and while work of that time is not committed; a late duplicate would otherwise re-open
it. Limits are last and whole in each round: what an earlier one said of a person may lack decisions about items that this one
says, for a decision does not say who it is about.
"""

from collections.abc import Iterable, Iterator

from broker.claims import Claims, Round
from broker.deliver.policy import DeliverPolicy
from broker.deliver.state import Append, ShardState
from schemas.delivery_journal import ClosedName, LimitsRestated, Newest, OpenItem, Restated
from schemas.wire.head import RECORD_LIMIT_BYTES
from schemas.wire.header import Kind

_CLOSED_BYTES = 32
_NEWEST_BYTES = 40
_SPENT_BYTES = 32
_ITEM_BYTES = 600
_PART_BYTES = RECORD_LIMIT_BYTES // 2
"""Bytes of one kind in a record. A single larger item still fits: plan bounds a request far below the limit."""


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


def _some(entries: Iterable[OpenItem]) -> Iterator[OpenItem]:
    bytes_left = _PART_BYTES
    for count, entry in enumerate(entries):
        bytes_left -= weight_of(entry)
        if bytes_left < 0 and count:
            return
        yield entry


def restatement(
    state: ShardState, before_ms: int, now_ms: int, uncommitted_ms: int | None, *, began_ms: int
) -> Restated | LimitsRestated | None:
    """Returns what was last said until ``before_ms`` and must be said again, as much as one record holds; None if nothing is.

    Work is written before the ``keep_ms`` of its name, so names that end before ``uncommitted_ms`` have none to come again.
    Limits are said anew in each round, ``began_ms``: what an earlier one said may lack decisions about items that this one says.
    """
    state.forget(now_ms if uncommitted_ms is None else min(now_ms, uncommitted_ms))
    open_items = tuple(_some(item.stated() for item in state.items.values() if item.stated_ms <= before_ms))
    if open_items:
        return Restated(open_items)
    closed = [ClosedName(name, keep) for name, (keep, stated) in state.closed.items() if stated <= before_ms]
    if closed:
        return Restated(closed=tuple(closed[: _PART_BYTES // _CLOSED_BYTES]))
    newest: list[Newest] = list(state.versions.stated_until(before_ms, now_ms))
    if newest:
        return Restated(newest=tuple(newest[: _PART_BYTES // _NEWEST_BYTES]))
    spent = state.limits.restate(began_ms, now_ms, _PART_BYTES // _SPENT_BYTES)
    return LimitsRestated(spent) if spent else None


class Restating:
    """Runs the rounds of one ownership."""

    __slots__ = ("_began_ms", "_claims", "_quarter_ms", "_round", "_state", "claim_due")

    def __init__(self, policy: DeliverPolicy, state: ShardState, claims: Claims) -> None:
        self._state = state
        self._claims = claims
        self._quarter_ms = policy.windows.fold_ms // 4
        self._round: Round | None = None
        """The round that has begun."""
        self._began_ms = 0
        """When it has begun, milliseconds since the epoch."""
        self.claim_due: int | None = None
        """A round is complete: the owner is to claim again with this floor, and to call :meth:`claimed`."""

    def next(self, now_ms: int, uncommitted_ms: int | None) -> Append | None:
        """Returns the next record of a round; None if none is due, or if it is complete."""
        if self.claim_due is not None:
            return None
        if self._round is None:
            self._round, self._began_ms = self._claims.due(now_ms, self._quarter_ms), now_ms
        if self._round is None:
            return None
        # What is said now is later than what is due, or it would be due for ever.
        at_ms = max(now_ms, self._round.said_ms + 1, self._began_ms + 1)
        body = restatement(self._state, self._round.said_ms, at_ms, uncommitted_ms, began_ms=self._began_ms)
        if body is not None:
            return Append(Kind.OUTCOME_RESTATED if isinstance(body, Restated) else Kind.LIMITS_RESTATED, at_ms, body)
        self.claim_due = self._round.floor
        return None

    def claimed(self) -> None:
        """The claim was repeated with the floor that was due."""
        self._round = self.claim_due = None

    def due_ms(self, now_ms: int) -> int:
        """Returns when the next round is due, milliseconds since the epoch."""
        return self._claims.due_ms(now_ms, self._quarter_ms)
