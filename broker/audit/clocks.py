"""Estimates how far the gateway's clock was off, from the journal alone: an answer lies between its decision and its record.

The gateway writes a frame's time by its own clock (``Answered.gateway_ms``). By Kafka's the frame came after the record that
decided it and before the record that answers it, so each answer bounds the difference from both sides; answers of half a second
are joined, and half-seconds that agree make a *spell*. A clock that is set begins a new spell.

The log is one file in the order of what happened, so its lines are dated in that order: each is of the spell of the line before
or of a later one, and one that bears an earlier time than the line before it shows that the clock was set back there. A spell
reaches from the last answer of the spell before it to the first of the next; a line that two may hold spans both.

A difference is believed if three records of one spell agree on it: a single answer that contradicts the rest is a violation to
be found, and no clock. What is smaller than ``tolerance_ms`` counts as none.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

SLICE_MS: Final = 500
"""Answers of one slice are joined; a step of the clock within it is dated to its end."""
AGREE: Final = 3
"""So many answers must agree on a difference."""


class Moment(NamedTuple):
    """A time of the gateway's log by Kafka's clock. Without a difference all three are what the gateway wrote."""

    earliest_ms: int
    """Earliest time that it can have been, milliseconds since the epoch."""
    likely_ms: int
    """Middle of what is possible, milliseconds since the epoch."""
    latest_ms: int
    """Latest time that it can have been, milliseconds since the epoch."""


class _Spell(msgspec.Struct, eq=False):
    """A time in which the difference (gateway less Kafka) was the same: at least ``low_ms``, at most ``high_ms``."""

    from_ms: int
    """Of its first answer, by Kafka's clock."""
    to_ms: int
    """Of its last answer."""
    low_ms: int
    """Least that the gateway's clock was ahead of Kafka's, milliseconds; negative: behind."""
    high_ms: int
    """Most that it was ahead, milliseconds."""
    answers: int

    @property
    def right(self) -> bool:
        """Returns whether the clock may have been right."""
        return self.low_ms <= 0 <= self.high_ms

    def moment(self, at_ms: int) -> Moment:
        """A time that the gateway wrote in this spell."""
        if self.right:
            return Moment(at_ms, at_ms, at_ms)
        middle_ms = (self.low_ms + self.high_ms) // 2
        return Moment(at_ms - self.high_ms, at_ms - middle_ms, at_ms - self.low_ms)


class GatewayClock:
    """The clock of one lane's listener. First :meth:`heard` for all answers, then :meth:`moment` in the order of its log."""

    def __init__(self, tolerance_ms: int) -> None:
        self._tolerance_ms = tolerance_ms
        self._slices: dict[int, _Spell] = {}
        self._spells: list[_Spell] | None = None
        self._at = 0
        """The spell in which the log is now."""
        self._now_ms = 0
        """The likely time of the line before."""
        self._line_ms = 0
        """The time that the last line bore, by the gateway's clock, milliseconds."""

    def heard(self, gateway_ms: int, decided_ms: int, answered_ms: int) -> None:
        """An answer that the gateway dates ``gateway_ms``, and the log times of the records before and after it."""
        low_ms = gateway_ms - answered_ms - self._tolerance_ms
        high_ms = gateway_ms - decided_ms + self._tolerance_ms
        slice_of = answered_ms // SLICE_MS
        known = self._slices.get(slice_of)
        if known is None:
            self._slices[slice_of] = _Spell(answered_ms, answered_ms, low_ms, high_ms, 1)
            return
        known.from_ms, known.to_ms = min(known.from_ms, answered_ms), max(known.to_ms, answered_ms)
        known.low_ms, known.high_ms = max(known.low_ms, low_ms), min(known.high_ms, high_ms)
        known.answers += 1

    def moment(self, at_ms: int) -> Moment:
        """Date the next line of the log, which bears ``at_ms``, by Kafka's clock."""
        spells = self._believed()
        set_back = at_ms < self._line_ms - SLICE_MS
        self._line_ms = at_ms
        first = min(self._at + set_back, len(spells) - 1)
        # The clock was set somewhere between two answers, so a line there may belong to either spell: it is dated by both, for
        # a time that is off by the whole difference would make a violation of an ordinary hand-off.
        within = [place for place in range(first, len(spells)) if self._reaches(place, at_ms)]
        if not within:
            return self._between(at_ms)
        moments = [spells[place].moment(at_ms) for place in within]
        likely_ms = min(one.likely_ms for one in moments)
        self._at, self._now_ms = within[0], max(self._now_ms, likely_ms)
        earliest_ms, latest_ms = min(one.earliest_ms for one in moments), max(one.latest_ms for one in moments)
        return Moment(earliest_ms, likely_ms, latest_ms)

    def _reaches(self, place: int, at_ms: int) -> bool:
        """Returns whether the spell at ``place`` may hold the next line: after the last and between its neighbours' answers."""
        spells = self._believed()
        likely_ms = spells[place].moment(at_ms).likely_ms
        begins_ms = spells[place - 1].to_ms if place else likely_ms
        ends_ms = spells[place + 1].from_ms if place + 1 < len(spells) else likely_ms
        return max(self._now_ms, begins_ms) - SLICE_MS <= likely_ms <= ends_ms + SLICE_MS

    def _between(self, at_ms: int) -> Moment:
        """Date a line that is within the answers of no spell, by the spell before it and the one behind it."""
        moments = [spell.moment(at_ms) for spell in self._believed()[self._at : self._at + 2]]
        likely = [one for one in moments if one.likely_ms >= self._now_ms - SLICE_MS] or moments
        earliest_ms, latest_ms = min(one.earliest_ms for one in likely), max(one.latest_ms for one in likely)
        return Moment(earliest_ms, min(one.likely_ms for one in likely), latest_ms)

    @property
    def worst_ms(self) -> int:
        """The greatest difference that was believed, ahead or behind."""
        off = (0 if spell.right else abs(spell.low_ms + spell.high_ms) // 2 for spell in self._believed())
        return max(off, default=0)

    def _believed(self) -> list[_Spell]:
        if self._spells is None:
            self._spells = [spell for spell in self._joined() if spell.right or spell.answers >= AGREE]
            self._spells = self._spells or [_Spell(0, 0, 0, 0, 0)]
        return self._spells

    def _joined(self) -> Iterator[_Spell]:
        """Slices in their order, those that agree as one; a slice in which the clock was set says nothing."""
        spell: _Spell | None = None
        for _, one in sorted(self._slices.items()):
            if one.low_ms > one.high_ms:
                continue
            if spell is None:
                spell = one
                continue
            low_ms, high_ms = max(spell.low_ms, one.low_ms), min(spell.high_ms, one.high_ms)
            if low_ms <= high_ms:
                spell.low_ms, spell.high_ms, spell.answers = low_ms, high_ms, spell.answers + one.answers
                spell.to_ms = one.to_ms
            else:
                yield spell
                spell = one
        if spell is not None:
            yield spell
