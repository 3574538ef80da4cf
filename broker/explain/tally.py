"""Counts how the messages of one request stand: what deliver's journal says of each rank, and what receipts say about it.

Two bytes a rank, so that a campaign of a million can be counted. Evidence of delivery wins over a refusal, as in settle.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from broker.lifecycle import unfinished
from schemas.delivery_journal import Answered, Decided, Held, Members, Opened, OpenItem, Outcome, Restated
from schemas.facts import ReceiptRun, ReceiptStatus
from schemas.reasons import Reason, State, word_of
from schemas.status import Status
from schemas.wire.columns import count_of, interval, of_u32s, pairs, values_of
from schemas.wire.header import Header

HELD: Final = "held"
"""State of a message that waits for its request to be resumed."""
_HOLDABLE: Final = frozenset({State.PENDING, State.WAITING})
_FAILED: Final = 8
"""A bit beside the progress of a message, which receipts raise from 0 to ``READ``."""
_TAKEN: Final = frozenset({State.SENDING, State.ACCEPTED, State.IN_DOUBT})
"""States that receipts without a delivery speak about."""


def _raised(status: int) -> bytes:
    """Returns the table that turns what receipts said before into what they say after one of ``status``."""
    if status == ReceiptStatus.FAILED:
        return bytes(said | _FAILED for said in range(256))
    return bytes(said if said & ~_FAILED >= status else said & _FAILED | status for said in range(256))


_RAISED: Final = {status: _raised(status) for status in ReceiptStatus}


_Section = Members | Decided | Answered | Held


class _Part:
    """The ranks of one shard."""

    __slots__ = ("frozen_ms", "held", "ordinals", "people", "said", "statuses", "unknown")

    def __init__(self) -> None:
        self.statuses = bytearray()
        self.said = bytearray()
        self.people = b""
        """Recipient ids of explicit recipients, 16 bytes each, in rank order."""
        self.ordinals = b""
        """Of a list: the serialised bitmap of its members."""
        self.frozen_ms = 0
        """When it was settled who its ranks are; 0 before."""
        self.held = False
        """True while its request, business or sender is paused: what is not handed off is held."""
        self.unknown = False
        """True once settle has given up waiting for receipts."""

    def size(self, count: int, at_ms: int) -> None:
        """Settle how many ranks there are, unless that is known."""
        if not self.frozen_ms:
            self.frozen_ms = at_ms
            self.statuses, self.said = bytearray(count), bytearray(count)

    def put(self, intervals: bytes, values: bytes) -> None:
        """Take what the journal says of some ranks; before it is known who they are, nothing can be said of them."""
        at = 0
        for first, count in pairs(intervals) if self.frozen_ms else ():
            self.statuses[first : first + count] = values[at : at + count]
            at += count

    def heard(self, intervals: bytes, status: ReceiptStatus) -> None:
        """Take what a receipt says of some ranks."""
        for first, count in pairs(intervals) if self.frozen_ms else ():
            self.said[first : first + count] = self.said[first : first + count].translate(_RAISED[status])

    def words(self) -> Iterator[str]:
        """Yields the state of each rank as a word, in rank order."""
        words = {pair: self._word(*pair) for pair in set(zip(self.statuses, self.said, strict=True))}
        return (words[pair] for pair in zip(self.statuses, self.said, strict=True))

    def _word(self, status: int, said: int) -> str:
        progress = said & ~_FAILED
        if progress >= ReceiptStatus.DELIVERED:
            return ReceiptStatus(progress).name.lower()
        if status in _TAKEN:
            if said & _FAILED:
                return Reason.FAILED.word
            if self.unknown and status != State.SENDING:
                return Reason.UNKNOWN.word
            if progress:
                return ReceiptStatus.SENT.name.lower()
        return HELD if self.held and status in _HOLDABLE else word_of(status)


class Tally:
    """Counts the messages of one request by state, shard by shard. Records are applied in the order of the logs."""

    def __init__(self) -> None:
        self._parts: dict[int, _Part] = {}

    def outcome(self, request: bytes, header: Header, body: Outcome | Restated) -> None:
        """Counts what a valid record of deliver's journal says about ``request``."""
        shard = header.shard
        if isinstance(body, Restated):
            for entry in body.open:
                if entry.opened.item.request == request:
                    self._restated(shard, entry, header.at_ms)
            return
        for opened in body.opened:
            if opened.item.request == request:
                self._opened(shard, opened)
        sections: tuple[_Section, ...] = (*body.members, *body.decided, *body.answered, *body.held)
        for section in sections:
            if section.request == request:
                self._section(shard, section, header.at_ms)

    def _section(self, shard: int, section: _Section, at_ms: int) -> None:
        match section:
            case Members():
                self._frozen(shard, section, at_ms)
            case Held():
                self._part(shard).held = section.held
            case Decided():
                self._part(shard).put(section.ranks, values_of(section.statuses))
            case Answered():
                part = self._part(shard)
                part.put(section.ranks, bytes((State.ACCEPTED,)) * count_of(section.ranks))
                for rank, status in zip(of_u32s(section.except_ranks), section.except_statuses, strict=True):
                    part.put(interval(rank, 1), bytes((status,)))

    def _opened(self, shard: int, opened: Opened) -> None:
        rows = opened.item.rows
        if rows is not None:
            part = self._part(shard)
            part.people = part.people or rows.recipients
            part.size(len(rows), opened.taken_ms)

    def _frozen(self, shard: int, members: Members, at_ms: int) -> None:
        part = self._part(shard)
        part.ordinals = part.ordinals or members.ordinals
        part.size(members.count, at_ms)

    def _restated(self, shard: int, entry: OpenItem, at_ms: int) -> None:
        self._opened(shard, entry.opened)
        if entry.members is not None:
            self._frozen(shard, entry.members, at_ms)
        if entry.held is not None:
            self._part(shard).held = entry.held.held
        statuses = values_of(entry.statuses)
        if statuses:
            self._part(shard).size(len(statuses), at_ms)
            self._part(shard).statuses[:] = statuses

    def received(self, shard: int, run: ReceiptRun) -> None:
        """A receipt about some ranks."""
        self._part(shard).heard(run.ranks, ReceiptStatus(run.status))

    def told(self, status: Status) -> None:
        """The newest that settle told the business about a shard."""
        self._part(status.shard).unknown = status.state == "closed" and Reason.UNKNOWN.word in status.counts

    def _part(self, shard: int) -> _Part:
        return self._parts.setdefault(shard, _Part())

    # -- what it comes to

    def people(self) -> int:
        """Returns how many messages there are, as far as is settled who gets one."""
        return sum(len(part.statuses) for part in self._parts.values())

    def counts(self) -> dict[str, int]:
        """Returns how many messages stand how, the most first: ``delivered``, ``stopped``, ``waiting``."""
        words: Counter[str] = Counter()
        for part in self._parts.values():
            words.update(part.words())
        return dict(sorted(words.items(), key=lambda one: (-one[1], one[0])))

    def frozen_ms(self, shard: int) -> int:
        """Returns when it was settled who the ranks of ``shard`` are; 0 if it is not."""
        return self._parts[shard].frozen_ms if shard in self._parts else 0

    def owed(self, shard: int, rank: int = -1) -> bool:
        """Returns whether deliver owes something to anybody in ``shard``, or to one ``rank`` there; True if that is not known."""
        if not self.frozen_ms(shard):
            return True
        statuses = self._parts[shard].statuses
        return unfinished(statuses if rank < 0 else statuses[rank : rank + 1]) > 0

    @property
    def frozen(self) -> bool:
        """Returns whether it is settled of any shard who is addressed there."""
        return any(part.frozen_ms for part in self._parts.values())

    def holds_nobody(self, shard: int) -> bool:
        """Returns whether it is settled that nobody in ``shard`` is addressed."""
        return self.frozen_ms(shard) > 0 and not self._parts[shard].statuses

    def ranks(self, word: str = "") -> Iterator[tuple[int, int, str]]:
        """Yields (shard, rank, word) of every message; with ``word``, of those alone."""
        for shard in sorted(self._parts):
            for rank, found in enumerate(self._parts[shard].words()):
                if word in {"", found}:
                    yield shard, rank, found

    def word(self, shard: int, rank: int) -> str:
        """Returns how the message of one rank stands."""
        return next(found for at, found in enumerate(self._parts[shard].words()) if at == rank)

    def who(self, shard: int) -> tuple[bytes, bytes]:
        """Returns the recipient ids of explicit recipients in rank order, or the serialised bitmap of ordinals of a list."""
        part = self._parts[shard]
        return part.people, part.ordinals
