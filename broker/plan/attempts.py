"""Attempts at a record that was refused: how many there have been, where the first one stands, and what the next one carries."""

from typing import Final, NamedTuple

from broker.plan.decode import ORIGIN_HEADER, PlanInput, reserved_header

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
