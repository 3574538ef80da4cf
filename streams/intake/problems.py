"""Answers requests that intake does not take: ``application/problem+json`` (RFC 9457) that tells everything at once.

Sentences name fields and positions, never what they hold, as those of plan do.
"""

from collections.abc import Iterable
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import msgspec

from schemas.reasons import Fault, Reason
from streams.runtime.untyped_json import json_bytes

CONTENT_TYPE: Final = "application/problem+json"


class Outcome(StrEnum):
    """Names the ways in which a request can end; the label of its metrics."""

    ACCEPTED = "accepted"
    INVALID = "invalid"
    NO_KEY = "no_key"
    NOT_YOURS = "not_yours"
    NOT_FOUND = "not_found"
    WRONG_METHOD = "wrong_method"
    TOO_SLOW = "too_slow"
    GONE = "gone"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    TOO_MANY = "too_many"
    KAFKA_AWAY = "kafka_away"
    FAILED = "failed"


STATUS: Final = {
    Outcome.ACCEPTED: HTTPStatus.ACCEPTED,
    Outcome.INVALID: HTTPStatus.BAD_REQUEST,
    Outcome.NO_KEY: HTTPStatus.UNAUTHORIZED,
    Outcome.NOT_YOURS: HTTPStatus.FORBIDDEN,
    Outcome.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Outcome.WRONG_METHOD: HTTPStatus.METHOD_NOT_ALLOWED,
    Outcome.TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    Outcome.GONE: HTTPStatus.BAD_REQUEST,
    Outcome.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Outcome.UNSUPPORTED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Outcome.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS,
    Outcome.KAFKA_AWAY: HTTPStatus.SERVICE_UNAVAILABLE,
    Outcome.FAILED: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""HTTP status of each outcome."""

RETRY_AFTER_S: Final = {Outcome.TOO_MANY: 1, Outcome.KAFKA_AWAY: 2}
"""When the same may be sent again with success: as it is, because the same id is accepted once."""

_FOREIGN: Final = frozenset({Reason.WRONG_TENANT, Reason.UNKNOWN_BUSINESS, Reason.BUSINESS_SUSPENDED})


class Wrong(msgspec.Struct, frozen=True):
    """Describes a fault. ``place`` is a JSON pointer into the body, or names a part of the head."""

    place: str
    reason: str
    detail: str


class Problem(msgspec.Struct, frozen=True):
    """A request that is not taken, and why."""

    outcome: Outcome
    errors: tuple[Wrong, ...]

    @property
    def status(self) -> HTTPStatus:
        """The status of the answer."""
        return STATUS[self.outcome]


class RefusedError(Exception):
    """Carries a problem from where it is found to where requests are answered."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.outcome.value)
        self.problem = problem


def refusal(outcome: Outcome, place: str, reason: str, detail: str) -> Problem:
    """A problem with one error."""
    return Problem(outcome, (Wrong(place, reason, detail),))


def of_faults(found: Iterable[tuple[str, Fault]]) -> Problem:
    """The problem of events at these places of the body. Whose they are weighs more than their size, and that than their form."""
    pairs = list(found)
    reasons = {fault.reason for _, fault in pairs}
    outcome = Outcome.INVALID
    if Reason.TOO_LARGE in reasons:
        outcome = Outcome.TOO_LARGE
    if reasons & _FOREIGN:
        outcome = Outcome.NOT_YOURS
    errors = (Wrong(place + fault.place, fault.reason.word, fault.detail) for place, fault in pairs)
    return Problem(outcome, tuple(errors))


def together(problems: Iterable[Problem]) -> Problem | None:
    """Several problems of one request as one, with the outcome of the first; None if there are none."""
    held = list(problems)
    if not held:
        return None
    return Problem(held[0].outcome, tuple(wrong for problem in held for wrong in problem.errors))


def text_of(problem: Problem) -> bytes:
    """The body of the answer."""
    told = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "detail": _summary(problem),
        "errors": problem.errors,
    }
    return json_bytes(told)


def _summary(problem: Problem) -> str:
    if len(problem.errors) == 1:
        return problem.errors[0].detail
    return f"{len(problem.errors)} things are wrong; nothing was taken."
