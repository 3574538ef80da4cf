"""One request in one shard, as settle follows it: what its bill and its status need, and nothing of its content."""

from array import array
from functools import lru_cache
from sys import intern

from broker.heartbeat import is_heartbeat
from broker.settle.lattice import Ranks, bounds_of
from broker.settle.progress import Tally, first_open, words_of
from schemas.facts import ReceiptRun, ReceiptStatus
from schemas.names import NAME_BYTES, text_of
from schemas.outcome import Answered, Decided, Members, Opened, OpenItem
from schemas.status import RecipientStatus, Status
from schemas.wire.columns import of_u32s, ranks_of

_text_of = lru_cache(maxsize=8_192)(text_of)
"""Each message is told some four times within seconds, and base32 is most of what telling costs."""


class Account:
    """A plain record that :mod:`broker.settle.engine` keeps; there are many, so it holds few and small things."""

    __slots__ = (
        "business",
        "card",
        "category",
        "codes",
        "expires_ms",
        "first_ms",
        "heartbeat",
        "id",
        "last_ms",
        "open_from",
        "over",
        "ranks",
        "recipients",
        "request",
        "sender",
        "source",
        "spoken_ms",
        "spoken_seq",
        "test",
        "time_ms",
        "times",
        "word_due",
    )

    def __init__(self, opened: Opened) -> None:
        item = opened.item
        terms = item.terms
        self.request = item.request
        self.business = intern(terms.business)
        self.sender = intern(terms.sender)
        self.source = intern(terms.source)
        self.id = terms.id
        self.card = terms.card
        self.category = terms.category
        self.test = terms.test
        self.heartbeat = is_heartbeat(terms.business)
        self.time_ms = terms.time_ms
        self.expires_ms = terms.expires_ms
        self.recipients = b"" if item.rows is None else item.rows.recipients
        self.ranks: Ranks | None = None
        self.times: array[int] | None = None
        """Of explicit recipients: when the last thing that counts happened to each."""
        self.codes: dict[int, int] = {}
        """Of explicit recipients: the gateway's error code."""
        self.first_ms = self.last_ms = 0
        """Of the deliveries that are not charged yet."""
        self.open_from = 0
        self.over = False
        self.spoken_seq = 0
        self.spoken_ms = 0
        self.word_due = False
        if item.rows is not None:
            self.ranks = Ranks(len(item.rows))
            self.times = array("q", [opened.taken_ms]) * len(item.rows)

    def freeze(self, members: Members) -> None:
        """The members of a list are known: there are so many ranks."""
        self.ranks = Ranks(members.count)

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
            for rank, code in zip(exceptions, of_u32s(section.except_codes), strict=True):
                self._code(rank, code)

    def restated(self, entry: OpenItem) -> None:
        """Join a restatement."""
        assert self.ranks is not None
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
        if code > self.codes.get(rank, 0):
            self.codes[rank] = code

    # -- what it is like now

    def closed(self) -> bool:
        """Whether every rank has a final word. Asked often; each rank is looked at once."""
        if self.ranks is None:
            return False
        if self.open_from < self.ranks.count:
            self.open_from = first_open(self.ranks, self.open_from)
        return self.over or self.open_from == self.ranks.count

    def holds(self, intervals: bytes) -> bool:
        """Whether all these ranks exist here."""
        return self.ranks is not None and bounds_of(intervals)[1] <= self.ranks.count

    def status(self, tally: Tally, shard: int, now_ms: int) -> Status:
        """What the business is told."""
        return Status(
            request=_text_of(self.request),
            source=self.source,
            id=self.id,
            state="closed" if self.closed() else "running",
            seq=tally.seq,
            at_ms=now_ms,
            shard=shard,
            counts=dict(tally.counts),
            recipients=tuple(self.rank(rank) for rank in range(len(self.times or ()))),
        )

    def rank(self, rank: int) -> RecipientStatus:
        """What became of one rank; recipient and time only for explicit ones."""
        assert self.ranks is not None
        state, reason = words_of(self.ranks.said[rank], self.ranks.heard[rank], over=self.over)
        if self.times is None:
            return RecipientStatus("", rank, state, 0, reason)
        recipient = self.recipients[NAME_BYTES * rank : NAME_BYTES * (rank + 1)]
        code = self.codes.get(rank, 0)
        return RecipientStatus(_text_of(recipient), rank, state, self.times[rank], reason, code)
