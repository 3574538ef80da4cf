"""From the gateway's answer to what is journaled of it: total, by the gateway's table of codes, with seeded back-off."""

import hashlib
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from broker.deliver.codes import CodeTable, Handling
from broker.deliver.decide import Facts
from broker.deliver.frame import Batch, Part
from broker.deliver.item import Item
from schemas.delivery_journal import Answered, Members
from schemas.gateway_api import FrameAnswer, Refused
from schemas.reasons import Reason, State
from schemas.wire.arrays import intervals_of
from schemas.wire.columns import i64s, u32s

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


# What is journaled of other people's words: the gateway's answers, and who a list's members are at this moment.


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


def members_of(item: Item, facts: Facts) -> Members:
    """The frozen members of a list item: everybody on the list in this shard now, in the order of their ordinals."""
    ordinals = facts.audience.freeze(item.terms.business, item.opened.item.list)
    return Members(item.request, len(ordinals), ordinals.serialize(), facts.audience.upto, facts.suppressed_upto)
