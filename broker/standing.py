"""Folds one lane's words of control into whether a request may go on.

A register for each (scope, business, target) holds the latest of ``pause`` and ``resume`` by (evidence time, action), and the
latest ``cancel``. Both only grow, so order and repetition change nothing (PROTOCOL.md section 3.1). A cancelled request stays
cancelled. A cancelled subject ends the requests whose ``time`` is not later than the word: what happened after it may be told.
"""

from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from broker.heartbeat import is_heartbeat
from schemas.facts import ControlAction, ControlScope, ControlWord
from schemas.ids import name_of
from schemas.plan_journal import Terms

_NOBODY_MS: Final = -1
"""Before every moment."""


Place: TypeAlias = tuple[ControlScope, str, str | bytes | None]
"""Scope, business and target. A request without a subject has None for one, and no word is about that."""


class Standing(Enum):
    """Says what control makes of a request."""

    OPEN = "open"
    """It may go on."""
    HELD = "held"
    """Nothing of it is handed off until it is resumed."""
    CANCELLED = "cancelled"
    """Everything that was not handed off ends."""


class Ruling(NamedTuple):
    """Says what stands about a request, and up to which word."""

    standing: Standing
    upto: int
    """Offset in ``controls`` of the last word that concerns the request, -1 for none: rises with every change of standing."""


_UNCONCERNED: Final = Ruling(Standing.OPEN, -1)


class _Register:
    """Holds what was said about one target."""

    __slots__ = ("cancelled_ms", "latest", "upto")

    def __init__(self) -> None:
        self.latest = (_NOBODY_MS, int(ControlAction.RESUME))
        self.cancelled_ms = _NOBODY_MS
        self.upto = -1

    def join(self, word: ControlWord, offset: int) -> None:
        self.upto = max(self.upto, offset)
        self.latest = max(self.latest, (word.evidence_ms, word.action))
        if word.action == ControlAction.CANCEL:
            self.cancelled_ms = max(self.cancelled_ms, word.evidence_ms)

    def ends(self, scope: ControlScope, time_ms: int) -> bool:
        """Returns whether a request of this ``time`` is cancelled by it."""
        said = self.cancelled_ms > _NOBODY_MS
        return said and (scope is ControlScope.REQUEST or time_ms <= self.cancelled_ms)

    @property
    def holds(self) -> bool:
        return self.latest[1] == ControlAction.PAUSE


class Controls:
    """Holds the words of one lane. ``upto`` is the offset of the last word applied, of whatever lane; -1 before any."""

    __slots__ = ("_registers", "upto")

    def __init__(self) -> None:
        self._registers: dict[Place, _Register] = {}
        self.upto = -1

    def apply(self, word: ControlWord, offset: int) -> None:
        """Join a word of this lane that stands at ``offset`` in ``controls``.

        Raises ``ValueError`` for a scope or an action that this release does not know, and then changes nothing.
        """
        place = place_of(word)
        ControlAction(word.action)
        self.upto = max(self.upto, offset)
        self._registers.setdefault(place, _Register()).join(word, offset)

    def ruling(self, request: bytes, terms: Terms) -> Ruling:
        """Returns what stands about a request. Heartbeats go on whatever is paused: they tell that Fanfare lives."""
        if not self._registers or is_heartbeat(terms.business):
            return _UNCONCERNED
        upto, held, cancelled = -1, False, False
        for place in places(request, terms):
            register = self._registers.get(place)
            if register is not None:
                upto = max(upto, register.upto)
                held = held or register.holds
                cancelled = cancelled or register.ends(place[0], terms.time_ms)
        standing = Standing.CANCELLED if cancelled else Standing.HELD if held else Standing.OPEN
        return Ruling(standing, upto)


def place_of(word: ControlWord) -> Place:
    """Returns what a word is about. A request is looked up by the bytes of its name, which every item has at hand."""
    scope = ControlScope(word.scope)
    return scope, word.business, name_of(word.target) if scope is ControlScope.REQUEST else word.target


def places(request: bytes, terms: Terms) -> tuple[Place, ...]:
    """Returns everything whose words concern a request."""
    return (
        (ControlScope.REQUEST, terms.business, request),
        (ControlScope.SUBJECT, terms.business, terms.entity or None),
        (ControlScope.BUSINESS, "", terms.business),
        (ControlScope.SENDER, "", terms.sender),
        (ControlScope.TEMPLATE, "", terms.template),
        (ControlScope.LANE, "", ""),
    )
