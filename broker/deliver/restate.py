"""Restating: nothing open is ever older than half a fold, so every fold is bounded and needs no snapshot.

Every quarter of F the owner re-appends what was last said whole before its previous claim: open items, closed names, newest
versions, and the pair limits in force (PROTOCOL.md section 1.2, 5; ``broker/journal.py`` on the floor). A closed name is kept
until its ``keep_ms``, and while work of that time is not committed; a late duplicate would otherwise re-open it.
"""

from collections.abc import Iterable, Iterator

from broker.deliver.state import ShardState
from schemas.delivery_journal import ClosedName, LimitsRestated, Newest, OpenItem, Restated
from schemas.wire.header import RECORD_LIMIT_BYTES

_CLOSED_BYTES = 32
_NEWEST_BYTES = 40
_STAMP_BYTES = 32
_ITEM_BYTES = 600
_PART_BYTES = RECORD_LIMIT_BYTES // 2
"""One kind a record. A single larger item still fits: plan bounds a request far below the limit."""


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
    room = _PART_BYTES
    for count, entry in enumerate(entries):
        room -= weight_of(entry)
        if room < 0 and count:
            return
        yield entry


def restatement(
    state: ShardState, before_ms: int, now_ms: int, uncommitted_ms: int | None
) -> Restated | LimitsRestated | None:
    """Returns what was last said until ``before_ms`` and must be said again, as much as one record holds; None if nothing is.

    Work is written before the ``keep_ms`` of its name, so names that end before ``uncommitted_ms`` have none to come again.
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
    spent = state.stamps.stated_until(before_ms, now_ms, _PART_BYTES // _STAMP_BYTES)
    return LimitsRestated(spent) if spent else None
