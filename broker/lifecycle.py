"""The life of a message as a table: which status may follow which. Documents and the auditor are tested against it."""

from collections.abc import Mapping

from schemas.reasons import MESSAGE_REASONS, Reason, State, status_of

Status = State | Reason

DECIDED_REFUSALS = frozenset(reason for reason in MESSAGE_REASONS if reason < Reason.UNREACHABLE) | {
    Reason.RECIPIENT_OPTED_OUT,
    Reason.CRASHED_WORKER,
}
"""What deliver may decide without asking the gateway."""

ANSWERED_REFUSALS = frozenset(reason for reason in MESSAGE_REASONS if reason < Reason.FAILED)
"""What may follow a hand-off: the gateway's refusals, and decisions taken back before the frame left (withheld)."""

MOVES: Mapping[State, frozenset[Status]] = {
    State.PENDING: frozenset({State.SEND, State.WAITING}) | DECIDED_REFUSALS,
    State.WAITING: frozenset({State.SEND, State.WAITING}) | DECIDED_REFUSALS,
    State.SEND: frozenset({State.ACCEPTED, State.WAITING, State.IN_DOUBT}) | ANSWERED_REFUSALS,
    State.ACCEPTED: frozenset({Reason.FAILED, Reason.UNKNOWN}),
    State.IN_DOUBT: frozenset({Reason.FAILED, Reason.UNKNOWN}),
}
"""Moves that journals may record. Receipts add delivered and read, which are a lattice and not moves (broker/settle)."""

UNFINISHED = frozenset({State.PENDING, State.SEND, State.WAITING})
"""Deliver still owes these something."""

_UNFINISHED_BYTES = tuple(bytes((state,)) for state in sorted(UNFINISHED))


def may_follow(before: int, after: int) -> bool:
    """Whether the status byte ``after`` may follow ``before``."""
    state = status_of(before)
    return isinstance(state, State) and status_of(after) in MOVES[state]


def unfinished(statuses: bytes | bytearray) -> int:
    """How many status bytes of a column are not final for deliver."""
    return sum(statuses.count(byte) for byte in _UNFINISHED_BYTES)


def is_unfinished(status: int) -> bool:
    """Whether deliver still owes something to a message of this status."""
    return status <= State.WAITING
