"""Folds what people forbade from the log ``suppressions``: one register for each (person, business, scope), a join.

A register holds the word with the latest *evidence time*, capped at the time it was received so that a wrong clock cannot
forbid or allow ahead; a revocation wins a tie. So the order and the repetition of records change nothing, and an old opt-in
that arrives late cannot undo a STOP (PROTOCOL.md section 1.3, 16; evidence: 47 CFR 64.1200(a)(10), GDPR art. 7(3)).

Registers are independent: a restoration lifts its own scope only. Who unblocks a sender has not taken back a STOP. A stop of
marketing or of a list is also over once the person has joined again *after* it, by an act of their own (:class:`Returns`);
that is a second join, over ``audience.changes``, and a verdict compares the two.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from schemas.facts import Scope, Suppression
from schemas.lanes import Lane
from schemas.reasons import Reason

EVERY_BUSINESS: Final = "*"
"""The business of a suppression that holds against everybody."""
EVERY_LIST: Final = ""
"""The list of a restoration that is about all of them."""

_PLAIN: Final = tuple(scope for scope in Scope if scope is not Scope.LIST)
_SCOPES: Final = {scope.value: at for at, scope in enumerate(_PLAIN)}
_NOTHING: Final = (0,) * len(_PLAIN)
_STRONGEST_FIRST: Final = (
    (Scope.BLOCK, Reason.BLOCKED),
    (Scope.ALL, Reason.STOPPED_ALL),
    (Scope.MARKETING, Reason.STOPPED),
    (Scope.OFFERS, Reason.RECIPIENT_OPTED_OUT),
)

Registers = tuple[int, ...]
"""A stamp for each scope but ``LIST``: twice the evidence time, plus one if it forbids. The greater stamp wins."""


class Returns(NamedTuple):
    """When a person last joined by an act of their own, ms since 1970; -1: never."""

    list_ms: int = -1
    """The list that a message goes to."""
    offers_ms: int = -1
    """Any list of the business, to be sent marketing."""


NEVER: Final = Returns()


def _never(_position: int) -> Returns:
    return NEVER


class Consent:
    """The suppressions of one shard's people."""

    __slots__ = ("_held", "_lists")

    def __init__(self) -> None:
        self._held: dict[str, dict[bytes, Registers]] = {}
        self._lists: dict[tuple[str, str], dict[bytes, int]] = {}
        """By (business, list): a stamp for each person who stopped it."""

    def apply(self, suppression: Suppression) -> None:
        """Folds one suppression; ``ValueError`` for a scope that this release does not know."""
        stamp, recipient = _stamp(suppression), suppression.recipient
        if suppression.scope == Scope.LIST:
            stamps = self._lists.setdefault((suppression.business, suppression.list), {})
            stamps[recipient] = max(stamp, stamps.get(recipient, 0))
            return
        at = _register(suppression)
        people = self._held.setdefault(suppression.business, {})
        registers = people.get(recipient, _NOTHING)
        if stamp > registers[at]:
            people[recipient] = (*registers[:at], stamp, *registers[at + 1 :])

    def holds(self, suppression: Suppression) -> bool:
        """Returns True if folding it would change nothing."""
        stamp, recipient = _stamp(suppression), suppression.recipient
        if suppression.scope == Scope.LIST:
            return stamp <= self._lists.get((suppression.business, suppression.list), {}).get(recipient, 0)
        return stamp <= self._registers(suppression.business, recipient)[_register(suppression)]

    def forbidden(
        self,
        recipients: Sequence[bytes],
        business: str,
        *,
        lane: Lane,
        list_id: str = "",
        returns: Callable[[int], Returns] = _never,
    ) -> dict[int, Reason]:
        """Returns the positions in ``recipients`` whom :meth:`verdict` refuses, with the reason.

        ``returns`` is asked about positions of people who ever said something, which are few.
        """
        # Few people ever forbade anything: a look into these sets is cheaper than a verdict about each.
        spoken: list[Mapping[bytes, object]] = [
            *(self._held[named] for named in (business, EVERY_BUSINESS) if named in self._held),
            *(self._lists[business, named] for named in {list_id, EVERY_LIST} if (business, named) in self._lists),
        ]
        places = {at for people in spoken for at, recipient in enumerate(recipients) if recipient in people}
        verdicts = (
            (at, self.verdict(recipients[at], business, lane=lane, list_id=list_id, returns=returns(at)))
            for at in sorted(places)
        )
        return {at: reason for at, reason in verdicts if reason is not None}

    def verdict(
        self, recipient: bytes, business: str, *, lane: Lane, list_id: str = "", returns: Returns = NEVER
    ) -> Reason | None:
        """Returns what forbids a message of ``business`` to ``recipient``, the strongest first; None if nothing does.

        A block stops everything, a stop of everything all but one-time codes, a stop of marketing or of offers the campaign
        lane, a stop of a list the messages to that list, ``list_id``. ``returns`` are later acts that take the last three back.
        """
        own = self._registers(business, recipient)
        common = self._registers(EVERY_BUSINESS, recipient)
        for scope, reason in _STRONGEST_FIRST:
            at = _SCOPES[scope]
            since_ms = returns.offers_ms if scope in (Scope.MARKETING, Scope.OFFERS) else -1
            if _reaches(scope, lane) and (_forbids(own[at], since_ms) or _forbids(common[at], since_ms)):
                return reason
        if list_id and _forbids(self._list_stamp(recipient, business, list_id), returns.list_ms):
            return Reason.STOPPED
        return None

    def _registers(self, business: str, recipient: bytes) -> Registers:
        people = self._held.get(business)
        return _NOTHING if people is None else people.get(recipient, _NOTHING)

    def _list_stamp(self, recipient: bytes, business: str, list_id: str) -> int:
        places = ((business, list_id), (business, EVERY_LIST))
        return max(self._lists.get(place, {}).get(recipient, 0) for place in places)


def _register(suppression: Suppression) -> int:
    at = _SCOPES.get(suppression.scope)
    if at is None:
        raise ValueError(f"a suppression of an unknown scope: {suppression.scope}")
    return at


def _stamp(suppression: Suppression) -> int:
    return 2 * min(suppression.evidence_ms, suppression.received_ms) + suppression.revoke


def _forbids(stamp: int, returned_ms: int) -> bool:
    """Returns True if a register forbids and nobody came back later; at the same time the stop wins."""
    return bool(stamp & 1) and stamp >> 1 >= returned_ms


def _reaches(scope: Scope, lane: Lane) -> bool:
    match scope:
        case Scope.BLOCK:
            return True
        case Scope.ALL:
            return not lane.rules.asked_for
        case Scope.MARKETING | Scope.OFFERS:
            return lane.rules.marketing
        case Scope.LIST:
            # Asked by itself in the verdict, which knows the list that a message goes to.
            return False
