"""From the gateway's code to what becomes of a message: total, with seeded back-off.

Codes: ``schemas/gateway_api.py``. A code that this release does not know is a refusal for good and keeps its number.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import msgspec

from broker.deliver.decide import Facts
from broker.deliver.frame import Batch, Part
from broker.deliver.item import Item
from schemas.delivery_journal import Answered, Members
from schemas.gateway_api import Code, FrameAnswer, Refused
from schemas.reasons import Reason, State
from schemas.wire.columns import i64s, u32s
from schemas.wire.ranks import intervals_of

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


PERMANENT: Final[Mapping[int, Reason]] = {
    Code.CODE_NOT_OPENED: Reason.CODE_NOT_OPENED,
    Code.EXPIRED: Reason.EXPIRED,
    Code.UNDELIVERABLE: Reason.UNREACHABLE,
    Code.ACCOUNT_LOCKED: Reason.SENDER_RESTRICTED,
    Code.SPAM_LIMIT: Reason.SENDER_RESTRICTED,
    Code.USER_STOPPED_MARKETING: Reason.RECIPIENT_OPTED_OUT,
    Code.TEMPLATE_PARAMETERS: Reason.CONTENT_REFUSED,
    Code.TEMPLATE_MISSING: Reason.TEMPLATE_REFUSED,
    Code.TEMPLATE_PAUSED: Reason.TEMPLATE_REFUSED,
}
THROTTLES: Final = frozenset({Code.SENDER_THROTTLED, Code.PAIR_THROTTLED})
"""They pace and say nothing about the message: it comes again when it may."""
TRANSIENT: Final = frozenset({Code.TRANSIENT, Code.SERVICE_UNAVAILABLE})


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


def answer_to(refused: Refused, part: Part, rank: int, context: AnswerContext) -> Answer:
    """Returns what the gateway's word about one rank makes of it. Only a refusal that speaks about the message ends it."""
    code, now_ms, ceiling_ms = refused.code, context.now_ms, context.ceiling_ms
    if code == Code.ACCEPTED:
        return Answer(State.ACCEPTED, code)
    if code == Code.STALE_FRAME:
        if context.clock_learnt:
            return Answer(State.WAITING, code, now_ms)
        wait_ms = backoff_ms(part.request, rank, part.attempt, ceiling_ms)
        return Answer(State.WAITING, code, now_ms + min(wait_ms, _STALE_CEILING_MS))
    if code in THROTTLES:
        # The gateway knows when; without a word of it, a first backoff. A paced message then waits for a slot as well.
        wait_ms = refused.retry_after_ms or backoff_ms(part.request, rank, 1, ceiling_ms)
        return Answer(State.WAITING, code, now_ms + wait_ms)
    if code in TRANSIENT:
        wait_ms = backoff_ms(part.request, rank, part.attempt, ceiling_ms)
        return Answer(State.WAITING, code, now_ms + max(refused.retry_after_ms, wait_ms))
    return Answer(PERMANENT.get(code, Reason.GATEWAY_REFUSED), code)


# What is journaled of other people's words: the gateway's answers, and who a list's members are at this moment.


class MisshapenAnswerError(Exception):
    """The gateway's answer does not fit the frame: treat it as no answer at all."""


def answers_to(batch: Batch, answer: FrameAnswer, context: AnswerContext) -> list[Answered]:
    """Returns an ``Answered`` for each part of ``batch``; raises :class:`MisshapenAnswerError`."""
    if len(answer.sections) != len(batch.parts):
        raise MisshapenAnswerError(f"{len(batch.parts)} sections sent, {len(answer.sections)} answered")
    return [
        _part(part, refused, answer.at_ms, context) for part, refused in zip(batch.parts, answer.sections, strict=True)
    ]


def _part(part: Part, refused: tuple[Refused, ...], gateway_ms: int, context: AnswerContext) -> Answered:
    ranks = intervals_of(part.ranks)
    if not refused:
        return Answered(part.request, ranks, gateway_ms)
    if any(not 0 <= one.position < len(part.ranks) for one in refused):
        raise MisshapenAnswerError("an exception names a position that was not sent")
    there = [part.ranks[one.position] for one in refused]
    answers = [answer_to(one, part, rank, context) for one, rank in zip(refused, there, strict=True)]
    return Answered(
        part.request,
        ranks,
        gateway_ms,
        u32s(there),
        bytes(one.status for one in answers),
        u32s(one.code for one in answers),
        i64s(one.due_ms for one in answers),
    )


def members_of(item: Item, facts: Facts) -> Members:
    """The frozen members of a list item: everybody on the list in this shard now, in the order of their ordinals."""
    ordinals = facts.audience.freeze(item.terms.business, item.opened.item.list)
    return Members(item.request, len(ordinals), ordinals.serialize(), facts.audience.upto, facts.suppressed_upto)
