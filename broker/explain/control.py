"""Tells words of control in a story: who paused, resumed or cancelled the request, or something that it belongs to."""

from collections.abc import Iterator
from typing import Final

from broker.explain.entry import Line
from broker.standing import place_of, places
from schemas.facts import ControlAction, ControlScope, ControlWord
from schemas.ids import Lane
from schemas.plan_journal import Terms
from schemas.wire.header import Header

_DONE: Final = {ControlAction.PAUSE: "paused", ControlAction.RESUME: "resumed", ControlAction.CANCEL: "cancelled"}


def control_lines(
    request: bytes, lane: Lane, terms: Terms, said: tuple[Header, ControlWord], place: str
) -> Iterator[Line]:
    """Yields what a record of ``controls`` says about the request."""
    header, word = said
    scope = ControlScope(word.scope)
    if header.lane is not lane or place_of(word) not in places(request, terms):
        return
    what = scope.word if scope in {ControlScope.REQUEST, ControlScope.LANE} else f"{scope.word} {word.target}"
    yield Line(word.received_ms, "control", f"the {what} is {_DONE[ControlAction(word.action)]}, by {word.by}", place)
