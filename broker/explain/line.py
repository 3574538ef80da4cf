"""Defines a line of a story, and whose story it is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from broker.consequences import consequence_of
from schemas.reasons import Reason, State, status_of, word_of

_REASON_OF: Final = {reason.word: reason for reason in Reason}
_IN_DOUBT: Final = "Whether it was handed off is not known"
_RESOLVED: Final = "; a receipt or the end of the settle window says so."
_NOT_AGAIN: Final[Mapping[int, str]] = {
    Reason.EXPIRED: "it expired while the gateway did not answer",
    Reason.SUPERSEDED: "a newer version of the same fact came while the gateway did not answer",
    Reason.STOPPED: "the person stopped while the gateway did not answer",
    Reason.STOPPED_ALL: "the person stopped everything while the gateway did not answer",
    Reason.BLOCKED: "the person blocked the sender while the gateway did not answer",
    Reason.NOT_OPTED_IN: "the person left the list while the gateway did not answer",
    Reason.CANCELLED: "it was cancelled while the gateway did not answer",
}
"""Why a message that may have been handed off was not asked for again."""


class Line(msgspec.Struct, frozen=True):
    """Holds one event of a story. ``place`` is where it is recorded: ``outcomes.otp/3@17``."""

    at_ms: int
    """When it happened, milliseconds since the epoch."""
    stage: str
    text: str
    place: str
    reason: Reason | None = None
    """Why, if it was not delivered or not accepted; what to do then is :func:`next_steps`."""


class Focus(msgspec.Struct, frozen=True):
    """Selects what a story is about: a request, and one of its people if asked for."""

    request: bytes
    recipient: bytes | None = None
    shard: int = -1
    """The person's shard."""
    rank: int = -1
    """The person's rank in that shard, once it is known; -1 before, and for a story about all of them."""
    sender: str = ""
    """The number that it goes out from, once its terms are known."""

    def of(self, shard: int, ranks: Sequence[int]) -> list[int]:
        """Positions in ``ranks`` (of ``shard``) that the story is about."""
        if self.recipient is None:
            return list(range(len(ranks)))
        if shard != self.shard:
            return []
        return [position for position, rank in enumerate(ranks) if rank == self.rank]

    def concerns(self, shard: int) -> bool:
        """Returns whether anything in ``shard`` can be about it."""
        return self.recipient is None or shard == self.shard


def reason_text(reason: Reason) -> str:
    """A reason's word and what it means: ``stopped: The person told this business to stop.``."""
    return f"{reason.word}: {consequence_of(reason).sentence}"


def reason_of(word: str) -> Reason | None:
    """The reason that is called ``word`` on topics; None for a word of another release."""
    return _REASON_OF.get(word)


def next_steps(lines: Iterable[Line]) -> list[tuple[Reason, str]]:
    """Returns the advice for each reason that the lines name, in the order in which it first comes up."""
    reasons = dict.fromkeys(line.reason for line in lines if line.reason is not None)
    return [(reason, consequence_of(reason).next_step) for reason in reasons]


def reason_steps(words: Iterable[str]) -> list[tuple[Reason, str]]:
    """Returns what can be done about each reason among ``words``, in their order."""
    reasons = (reason for word in words if (reason := reason_of(word)) is not None)
    return [(reason, consequence_of(reason).next_step) for reason in reasons]


def status_text(status: int) -> str:
    """A status byte in words, with the sentence if it is a reason or needs one."""
    found = status_of(status)
    if isinstance(found, Reason):
        return reason_text(found)
    return doubt_text(0) if found is State.IN_DOUBT else word_of(status)


def doubt_text(cause: int) -> str:
    """Returns why a message is in doubt; ``cause`` is the number of the reason that forbade to ask the gateway again, or 0."""
    why = _NOT_AGAIN.get(cause)
    asked = f", and it was not asked for again: {why}" if why else ""
    return f"{word_of(State.IN_DOUBT)}: {_IN_DOUBT}{asked}{_RESOLVED}"


def status_reason(status: int) -> Reason | None:
    """The reason behind a status byte, if it is one."""
    found = status_of(status)
    return found if isinstance(found, Reason) else None


def count_text(ranks: Iterable[int]) -> str:
    """``rank 3``, ``ranks 0-9`` or ``12 ranks``, whichever says most in little."""
    listed = sorted(ranks)
    if len(listed) == 1:
        return f"rank {listed[0]}"
    if listed[-1] - listed[0] == len(listed) - 1:
        return f"ranks {listed[0]}-{listed[-1]}"
    return f"{len(listed):,} ranks"


def people_text(count: int) -> str:
    """``1 recipient``, ``3 recipients``."""
    return f"{count:,} recipient{'' if count == 1 else 's'}"
