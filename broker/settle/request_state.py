"""Follows one request in one shard for settle: what its bill and its status need, and nothing of its content."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from sys import intern
from typing import Final

import msgspec

from broker.charging import price_of
from broker.heartbeat import is_heartbeat
from broker.settle.counts import Outlook, Tally, first_open, outlook_of, tally_of, words_of
from broker.settle.message_state import Ranks, RankSet, bounds_of, pieces, roaring
from broker.settle.policy import SettlePolicy
from schemas.delivery_journal import Answered, Decided, Held, Members, Opened, OpenItem
from schemas.facts import Charge, ReceiptRun, ReceiptStatus
from schemas.ids import NAME_BYTES, text_of
from schemas.reasons import State
from schemas.registry import CONFIRMATIONS, PriceCard
from schemas.status import RecipientStatus, Status
from schemas.wire.columns import of_u32s, ranks_of

_text_of = lru_cache(maxsize=8_192)(text_of)
"""Each message is told some four times within seconds, and base32 is most of what telling costs."""

_REACHED: Final = frozenset({"delivered", "read"})
"""States of a message that its person has."""


class Account(msgspec.Struct, array_like=True, gc=False):
    """A plain record that :mod:`broker.settle.engine` keeps. There are millions, so the garbage collector is kept off it."""

    request: bytes
    business: str
    sender: str
    source: str
    id: str
    card: int
    category: int
    test: bool
    heartbeat: bool
    time_ms: int
    """Time of the event, milliseconds since the epoch."""
    expires_ms: int
    """When it expires, milliseconds since the epoch; receipts count until the settle window after it."""
    recipients: bytes
    """Of explicit recipients, 16 bytes each."""
    ranks: Ranks | None = None
    """None while a list's members are not known."""
    times: list[int] | None = None
    """Of explicit recipients: when the last thing that counts happened to each."""
    codes: dict[int, int] = {}
    """Of explicit recipients: the gateway's error code."""
    first_ms: int = 0
    """First delivery that is not charged yet, milliseconds since the epoch; 0: none."""
    last_ms: int = 0
    """Of the deliveries that are not charged yet."""
    open_from: int = 0
    over: bool = False
    spoken_seq: int = 0
    spoken_ms: int = 0
    """When its last status was published, milliseconds since the epoch; 0: never."""
    word_due: bool = False
    """A status is on its way to be spoken."""
    held: bool = False
    """True while it is paused: messages that deliver has not handed off wait until it is resumed."""
    held_upto: int = -1
    """Which word of control said so; the higher one stands."""
    held_ms: int = 0
    """Since when it is held."""
    calm_from_ms: int = 0
    """If nothing happens until then it goes to the shelf; 0 while it is not closed."""
    labels: dict[str, str] = {}
    traceparent: str = ""
    per_s: int = 0
    """Messages a second of the sender's slots; 0: it needs none."""
    begun_ms: int = 0
    """When its members were settled and it could begin."""

    @classmethod
    def of(cls, opened: Opened) -> "Account":
        """The account of a work item just taken over."""
        item = opened.item
        terms = item.terms
        account = cls(
            request=item.request,
            business=intern(terms.business),
            sender=intern(terms.sender),
            source=intern(terms.source),
            id=terms.id,
            card=terms.card,
            category=terms.category,
            # Never billed: the person's own STOP opened the conversation.
            test=terms.test or terms.template in CONFIRMATIONS,
            heartbeat=is_heartbeat(terms.business),
            time_ms=terms.time_ms,
            expires_ms=terms.expires_ms,
            recipients=b"" if item.rows is None else item.rows.recipients,
            labels=terms.labels,
            traceparent=terms.trace,
            per_s=item.per_s,
            begun_ms=max(item.start_ms, opened.taken_ms),
        )
        if item.rows is not None:
            account.ranks = Ranks.of(len(item.rows))
            account.times = [opened.taken_ms] * len(item.rows)
        return account

    def freeze(self, members: Members, at_ms: int) -> None:
        """The members of a list are known: there are so many ranks."""
        self.ranks = Ranks.of(members.count)
        self.begun_ms = max(self.begun_ms, at_ms)

    # -- joins: each needs the ranks to be known

    def decided(self, section: Decided, at_ms: int) -> None:
        """Join decisions."""
        assert self.ranks is not None
        self.ranks.decided(section.ranks, section.statuses, section.markets, section.market)
        self._stamp(section.ranks, at_ms)

    def answered(self, section: Answered) -> None:
        """Join answers of the gateway."""
        assert self.ranks is not None
        exceptions = of_u32s(section.except_ranks)
        self.ranks.answered(section.ranks, exceptions, section.except_statuses)
        self._stamp(section.ranks, section.gateway_ms)
        if exceptions and self.times is not None:
            codes = of_u32s(section.except_codes)
            for rank, status, code in zip(exceptions, section.except_statuses, codes, strict=True):
                if status != State.IN_DOUBT:  # its code is a reason of ours, not the gateway's
                    self._code(rank, code)

    def hold(self, section: Held, at_ms: int) -> None:
        """Join that the request is held, or not any more, as said at ``at_ms``. The time that it was held is no progress."""
        if section.upto <= self.held_upto:
            return
        if section.held and not self.held:
            self.held_ms = at_ms
        elif self.held and not section.held:
            self.begun_ms += at_ms - self.held_ms
        self.held, self.held_upto = section.held, section.upto

    def restated(self, entry: OpenItem, at_ms: int) -> None:
        """Join a restatement; of a list whose members are not known, that it is held."""
        if entry.held is not None:
            self.hold(entry.held, at_ms)
        if self.ranks is not None:
            self.ranks.restated(entry.statuses, entry.attempts, entry.markets)

    def received(self, run: ReceiptRun, status: ReceiptStatus) -> None:
        """Join a receipt; its ranks must exist here."""
        assert self.ranks is not None
        self.ranks.received(run.ranks, status)
        self._stamp(run.ranks, run.at_ms)
        if status in {ReceiptStatus.DELIVERED, ReceiptStatus.READ}:
            self.first_ms = min(self.first_ms, run.at_ms) if self.first_ms else run.at_ms
            self.last_ms = max(self.last_ms, run.at_ms)
        if run.code and self.times is not None:
            for rank in ranks_of(run.ranks):
                self._code(rank, run.code)

    def _stamp(self, intervals: bytes, at_ms: int) -> None:
        if self.times is not None:
            for rank in ranks_of(intervals):
                self.times[rank] = max(self.times[rank], at_ms)

    def _code(self, rank: int, code: int) -> None:
        # The greatest and not the last, so that order and repetition change nothing.
        if code > self.codes.get(rank, 0):
            self.codes[rank] = code

    # -- what it is like now

    def tally(self) -> Tally:
        """Counts the ranks, as they are now, by word."""
        assert self.ranks is not None
        tally = tally_of(self.ranks, over=self.over, held=self.held)
        # A pause changes what is told without changing a rank, so it has to raise the number as well.
        return msgspec.structs.replace(tally, seq=tally.seq + self.held_upto + 1)

    def closed(self) -> bool:
        """Returns whether every rank has a final word. Asked often; each rank is looked at once."""
        if self.ranks is None:
            return False
        if self.open_from < self.ranks.count:
            self.open_from = first_open(self.ranks, self.open_from)
        return self.over or self.open_from == self.ranks.count

    def holds(self, intervals: bytes) -> bool:
        """Returns whether all these ranks exist here."""
        return self.ranks is not None and bounds_of(intervals)[1] <= self.ranks.count

    def status(self, tally: Tally, policy: SettlePolicy, now_ms: int) -> Status:
        """Returns the status for the business."""
        people, outlook = sum(tally.counts.values()), Outlook()
        if self.per_s and not self.held:
            outlook = outlook_of(people, tally.owed, self, policy.shards, now_ms)
        return Status(
            request=_text_of(self.request),
            source=self.source,
            id=self.id,
            state="closed" if self.closed() else "running",
            seq=tally.seq,
            at_ms=now_ms,
            shard=policy.shard,
            counts=dict(tally.counts),
            recipients=tuple(self.rank(rank) for rank in range(len(self.times or ()))),
            labels=self.labels,
            traceparent=self.traceparent,
            people=people,
            rate_per_s=self.per_s,
            eta_ms=outlook.eta_ms,
            unreached=outlook.unreached,
        )

    def rank(self, rank: int) -> RecipientStatus:
        """Returns the state of one rank; recipient and time only for explicit ones."""
        assert self.ranks is not None
        state, reason = words_of(self.ranks.said[rank], self.ranks.heard[rank], over=self.over, held=self.held)
        if self.times is None:
            return RecipientStatus("", rank, state, 0, reason)
        recipient = self.recipients[NAME_BYTES * rank : NAME_BYTES * (rank + 1)]
        code = 0 if state in _REACHED else self.codes.get(rank, 0)  # it is no trouble any more: the message is there
        return RecipientStatus(_text_of(recipient), rank, state, self.times[rank], reason, code)


def charges_of(account: Account, delivered: RankSet, cards: Mapping[int, PriceCard]) -> Iterator[Charge]:
    """Charges for ``delivered`` (not empty); raises :class:`broker.charging.UnpricedError`."""
    assert account.ranks is not None
    for market, all_ranks in account.ranks.by_market(delivered).items():
        # The card was fixed at acceptance, so the same ranks cost the same whoever charges them and how often.
        price = price_of(cards, account.card, account.category, market)
        for ranks in pieces(all_ranks):
            yield Charge(
                business=account.business,
                sender=account.sender,
                request=account.request,
                ranks=roaring(ranks),
                unit_micro=price.unit_micro,
                currency=price.currency,
                card=account.card,
                category=account.category,
                market=market,
                first_ms=account.first_ms,
                last_ms=account.last_ms,
                source=account.source,
                id=account.id,
                labels=account.labels,
            )
