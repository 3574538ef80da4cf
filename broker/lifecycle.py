"""The life of a message as a table: which status may follow which. Deliver's fold executes it.

Deliver refuses what the table does not have, before it appends and in its fold (``deliver/moves.py``); the auditor holds every
journal against a copy of its own (``audit/journal_rules.py``). Settle sees no order, so no moves (``settle/message_state.py``).
"""

from collections.abc import Mapping

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


def may_follow(before: int, after: int) -> bool:
    """Returns whether the status byte ``after`` may follow ``before``."""
    state = status_of(before)
    return isinstance(state, State) and status_of(after) in MOVES[state]


def unfinished(statuses: bytes | bytearray) -> int:
    """Returns how many status bytes of a column are not final for deliver."""
    return sum(statuses.count(byte) for byte in _UNFINISHED_BYTES)


def is_unfinished(status: int) -> bool:
    """Returns whether deliver still owes something to a message of this status."""
    return status <= State.WAITING
