"""Dead letters as an operator looks at them: which are wanted, and how often a record has been sent again.

A letter is named by its place on ``dead-letters``, ``partition@offset``. What is sent again says so in two headers, which mean
nothing to plan; the log of requests itself is therefore the memory of what was sent again, and nothing else has to be kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from schemas.status import DeadLetter

# ``FIELD=VALUE`` as commands take it: values of one field are alternatives, several fields are conditions.


def conditions_of(texts: Iterable[str], fields: Sequence[str]) -> Mapping[str, frozenset[str]]:
    """The values wanted of each field that is named; ``ValueError`` with a sentence for what is no condition."""
    found: dict[str, frozenset[str]] = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals or not value or field not in fields:
            raise ValueError(f"{text!r} is no FIELD=VALUE with one of the fields {', '.join(fields)}")
        found[field] = found.get(field, frozenset()) | {value}
    return found


FIELDS: Final = ("reason", "business", "topic", "stage")
"""Fields of a letter by which an operator can choose letters."""


class Letter(msgspec.Struct, frozen=True):
    """Holds a dead letter and where it stands on ``dead-letters``."""

    partition: int
    offset: int
    body: DeadLetter

    @property
    def place(self) -> str:
        """Its name: ``partition@offset``."""
        return f"{self.partition}@{self.offset}"

    @property
    def source(self) -> str:
        """The place of the record that it is about: ``topic[partition]@offset``."""
        return place_of(self.body.topic, self.body.partition, self.body.offset)


class Wanted(msgspec.Struct, frozen=True):
    """Which letters are asked for: field -> the values that will do; ``since_ms`` is compared with their ``at_ms``."""

    values: Mapping[str, frozenset[str]] = {}
    since_ms: int = 0
    """Earliest time at which a letter was written, milliseconds since the epoch; 0: any."""

    def __contains__(self, letter: Letter) -> bool:
        if letter.body.at_ms < self.since_ms:
            return False
        return all(getattr(letter.body, field) in held for field, held in self.values.items())


def wanted(conditions: list[str], *, since_ms: int = 0) -> Wanted:
    """``field=value`` texts as one wish: values of one field are alternatives. ``ValueError`` with a sentence."""
    return Wanted(conditions_of(conditions, FIELDS), since_ms)


def place_of(topic: str, partition: int, offset: int) -> str:
    """A record's place as text."""
    return f"{topic}[{partition}]@{offset}"
