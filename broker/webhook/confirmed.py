"""Remembers which stops were confirmed to whom, so that a person who says STOP twice is told once. Values only, in memory.

A second stop says nothing new unless it reaches further than the first: another list, or everything. Who said START in
between is told anew, and so is everybody after a day. It is forgotten with the process: then one more goes out.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from broker.confirmation import Confirmation
from schemas.facts import Scope
from schemas.topics import DAY_MS

KEPT: Final = 100_000
"""People: about 30 MB. Of more than so many a day the oldest are forgotten."""

Person = tuple[str, bytes]
"""A business and a recipient."""


class Lifted(NamedTuple):
    """A person has taken stops of a business back."""

    business: str
    recipient: bytes
    at_ms: int
    """When they did, milliseconds since the epoch."""


class _Told(NamedTuple):
    """Holds the last confirmation to a person: by which reply, how far the stops reach, and about which lists."""

    at_ms: int
    """When it was asked for, milliseconds since the epoch."""
    replies: frozenset[str]
    scope: Scope
    lists: frozenset[str]


class Confirmed:
    """The stops that were confirmed within a day."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._told: dict[Person, _Told] = {}
        """Those who were silent longest first."""

    def news(self, confirmations: Iterable[Confirmation], lifted: Iterable[Lifted]) -> Iterator[Confirmation]:
        """Yields those that tell somebody something new, and remembers them; a repeated reply is asked for again.

        A batch is repeated if it was not answered, and plan knows what was asked for by its name.
        """
        words: list[Confirmation | Lifted] = [*confirmations, *lifted]
        for word in sorted(words, key=lambda each: each.at_ms):
            person = word.business, word.recipient
            if isinstance(word, Lifted):
                told = self._told.get(person)
                if told is not None and told.at_ms <= word.at_ms:
                    del self._told[person]
            elif self._is_news(person, word):
                yield word

    def _is_news(self, person: Person, word: Confirmation) -> bool:
        told = self._told.pop(person, None)
        if told is not None and word.at_ms - told.at_ms < DAY_MS:
            known = word.reply not in told.replies and _covers(told, word)
            self._told[person] = told if known else _joined(told, word)
            return not known
        self._told[person] = _Told(word.at_ms, frozenset((word.reply,)), word.scope, frozenset((word.list,)))
        while len(self._told) > self._kept:
            del self._told[next(iter(self._told))]
        return True


def _covers(told: _Told, word: Confirmation) -> bool:
    """Returns True if who was told the one learns nothing by the other."""
    return told.scope is Scope.ALL or (told.scope is word.scope and (not word.list or word.list in told.lists))


def _joined(told: _Told, word: Confirmation) -> _Told:
    scope = Scope.ALL if Scope.ALL in (told.scope, word.scope) else word.scope
    return _Told(told.at_ms, told.replies | {word.reply}, scope, told.lists | {word.list})
