"""Batches: decided messages on their way to the gateway, and the frame that carries them.

The frame is built at the last moment, from journaled decisions. If the world moved since the decision (a STOP, a leaving, the
expiry, a newer version) the rows that are now forbidden are *withheld*: answered with the reason if they surely never left, and
``in_doubt`` if an earlier owner or an earlier try may have sent them (PROTOCOL.md section 1.5).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.deliver.decide import Rules, forbidden, leavers, whole_refusal
from broker.deliver.item import Item
from broker.deliver.state import ShardState
from broker.deliver.suspects import Suspects, framing
from broker.standing import Standing
from schemas.delivery_journal import Answered, Decided
from schemas.gateway_api import Frame, Section, ref_of
from schemas.ids import fact_key, text_of
from schemas.lanes import Category
from schemas.plan_journal import LOCALE_WIDTH
from schemas.reasons import Reason, State
from schemas.wire.arrays import intervals_of
from schemas.wire.columns import cells, i64s, of_u32s, pairs, ranks_of, u32s, values_of


@dataclass(slots=True)
class Part:
    """Ranks of one request under one attempt."""

    request: bytes
    ranks: list[int]
    attempt: int
    suppressed_upto: int
    """Offset of the suppressions that the decision used; -2: not known, ask again."""
    audience_upto: int = -2
    """The same of the audience's changes."""


@dataclass(slots=True)
class Batch:
    """Decided ranks that the gateway has not answered. One of a shard's is in the air at a time, in journal order."""

    parts: list[Part]
    maybe_sent: bool = False
    """An earlier owner, or a try without an answer, may have brought it to the gateway."""
    tries: int = 0
    """Frames that got no answer."""
    retry_ms: int = 0
    """Not before this may it leave, milliseconds since the epoch; 0: at once."""
    decided_ms: int = 0
    """When its messages were decided, milliseconds since the epoch; 0 if an earlier owner did."""
    waits_for: str = ""
    """The sender whose slot, or the business whose turn it waits for by itself (``handoffs.py``)."""
    sent_ms: int = 0
    """When the frame left, milliseconds since the epoch; 0: it has not."""
    frame: Frame | None = field(default=None, repr=False)

    def rows(self) -> int:
        """Returns how many messages."""
        return sum(len(part.ranks) for part in self.parts)

    def apart(self, parts: list[Part]) -> "Batch":
        """Returns a batch of its own for some of its parts: with the same past, and nothing that it waits for."""
        return Batch(parts, maybe_sent=self.maybe_sent, tries=self.tries, decided_ms=self.decided_ms)


def batch_of(decided: Iterable[Decided], decided_ms: int = 0) -> Batch | None:
    """The batch that a journaled append leads to, None if it sends nothing."""
    parts: list[Part] = []
    for section in decided:
        statuses, attempts = values_of(section.statuses), values_of(section.attempts)
        by_attempt: dict[int, list[int]] = {}
        if (
            statuses.count(State.SENDING) == attempts.count(attempts[:1]) == len(statuses)
        ):  # most: all sent, all the first time
            by_attempt[attempts[0]] = ranks_of(section.ranks)
        else:
            for rank, status, attempt in zip(ranks_of(section.ranks), statuses, attempts, strict=True):
                if status == State.SENDING:
                    by_attempt.setdefault(attempt, []).append(rank)
        parts += [
            Part(section.request, ranks, attempt, section.suppressed_upto, section.audience_upto)
            for attempt, ranks in by_attempt.items()
        ]
    return Batch(parts, decided_ms=decided_ms) if parts else None


def batches_again(state: ShardState, chunk: int) -> list[Batch]:
    """After a fold: what was decided and never answered, to be handed off again under the same names."""
    parts: list[Part] = []
    for item in state.items.values():
        by_attempt: dict[int, list[int]] = {}
        for rank in item.with_status(State.SENDING):
            by_attempt.setdefault(item.attempts[rank], []).append(rank)
        for attempt, ranks in by_attempt.items():
            # -2 is no offset of any log, so the STOP check is made anew: the old owner's reading of it proves nothing now.
            parts += [Part(item.request, ranks[at : at + chunk], attempt, -2, -2) for at in range(0, len(ranks), chunk)]
    batches: list[Batch] = []
    for part in parts:
        if batches and batches[-1].rows() + len(part.ranks) <= chunk:
            batches[-1].parts.append(part)
        else:
            batches.append(Batch([part], maybe_sent=True))
    return batches


def given_up(batch: Batch, suspects: Suspects) -> list[Answered]:
    """Take out of ``batch`` what crashed workers twice while it was framed, and say so as answers to be journaled."""
    ended = [part for part in batch.parts if suspects.ended(framing(part.request))]
    batch.parts = [part for part in batch.parts if not suspects.ended(framing(part.request))]
    return [
        _withheld(part.request, dict.fromkeys(part.ranks, Reason.CRASHED_WORKER), 0, maybe_sent=batch.maybe_sent)
        for part in ended
    ]


def withhold(batch: Batch, state: ShardState, rules: Rules, now_ms: int) -> list[Answered]:
    """Take out of ``batch`` what may not be handed off any more, and say so as answers to be journaled."""
    answers: list[Answered] = []
    for part in batch.parts:
        item = state.items[part.request]
        with rules.suspects.blaming(framing(part.request)):
            held = _held(item, part, rules, now_ms)
        if not held:
            continue
        answers.append(_withheld(part.request, held, now_ms, maybe_sent=batch.maybe_sent))
        part.ranks = [rank for rank in part.ranks if rank not in held]
    batch.parts = [part for part in batch.parts if part.ranks]
    return answers


def in_doubt(batch: Batch) -> list[Answered]:
    """Returns the answers of messages that may have been handed off and may not go again: nobody knows, a receipt may tell."""
    return [
        _withheld(part.request, dict.fromkeys(part.ranks, State.IN_DOUBT), 0, maybe_sent=False) for part in batch.parts
    ]


def _withheld(request: bytes, held: Mapping[int, Reason | State], now_ms: int, *, maybe_sent: bool) -> Answered:
    """The answer about ranks that are taken out of their frame: what is only held is due at once, when it goes on."""
    ranks = sorted(held)
    # If it may be out already, a refusal would be a lie: it is in doubt, and the code keeps what held it back.
    statuses = bytes(State.IN_DOUBT if maybe_sent else held[rank] for rank in ranks)
    codes = [held[rank] if maybe_sent else 0 for rank in ranks]
    dues = [now_ms if status == State.WAITING else 0 for status in statuses]
    return Answered(request, intervals_of(ranks), 0, u32s(ranks), statuses, u32s(codes), i64s(dues))


def _held(item: Item, part: Part, rules: Rules, now_ms: int) -> dict[int, Reason | State]:
    # Time has passed since the decision. What forbids the message now wins, for a decision is no promise to send.
    whole = whole_refusal(item, rules, now_ms)
    if whole is not None:
        return dict.fromkeys(part.ranks, whole)
    if rules.facts.controls.ruling(item.request, item.terms).standing is Standing.HELD:
        return dict.fromkeys(part.ranks, State.WAITING)
    held: dict[int, Reason | State] = {}
    # At the offsets of the decision the answer is known already; only a log that has moved on is asked again.
    if part.audience_upto != rules.facts.audience.upto:
        held = {
            part.ranks[position]: Reason.NOT_OPTED_IN for position in leavers(item, part.ranks, rules.facts.audience)
        }
    if part.suppressed_upto != rules.facts.suppressed_upto:
        people = item.people(part.ranks, rules.facts.audience)
        held |= {
            part.ranks[position]: reason for position, reason in forbidden(item, part.ranks, people, rules).items()
        }
    return held


def frame_of(batch: Batch, state: ShardState, rules: Rules, epoch: int, gateway_ahead_ms: int = 0) -> Frame:
    """The frame of a batch, valid until the last STOP check and the lane's span, by the gateway's clock."""
    policy = rules.policy
    # Counted from the last STOP check and not from now: a frame that hangs in a paused process ends by itself before
    # a STOP could be missed (PROTOCOL.md section 1.7).
    not_after_ms = rules.facts.suppressed_fresh_ms + policy.windows.frame_ms + gateway_ahead_ms
    sections: list[Section] = []
    for part in batch.parts:
        with rules.suspects.blaming(framing(part.request)):
            sections.append(_section(state.items[part.request], part, rules))
    return Frame(policy.lane.word, policy.shard, epoch, not_after_ms, tuple(sections))


def _section(item: Item, part: Part, rules: Rules) -> Section:
    terms, policy = item.terms, rules.policy
    people = item.people(part.ranks, rules.facts.audience)
    fact = fact_key(terms.business, terms.entity, terms.facet).hex() if terms.version >= 0 else ""
    return Section(
        ref=ref_of(policy.ref_secret, policy.lane, policy.shard, item.request, item.opened.item.list),
        request=text_of(item.request),
        business=terms.business,
        sender=terms.sender,
        template=terms.template,
        template_version=terms.template_version,
        category=Category(terms.category).word,
        expires_ms=terms.expires_ms,
        ranks=tuple(pairs(intervals_of(part.ranks))),
        recipients=people.recipients,
        addresses=people.addresses,
        locales=_spoken(people.locales, terms.languages),
        attempt=part.attempt,
        params=terms.params,
        params_each=_params_each(item, part.ranks),
        collapse=fact,
        version=terms.version,
        test=terms.test,
        traceparent=terms.trace,
    )


def _spoken(locales: bytes, languages: str) -> bytes:
    """Returns a column of languages with the default in place of those that are not spoken, and of none.

    Two bytes in all if everybody's is the same. What was accepted by a release that fixed no languages stays as it is.
    """
    # Members of a list come without a look at the template, so the choice is made here, and not by a gateway's own rule.
    if languages:
        default, known = languages[:LOCALE_WIDTH].encode(), frozenset(cells(languages.encode(), LOCALE_WIDTH))
        if not known.issuperset(wanted := set(cells(locales, LOCALE_WIDTH))):
            chosen = {locale: locale if locale in known else default for locale in wanted}
            locales = b"".join([chosen[locale] for locale in cells(locales, LOCALE_WIDTH)])
    first = locales[:LOCALE_WIDTH]
    return first if locales == first * (len(locales) // LOCALE_WIDTH) else locales


def _params_each(item: Item, ranks: Sequence[int]) -> tuple[dict[str, str], ...]:
    rows = item.opened.item.rows
    return () if rows is None or not rows.params else tuple(rows.params[rank] for rank in ranks)


def covered(answered: Answered) -> int:
    """Returns how many ranks an answer covers less its exceptions: what was accepted."""
    return sum(count for _, count in pairs(answered.ranks)) - len(of_u32s(answered.except_ranks))
