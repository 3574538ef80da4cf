"""Tells an operator's dead letters apart: which are wanted, how often a record was tried, and what its next attempt carries.

A letter is named by its place on ``dead-letters``, ``partition@offset``. What is sent again says so in two headers, which mean
nothing to plan; the log of requests itself is therefore the memory of what was sent again, and nothing else has to be kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from broker.plan.decode import ORIGIN_HEADER, PlanInput, reserved_header
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


ATTEMPT_HEADER: Final = "redrive-attempt"
"""Which attempt at the record this is: 2 for the first redrive."""
FIRST_PLACE_HEADER: Final = "redrive-origin"
"""``topic[partition]@offset`` of the record that its producer published."""
MAX_ATTEMPTS: Final = 5
"""The brake: a record that was refused so often needs a person, not another attempt."""

_Headers = tuple[tuple[str, bytes], ...]


class Attempt(NamedTuple):
    """The record's first place, and how many attempts at it there have been with this one."""

    first: str
    number: int


def attempt_of(place: str, headers: _Headers) -> Attempt:
    """Returns what a record at ``place`` says about its attempts; one that says nothing sound is the first at its own place."""
    held = {name.lower(): value for name, value in headers}
    number = held.get(ATTEMPT_HEADER, b"")
    first = held.get(FIRST_PLACE_HEADER, b"")
    if not number.isdigit() or len(number) > 4 or not first:
        return Attempt(place, 1)
    return Attempt(first.decode("utf-8", "replace"), int(number))


def next_headers(given: PlanInput, attempt: Attempt) -> _Headers:
    """The headers of the next attempt: the producer's, and ours. What plan wrote to move the record is left out."""
    moved = reserved_header(given) is None
    ours = {ATTEMPT_HEADER, FIRST_PLACE_HEADER} | ({ORIGIN_HEADER} if moved else set())
    kept = tuple((name, value) for name, value in given.headers if name.lower() not in ours)
    return (*kept, (ATTEMPT_HEADER, b"%d" % (attempt.number + 1)), (FIRST_PLACE_HEADER, attempt.first.encode()))
