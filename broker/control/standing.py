"""Whether a request may go on: the fold of one lane's words of control.

A register for each (scope, business, target) holds the latest of ``pause`` and ``resume`` by (evidence time, action), and the
latest ``cancel``. Both only grow, so order and repetition change nothing (PROTOCOL.md section 3.1). A cancelled request stays
cancelled. A cancelled subject ends the requests whose ``time`` is not later than the word: what happened after it may be told.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from broker.heartbeat import is_heartbeat
from schemas.controls import ControlAction, ControlScope, ControlWord
from schemas.names import text_of
from schemas.planned import Terms

_NOBODY_MS: Final = -1
"""Before every moment."""


class Standing(Enum):
    """What control says about a request."""

    OPEN = "open"
    """It may go on."""
    HELD = "held"
    """Nothing of it is handed off until it is resumed."""
    CANCELLED = "cancelled"
    """What was not handed off ends."""


class Ruling(NamedTuple):
    """A standing, and how much was said up to it."""

    standing: Standing
    upto: int
    """Offset in ``controls`` of the last word that concerns the request, -1 for none: rises with every change of standing."""


_UNCONCERNED: Final = Ruling(Standing.OPEN, -1)


class _Register:
    """What was said about one target."""

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
        """Whether a request of this ``time`` is cancelled by it."""
        said = self.cancelled_ms > _NOBODY_MS
        return said and (scope is ControlScope.REQUEST or time_ms <= self.cancelled_ms)

    @property
    def holds(self) -> bool:
        return self.latest[1] == ControlAction.PAUSE


class Controls:
    """The words of one lane. ``upto`` is the offset of the last word applied, of whatever lane; -1 before any."""

    __slots__ = ("_registers", "upto")

    def __init__(self) -> None:
        self._registers: dict[tuple[ControlScope, str, str], _Register] = {}
        self.upto = -1

    def apply(self, word: ControlWord, offset: int) -> None:
        """Join a word of this lane that stands at ``offset`` in ``controls``."""
        self.upto = max(self.upto, offset)
        place = (ControlScope(word.scope), word.business, word.target)
        self._registers.setdefault(place, _Register()).join(word, offset)

    def ruling(self, request: bytes, terms: Terms) -> Ruling:
        """What stands about a request. Heartbeats go on whatever is paused: they reach nobody, and tell that Fanfare lives."""
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

    def words(self) -> Iterator[tuple[ControlScope, str, str, ControlAction]]:
        """What stands about each target that was ever spoken of: scope, business, target and the latest action."""
        for (scope, business, target), register in self._registers.items():
            yield scope, business, target, ControlAction(register.latest[1])


def places(request: bytes, terms: Terms) -> Iterator[tuple[ControlScope, str, str]]:
    """The targets whose words concern a request."""
    yield ControlScope.REQUEST, terms.business, text_of(request)
    if terms.entity:
        yield ControlScope.SUBJECT, terms.business, terms.entity
    yield ControlScope.BUSINESS, "", terms.business
    yield ControlScope.SENDER, "", terms.sender
    yield ControlScope.TEMPLATE, "", terms.template
    yield ControlScope.LANE, "", ""
