"""The life of a message as a table: which status may follow which. Deliver's fold executes it.

Deliver refuses what the table does not have, before it appends and in its fold (``deliver/moves.py``); the auditor holds every
journal against a copy of its own (``audit/journal_rules.py``). Settle sees no order, so no moves (``settle/message_state.py``).
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from schemas.reasons import MESSAGE_REASONS, Reason, State, status_of

Status = State | Reason

DECIDED_REFUSALS = frozenset(reason for reason in MESSAGE_REASONS if reason < Reason.UNREACHABLE) | {
    Reason.RECIPIENT_OPTED_OUT,
    Reason.CRASHED_WORKER,
}
"""Reasons that deliver may decide without asking the gateway."""

ANSWERED_REFUSALS = frozenset(reason for reason in MESSAGE_REASONS if reason < Reason.FAILED)
"""Reasons that may follow a hand-off: the gateway's refusals, and decisions taken back before the frame left (withheld)."""

MOVES: Mapping[State, frozenset[Status]] = {
    State.PENDING: frozenset({State.SENDING, State.WAITING}) | DECIDED_REFUSALS,
    State.WAITING: frozenset({State.SENDING, State.WAITING}) | DECIDED_REFUSALS,
    State.SENDING: frozenset({State.ACCEPTED, State.WAITING, State.IN_DOUBT}) | ANSWERED_REFUSALS,
    State.ACCEPTED: frozenset({Reason.FAILED, Reason.UNKNOWN}),
    State.IN_DOUBT: frozenset({Reason.FAILED, Reason.UNKNOWN}),
}
"""Journals record the moves of the first three; receipts and the end of the settle window make those of the others, and add
delivered and read, which are a lattice and not moves (broker/settle)."""

DECIDABLE = frozenset({State.PENDING, State.WAITING})
"""States that a decision may be about. A message that was decided to be sent may only be answered."""

UNFINISHED = DECIDABLE | {State.SENDING}
"""Deliver still owes these something, and its journal may move them."""

_UNFINISHED_BYTES = tuple(bytes((state,)) for state in sorted(UNFINISHED))
_FEW: Final = 32
"""Up to so many cells plain Python is quicker than numpy, which costs microseconds a call."""


def may_follow(before: int, after: int) -> bool:
    """Returns whether the status byte ``after`` may follow ``before``."""
    state = status_of(before)
    return isinstance(state, State) and status_of(after) in MOVES[state]


def _decisions() -> bytes:
    """Returns a flag for each two bytes: whether a decision may move a rank from the first to the second."""
    flags = bytearray(256 * 256)
    for before in DECIDABLE:
        for after in (*State, *MESSAGE_REASONS):
            flags[256 * before + after] = may_follow(before, after)
    return bytes(flags)


_DECISIONS: Final = _decisions()
_DECISION_CELLS: Final = np.frombuffer(_DECISIONS, dtype=np.bool_)


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


def unfinished(statuses: bytes | bytearray) -> int:
    """Returns how many status bytes of a column are not final for deliver."""
    return sum(statuses.count(byte) for byte in _UNFINISHED_BYTES)


def is_unfinished(status: int) -> bool:
    """Returns whether deliver still owes something to a message of this status."""
    return status <= State.WAITING
