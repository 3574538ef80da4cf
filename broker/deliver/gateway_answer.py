"""Reads a gateway's answer: what is journaled of it, whom a business must let alone from now on, and what time the gateway has.

*Journaled* is a status for each message: total, by the gateway's table of codes, with seeded back-off.

*Opt-outs* are a pure function of a journaled answer and what was open before it, by the table of consequences, so a recovering
owner finds the same; suppressions are a join, and repeating one changes nothing. Rows that were withheld carry no code of the
gateway and say nothing new.

*Its clock.* An answer's time lies between the moments at which the frame left and the answer came, so each answer bounds the
difference from both sides; the tightest bounds of the last minute count. If they allow that there is no difference, none is
assumed.
"""

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from broker.audience.members import Audience
from broker.consequences import CONSEQUENCES
from broker.deliver.frame import Batch, Part
from broker.deliver.item import Item, recipients_of
from broker.deliver.policy import CodeTable, Handling
from broker.deliver.state import Body, ShardState
from schemas.delivery_journal import Answered, Outcome
from schemas.facts import Scope, Suppression
from schemas.gateway_api import FrameAnswer, Refused
from schemas.reasons import Reason, State
from schemas.wire.arrays import intervals_of
from schemas.wire.columns import i64s, of_u32s, u32s
from schemas.wire.header import Header

_BASE_MS: Final = 500
_CAP_MS: Final = 5 * 60_000
_DOUBLINGS: Final = 10
"""Enough to reach any ceiling from half a second."""
_STALE_CEILING_MS: Final = 5_000
"""A stale frame says nothing about the message, and little about the gateway: it is stamped again soon."""


class Answer(msgspec.Struct, frozen=True):
    """Holds the new status of one rank."""

    status: int
    code: int
    due_ms: int = 0
    """When a ``WAITING`` rank is decided again, milliseconds since the epoch; 0 for all others."""


def backoff_ms(request: bytes, rank: int, attempt: int, ceiling_ms: int = _CAP_MS) -> int:
    """The wait before the next attempt: doubling from 0.5 s to ``ceiling_ms``, with jitter of a half, seeded by the name.

    Seeded, so that the same journal always leads to the same schedule and shards do not beat in step.
    """
    ceiling = min(ceiling_ms, _BASE_MS << min(attempt - 1, _DOUBLINGS))
    seed = hashlib.blake2b(request + rank.to_bytes(4) + attempt.to_bytes(1), digest_size=4).digest()
    return ceiling // 2 + int.from_bytes(seed) * (ceiling // 2) // 0xFFFFFFFF


class AnswerContext(msgspec.Struct, frozen=True):
    """Holds what an answer is read with: the time, the longest wait, and whether the gateway's clock is known better now."""

    now_ms: int
    """When the answer came, milliseconds since the epoch."""
    ceiling_ms: int
    """The lane's longest wait, milliseconds."""
    clock_learnt: bool
    """This answer told something new of the gateway's clock: a frame stamped by it now will not be stale for the same reason."""
    codes: CodeTable
    """The gateway's."""


def answer_to(refused: Refused, part: Part, rank: int, context: AnswerContext) -> Answer | None:
    """Returns what the gateway's word about one rank makes of it; None if it does not know itself.

    Only a refusal that speaks about the message ends it.
    """
    match context.codes.get(refused.code, Reason.GATEWAY_REFUSED):
        case Reason() as reason:
            return Answer(reason, refused.code)
        case Handling.ACCEPTED:
            return Answer(State.ACCEPTED, refused.code)
        case Handling.UNANSWERED:
            return None
        case handling:
            return Answer(
                State.WAITING, refused.code, context.now_ms + _wait_ms(handling, refused, part, rank, context)
            )


def _wait_ms(
    handling: Literal[Handling.STALE, Handling.PACED, Handling.ILL],
    refused: Refused,
    part: Part,
    rank: int,
    context: AnswerContext,
) -> int:
    """Returns how long a message waits that comes again."""
    match handling:
        case Handling.STALE:
            wait_ms = backoff_ms(part.request, rank, part.attempt, context.ceiling_ms)
            return 0 if context.clock_learnt else min(wait_ms, _STALE_CEILING_MS)
        case Handling.PACED:
            # The gateway knows when; without a word of it, a first backoff. A paced message then waits for a slot as well.
            return refused.retry_after_ms or backoff_ms(part.request, rank, 1, context.ceiling_ms)
        case Handling.ILL:
            return max(refused.retry_after_ms, backoff_ms(part.request, rank, part.attempt, context.ceiling_ms))


class MisshapenAnswerError(Exception):
    """The gateway's answer does not fit the frame: treat it as no answer at all."""


class FrameOutcome(NamedTuple):
    """Holds what an answer says, part by part, and of which messages it says nothing."""

    answered: list[Answered]
    unanswered: list[Part]


def answers_to(batch: Batch, answer: FrameAnswer, context: AnswerContext) -> FrameOutcome:
    """Returns what ``answer`` makes of ``batch``; raises :class:`MisshapenAnswerError`."""
    if len(answer.sections) != len(batch.parts):
        raise MisshapenAnswerError(f"{len(batch.parts)} sections sent, {len(answer.sections)} answered")
    outcome = FrameOutcome([], [])
    for part, refused in zip(batch.parts, answer.sections, strict=True):
        if not refused:
            outcome.answered.append(Answered(part.request, intervals_of(part.ranks), answer.at_ms))
            continue
        if any(not 0 <= one.position < len(part.ranks) for one in refused):
            raise MisshapenAnswerError("an exception names a position that was not sent")
        _add_part(part, refused, answer.at_ms, context, outcome)
    return outcome


def _add_part(
    part: Part, refused: tuple[Refused, ...], gateway_ms: int, context: AnswerContext, outcome: FrameOutcome
) -> None:
    """Add to ``outcome`` what the exceptions make of one part."""
    answers: dict[int, Answer] = {}
    silent: set[int] = set()
    for one in refused:
        rank = part.ranks[one.position]
        answer = answer_to(one, part, rank, context)
        if answer is None:
            silent.add(rank)
        else:
            answers[rank] = answer
    if silent:
        outcome.unanswered.append(
            Part(part.request, sorted(silent), part.attempt, part.suppressed_upto, part.audience_upto)
        )
    ranks = [rank for rank in part.ranks if rank not in silent]
    if ranks:
        outcome.answered.append(_answered(part.request, ranks, gateway_ms, answers))


def _answered(request: bytes, ranks: list[int], gateway_ms: int, answers: Mapping[int, Answer]) -> Answered:
    return Answered(
        request,
        intervals_of(ranks),
        gateway_ms,
        u32s(answers),
        bytes(answer.status for answer in answers.values()),
        u32s(answer.code for answer in answers.values()),
        i64s(answer.due_ms for answer in answers.values()),
    )


_BUCKET_MS: Final = 1_000
_BUCKETS: Final = 60
"""Buckets of a second for which an answer counts. Not longer, for clocks drift, and are set."""


class GatewayClock:
    """Bounds of (gateway's clock - ours), milliseconds, over the last minute."""

    __slots__ = ("_bounds",)

    def __init__(self) -> None:
        self._bounds: deque[tuple[int, int, int]] = deque(maxlen=_BUCKETS)
        """(second, least difference, greatest difference): the tightest bounds of each second with an answer."""

    def note(self, sent_ms: int, gateway_ms: int, received_ms: int) -> bool:
        """Take an answer's time into account; return whether that changes the estimate.

        If older answers contradict it, a clock was set: they are forgotten.
        """
        believed_ms = self.ahead_ms
        bucket, low, high = received_ms // _BUCKET_MS, gateway_ms - received_ms, gateway_ms - sent_ms
        while self._bounds and self._bounds[0][0] <= bucket - _BUCKETS:
            self._bounds.popleft()
        if self._bounds and (low > self._greatest() or high < self._least()):
            self._bounds.clear()
        if self._bounds and self._bounds[-1][0] == bucket:
            _, least, greatest = self._bounds.pop()
            low, high = max(low, least), min(high, greatest)
        self._bounds.append((bucket, low, high))
        return self.ahead_ms != believed_ms

    @property
    def ahead_ms(self) -> int:
        """Returns how far the gateway is surely ahead, or surely not less behind: a frame's end moved by it is never too late."""
        if not self._bounds:
            return 0
        least = self._least()
        return 0 if least <= 0 <= self._greatest() else least

    def _least(self) -> int:
        return max(low for _, low, _ in self._bounds)

    def _greatest(self) -> int:
        return min(high for _, _, high in self._bounds)


_SUPPRESSES: Final[Mapping[int, Scope]] = {
    reason.value: row.suppress for reason, row in CONSEQUENCES.items() if row.suppress is not None
}


def opt_outs(state: ShardState, header: Header, body: Body, audience: Audience) -> list[Suppression]:
    """The opt-outs that one valid record brings. Ask before it is applied to ``state``: an answer may close its request."""
    if not isinstance(body, Outcome):
        return []
    found: list[Suppression] = []
    for answered in body.answered:
        item = state.items.get(answered.request)
        if item is not None and answered.except_codes:
            found += _of(item, answered, header.at_ms, audience)
    return found


def _of(item: Item, answered: Answered, at_ms: int, audience: Audience) -> list[Suppression]:
    ranks, codes = of_u32s(answered.except_ranks), of_u32s(answered.except_codes)
    said = [
        (rank, code, scope)
        for rank, code, status in zip(ranks, codes, answered.except_statuses, strict=True)
        if code and (scope := _SUPPRESSES.get(status)) is not None
    ]
    if not said:
        return []
    people = recipients_of(item.people([rank for rank, _, _ in said], audience))
    return [
        Suppression(
            recipient=recipient,
            business=item.terms.business,
            scope=scope,
            revoke=True,
            # Capped like all evidence: by a gateway's clock that is ahead it would outrank a START that came after it.
            evidence_ms=min(answered.gateway_ms, at_ms),
            received_ms=at_ms,
            evidence=f"gateway code {code}",
            request=answered.request,
        )
        for recipient, (_, code, scope) in zip(people, said, strict=True)
    ]
