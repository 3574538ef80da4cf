"""Folds ``controls`` a second time: what businesses and operators said about who may go on, at any time of the log.

Words are few, so those that concern a request are kept whole with it and judged again for each question. Of two words about the
same target the later stands, and whoever forbids wins the same moment; a cancelled request never comes back (PROTOCOL.md
section 3.1).
"""

from collections import defaultdict
from typing import Final, NamedTuple

from schemas.facts import ControlAction, ControlScope, ControlWord
from schemas.ids import Lane, text_of
from schemas.plan_journal import Terms

_OPERATORS: Final = ""


class Word(NamedTuple):
    """Holds one word that concerns a request."""

    at_ms: int
    """Log time: when it was acknowledged."""
    target: tuple[int, str, str]
    action: int
    evidence_ms: int
    """Time of the event that says it, milliseconds since the epoch; of two about one target the later stands."""


Words = tuple[Word, ...]


class ControlLog:
    """Holds the words of all lanes."""

    __slots__ = ("_said", "authors")

    def __init__(self) -> None:
        self._said: dict[Lane, dict[tuple[int, str, str], list[Word]]] = defaultdict(lambda: defaultdict(list))
        self.authors: set[str] = set()
        """Events (``source id``) and operators whose words stand in the log."""

    def add(self, lane: Lane, at_ms: int, entry: ControlWord) -> None:
        """Takes the next word of the log."""
        target = (entry.scope, entry.business, entry.target)
        self._said[lane][target].append(Word(at_ms, target, entry.action, entry.evidence_ms))
        self.authors.add(entry.by)

    def concerning(self, lane: Lane, name: bytes, terms: Terms) -> Words:
        """Returns all words about a request and whatever it belongs to."""
        said = self._said.get(lane)
        if not said:
            return ()
        targets = (
            (ControlScope.REQUEST, terms.business, text_of(name)),
            (ControlScope.SUBJECT, terms.business, terms.entity),
            (ControlScope.BUSINESS, _OPERATORS, terms.business),
            (ControlScope.SENDER, _OPERATORS, terms.sender),
            (ControlScope.TEMPLATE, _OPERATORS, terms.template),
            (ControlScope.LANE, _OPERATORS, ""),
        )
        places = [(int(scope), business, target) for scope, business, target in targets]
        return tuple(
            word for place in places if place[0] != ControlScope.SUBJECT or place[2] for word in said.get(place, ())
        )


def forbidden_between(words: Words, time_ms: int, from_ms: int, until_ms: int) -> str:
    """Returns what these words forbade a request from one moment to another without a break, as of the end; empty if nothing."""
    moments = [from_ms, *(word.at_ms for word in words if from_ms < word.at_ms < until_ms), until_ms]
    verdicts = [forbids(tuple(word for word in words if word.at_ms <= moment), time_ms) for moment in moments]
    return verdicts[-1] if all(verdicts) else ""


def cancelled(words: Words, time_ms: int) -> bool:
    """Returns whether these words end a request of that event time."""
    return any(
        word.action == ControlAction.CANCEL and (word.target[0] == ControlScope.REQUEST or time_ms <= word.evidence_ms)
        for word in words
    )


def forbids(words: Words, time_ms: int) -> str:
    """Returns what these words together forbid a request of that event time: ``cancelled``, ``paused``; empty if nothing."""
    if cancelled(words, time_ms):
        return "cancelled"
    newest: dict[tuple[int, str, str], tuple[int, int]] = {}
    for word in words:
        newest[word.target] = max(newest.get(word.target, (0, 0)), (word.evidence_ms, word.action))
    return "paused" if any(action == ControlAction.PAUSE for _, action in newest.values()) else ""
