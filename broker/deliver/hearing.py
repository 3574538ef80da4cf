"""What is journaled of other people's words: the gateway's answers, and who a list's members are at this moment."""

from broker.deliver.decide import Facts
from broker.deliver.frame import Flight, Part
from broker.deliver.gateway_answer import Hearing, answer_to
from broker.deliver.item import Item
from schemas.delivery_journal import Answered, Members
from schemas.gateway_api import FrameAnswer, Refused
from schemas.wire.columns import i64s, intervals_of, u32s


class MisshapenAnswerError(Exception):
    """The gateway's answer does not fit the frame: treat it as no answer at all."""


def answers_to(flight: Flight, answer: FrameAnswer, hearing: Hearing) -> list[Answered]:
    """One ``Answered`` for each part of ``flight``; raises :class:`MisshapenAnswerError`."""
    if len(answer.sections) != len(flight.parts):
        raise MisshapenAnswerError(f"{len(flight.parts)} sections sent, {len(answer.sections)} answered")
    return [
        _part(part, refused, answer.at_ms, hearing) for part, refused in zip(flight.parts, answer.sections, strict=True)
    ]


def _part(part: Part, refused: tuple[Refused, ...], gateway_ms: int, hearing: Hearing) -> Answered:
    ranks = intervals_of(part.ranks)
    if not refused:
        return Answered(part.request, ranks, gateway_ms)
    if any(not 0 <= one.position < len(part.ranks) for one in refused):
        raise MisshapenAnswerError("an exception names a position that was not sent")
    there = [part.ranks[one.position] for one in refused]
    answers = [answer_to(one, part, rank, hearing) for one, rank in zip(refused, there, strict=True)]
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
