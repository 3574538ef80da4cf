"""What people forbade, as a join over the log ``suppressions``: one register for each (person, business, scope).

A register holds the word with the latest *evidence time*, capped at the time it was received so that a wrong clock cannot
forbid or allow ahead; a revocation wins a tie. So the order and the repetition of records change nothing, and an old opt-in
that arrives late cannot undo a STOP (PROTOCOL.md section 1.3, 16; evidence: 47 CFR 64.1200(a)(10), GDPR art. 7(3)).

Registers are independent: a restoration lifts its own scope only. Who unblocks a sender has not taken back a STOP.
"""

from typing import Final

from schemas.facts import Scope, Suppression
from schemas.names import Lane
from schemas.reasons import Reason

EVERY_BUSINESS: Final = "*"
"""The business of a suppression that holds against everybody."""

_SCOPES: Final = {scope.value: scope - 1 for scope in Scope}
_NOTHING: Final = (0,) * len(Scope)
_STRONGEST_FIRST: Final = (
    (Scope.BLOCK, Reason.BLOCKED),
    (Scope.ALL, Reason.STOPPED_ALL),
    (Scope.MARKETING, Reason.STOPPED),
    (Scope.OFFERS, Reason.RECIPIENT_OPTED_OUT),
)

Registers = tuple[int, ...]
"""A stamp for each scope: twice the evidence time, plus one if it forbids. The greater stamp wins."""


class Consent:
    """The suppressions of one shard's people."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, dict[bytes, Registers]] = {}

    def apply(self, suppression: Suppression) -> None:
        """Fold one suppression; ``ValueError`` for a scope that this release does not know."""
        at, stamp = _register(suppression)
        people = self._held.setdefault(suppression.business, {})
        registers = people.get(suppression.recipient, _NOTHING)
        if stamp > registers[at]:
            people[suppression.recipient] = (*registers[:at], stamp, *registers[at + 1 :])

    def holds(self, suppression: Suppression) -> bool:
        """Whether folding it would change nothing."""
        at, stamp = _register(suppression)
        return stamp <= self._registers(suppression.business, suppression.recipient)[at]

    def concerns(self, business: str) -> bool:
        """Whether anything at all is held about ``business`` or about every one. If not, every verdict is None."""
        return business in self._held or EVERY_BUSINESS in self._held

    def verdict(self, recipient: bytes, business: str, *, lane: Lane, listed: bool) -> Reason | None:
        """What forbids a message of ``business`` to ``recipient``, the strongest first; None if nothing does.

        A block stops everything, a stop of everything all but one-time codes, a plain stop the campaign lane and messages
        to a list (``listed``) of any lane, a stop of offers the campaign lane.
        """
        own = self._registers(business, recipient)
        common = self._registers(EVERY_BUSINESS, recipient)
        if own is common:
            return None
        for scope, reason in _STRONGEST_FIRST:
            at = scope - 1
            if (own[at] | common[at]) & 1 and _reaches(scope, lane, listed=listed):
                return reason
        return None

    def _registers(self, business: str, recipient: bytes) -> Registers:
        people = self._held.get(business)
        return _NOTHING if people is None else people.get(recipient, _NOTHING)


def _register(suppression: Suppression) -> tuple[int, int]:
    """Which register a suppression is about, and its stamp."""
    at = _SCOPES.get(suppression.scope)
    if at is None:
        raise ValueError(f"a suppression of an unknown scope: {suppression.scope}")
    return at, 2 * min(suppression.evidence_ms, suppression.received_ms) + suppression.revoke


def _reaches(scope: Scope, lane: Lane, *, listed: bool) -> bool:
    match scope:
        case Scope.BLOCK:
            return True
        case Scope.ALL:
            return lane is not Lane.OTP
        case Scope.MARKETING:
            return listed or lane is Lane.CAMPAIGN
        case Scope.OFFERS:
            return lane is Lane.CAMPAIGN
