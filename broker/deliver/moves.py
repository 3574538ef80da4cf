"""Refuses moves that the life cycle does not have (``broker/lifecycle.py``): before they are appended, and in every fold.

*Before the append* an illegal move is an error of ours and ends the process: nothing was said, the next owner decides anew, and
if it comes to the same three times the poison breaker works on the item alone.

*In a fold* it must not end anything. A valid record stands in the log for good and every owner folds it, so a fold that raised
would end each of them, and one defect, of this release or an older one, would stop the shard for ever. So a fold is total: the
rank keeps what it had, as if the move had not been said, with every reader alike; and it is counted, for an operator to see.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace

from broker.deliver.item import Item
from broker.lifecycle import DECIDABLE, MOVES, may_follow
from schemas.delivery_journal import Answered, Decided, Outcome
from schemas.ids import text_of
from schemas.reasons import MESSAGE_REASONS, State
from schemas.wire.arrays import intervals_of, runs_of
from schemas.wire.columns import i64s, of_i64s, of_u16s, of_u32s, pairs, ranks_of, u16s, u32s, values_of

_SENT: Final = bytes((State.SENDING,))
_ANSWERS: Final = bytes(MOVES[State.SENDING])
"""Statuses that an answer may give to a message that was handed off."""
_FEW: Final = 32
"""Up to so many cells plain Python is quicker than numpy, which costs microseconds a call."""


def _decisions() -> bytes:
    """Returns a flag for each two bytes: whether a decision may move a rank from the first to the second."""
    flags = bytearray(256 * 256)
    for before in DECIDABLE:
        for after in (*State, *MESSAGE_REASONS):
            flags[256 * before + after] = may_follow(before, after)
    return bytes(flags)


_DECISIONS: Final = _decisions()
_DECISION_CELLS: Final = np.frombuffer(_DECISIONS, dtype=np.bool_)


class _Row(NamedTuple):
    """Holds one rank of a decision."""

    rank: int
    status: int
    attempt: int
    market: int
    """The country calling code of what is sent; 0 for all others."""
    due_ms: int
    """When what waits is decided again, milliseconds since the epoch; 0 for all others."""


class IllegalMoveError(Exception):
    """A step would say what the life cycle does not allow."""


def legal(items: Mapping[bytes, Item], body: Outcome | None) -> Outcome | None:
    """Returns a record that is about to be appended; raises :class:`IllegalMoveError` if it holds an illegal move."""
    if body is None:
        return None
    for decided in body.decided:
        item = items.get(decided.request)
        if item is None or not item.frozen:  # opened or frozen in this record: nothing was decided before
            statuses = values_of(decided.statuses)
            fits = may_be_decided(bytes(len(statuses)), statuses)
        else:
            fits = _decisions_fit(item, decided)
        if not fits:
            raise IllegalMoveError(f"a decision about {text_of(decided.request)}")
    for answered in body.answered:
        item = items.get(answered.request)
        if item is not None and not _answers_fit(item, answered):
            raise IllegalMoveError(f"an answer about {text_of(answered.request)}")
    return body


def legal_decisions(item: Item, section: Decided) -> tuple[Decided, int]:
    """Returns the part of ``section`` that may be folded into ``item``, all of it as a rule, and how many moves are left out."""
    if _decisions_fit(item, section):
        return section, 0
    rows = list(_rows_of(section))
    kept = [row for row in rows if _decision_fits(item.statuses[row.rank : row.rank + 1], bytes((row.status,)))]
    part = replace(
        section,
        ranks=intervals_of([row.rank for row in kept]),
        statuses=runs_of(bytes(row.status for row in kept)),
        attempts=runs_of(bytes(row.attempt for row in kept)),
        markets=u16s(row.market for row in kept if row.status == State.SENDING) if section.markets else b"",
        due_ms=i64s(row.due_ms for row in kept if row.status == State.WAITING),
    )
    return part, len(rows) - len(kept)


def _rows_of(section: Decided) -> Iterator[_Row]:
    markets, dues = iter(of_u16s(section.markets)), iter(of_i64s(section.due_ms))
    columns = ranks_of(section.ranks), values_of(section.statuses), values_of(section.attempts)
    for rank, status, attempt in zip(*columns, strict=True):
        market = next(markets, 0) if status == State.SENDING else 0
        yield _Row(rank, status, attempt, market, next(dues, 0) if status == State.WAITING else 0)


def legal_answers(item: Item, section: Answered) -> tuple[Answered, int]:
    """Returns the part of ``section`` that may be folded into ``item``, all of it as a rule, and how many moves are left out."""
    if _answers_fit(item, section):
        return section, 0
    codes, dues = of_u32s(section.except_codes), of_i64s(section.except_due_ms)
    excepted = dict(
        zip(of_u32s(section.except_ranks), zip(section.except_statuses, codes, dues, strict=True), strict=True)
    )
    ranks = ranks_of(section.ranks)
    sent = [rank for rank in ranks if item.statuses[rank : rank + 1] == _SENT]
    kept = [rank for rank in sent if rank not in excepted or excepted[rank][0] in _ANSWERS]
    odd = [(rank, *excepted[rank]) for rank in kept if rank in excepted]
    part = replace(
        section,
        ranks=intervals_of(kept),
        except_ranks=u32s(rank for rank, *_ in odd),
        except_statuses=bytes(status for _, status, *_ in odd),
        except_codes=u32s(code for _, _, code, _ in odd),
        except_due_ms=i64s(due for *_, due in odd),
    )
    return part, len(ranks) - len(kept)


def _decisions_fit(item: Item, section: Decided) -> bool:
    statuses, held, at = values_of(section.statuses), item.statuses, 0
    for first, count in pairs(section.ranks):
        before, after = held[first : first + count], statuses[at : at + count]
        if not _decision_fits(before, after):
            return False
        at += count
    return True


def _answers_fit(item: Item, section: Answered) -> bool:
    held = item.statuses
    if any(held.count(State.SENDING, first, first + count) != count for first, count in pairs(section.ranks)):
        return False
    return not section.except_statuses.translate(None, _ANSWERS)


def _decision_fits(before: bytes | bytearray, after: bytes) -> bool:
    return len(before) == len(after) and may_be_decided(before, after)


def may_be_decided(before: bytes | bytearray, after: bytes) -> bool:
    """Returns True if a decision may move every rank of one column to its status in the other; they are equally long.

    Columns of a campaign are 4,096 ranks that all go the same way: those cost two comparisons and one look into the table.
    """
    if not before:
        return True
    first, then = before[0], after[0]
    if before.count(first) == len(before) and after.count(then) == len(after):
        return bool(_DECISIONS[256 * first + then])
    if len(before) <= _FEW:
        return all(_DECISIONS[256 * old + new] for old, new in zip(before, after, strict=True))
    moves = np.frombuffer(before, dtype=np.uint8).astype(np.uint16) << 8 | np.frombuffer(after, dtype=np.uint8)
    return bool(_DECISION_CELLS[moves].all())
