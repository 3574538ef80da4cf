"""Holds an open request in one shard: its frozen members and a status byte for each rank."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from broker.audience.members import Audience
from broker.heartbeat import is_heartbeat
from broker.lifecycle import unfinished
from schemas.delivery_journal import Answered, Decided, Held, Members, Opened, OpenItem
from schemas.plan_journal import ADDRESS_WIDTH, LOCALE_WIDTH, Rows, Terms
from schemas.reasons import State
from schemas.wire.arrays import many_values_of, runs_of
from schemas.wire.columns import cells, i64s, of_i64s, of_u16s, of_u32s, pairs, ranks_of, u16s, values_of

_PENDING = bytes((State.PENDING,))


class People(Protocol):
    """Columns of some ranks: 16, 33 and 2 bytes each, and a calling code each."""

    @property
    def recipients(self) -> bytes:
        """16 bytes each."""

    @property
    def addresses(self) -> bytes:
        """33 bytes each."""

    @property
    def locales(self) -> bytes:
        """2 bytes each."""

    @property
    def markets(self) -> Sequence[int]:
        """The country calling codes."""


class Cells:
    """Columns cut out of explicit rows."""

    __slots__ = ("addresses", "locales", "markets", "recipients")

    def __init__(self, rows: Rows, ranks: Sequence[int]) -> None:
        self.recipients = _cut(rows.recipients, 16, ranks)
        self.addresses = _cut(rows.addresses, ADDRESS_WIDTH, ranks)
        self.locales = _cut(rows.locales, LOCALE_WIDTH, ranks)
        self.markets = of_u16s(_cut(rows.markets, 2, ranks))


def _cut(column: bytes, width: int, ranks: Sequence[int]) -> bytes:
    return b"".join(column[rank * width : (rank + 1) * width] for rank in ranks)


class Item:
    """State only; what it means is said by the fold (``state.py``) and by ``decide.py``."""

    __slots__ = (
        "attempts",
        "cancelled",
        "cursor",
        "dues",
        "held",
        "known_ms",
        "left",
        "markets",
        "members",
        "opened",
        "ordinals",
        "pending",
        "request",
        "slowed",
        "stated_ms",
        "statuses",
        "terms",
    )

    def __init__(self, opened: Opened, stated_ms: int) -> None:
        self.opened = opened
        self.request = opened.item.request
        self.terms: Terms = opened.item.terms
        self.stated_ms = stated_ms
        """When the journal last said the *whole* of it: at its opening or in a restatement, never by a decision alone."""
        self.members: Members | None = None
        self.ordinals: npt.NDArray[np.uint32] | None = None
        self.held: Held | None = None
        """The last ``Held`` of the journal about it, None if there is none: how a pause stands."""
        self.cancelled = False
        """True once this owner has seen it cancelled: everything that waits is due. Not folded, for a cancel is final."""
        self.known_ms: int | None = None
        """Since when this process has it for certain, on its monotonic clock; None before its first turn. Not folded."""
        self.slowed = False
        """True once a limit of its sender made it wait: slots of its number, or the pair limit. Counted, and decides nothing."""
        self.dues: dict[int, int] = {}
        self.cursor = 0
        self._size(len(opened.item.rows) if opened.item.rows is not None else 0)

    def _size(self, count: int) -> None:
        self.statuses = bytearray(count)
        self.attempts = bytearray(count)
        self.markets = array("H", bytes(2 * count))
        self.pending = self.left = count

    @property
    def listed(self) -> bool:
        """Returns whether it is addressed to a list."""
        return self.opened.item.rows is None

    @property
    def unlimited(self) -> bool:
        """Returns whether the pair limit leaves it out: heartbeats reach nobody and are sent more often than the limit allows."""
        return is_heartbeat(self.terms.business)

    @property
    def paced(self) -> bool:
        """Returns whether it goes out in the slots of its number: lists, and explicit recipients that are more than a burst."""
        return self.opened.item.per_s > 0

    @property
    def frozen(self) -> bool:
        """Returns whether it is settled who its ranks are."""
        return not self.listed or self.members is not None

    @property
    def finished(self) -> bool:
        """Returns whether deliver owes nothing more to anybody."""
        return self.frozen and self.left == 0

    def freeze(self, members: Members) -> None:
        """Fold the frozen members of a list."""
        self.members = members
        self.ordinals = np.asarray(BitMap.deserialize(members.ordinals).to_array(), dtype=np.uint32)
        self._size(members.count)

    def people(self, ranks: Sequence[int], audience: Audience) -> People:
        """The columns of some ranks."""
        rows = self.opened.item.rows
        if rows is not None:
            return Cells(rows, ranks)
        assert self.ordinals is not None, "people of a list are asked for after they are frozen"
        return audience.rows(self.ordinals[np.asarray(ranks, dtype=np.int64)])

    def wanted(self, now_ms: int) -> int:
        """Returns how many ranks could be decided now."""
        if not self.dues:
            return self.pending
        ended = self.ended(now_ms)
        return self.pending + sum(ended or due <= now_ms for due in self.dues.values())

    def ended(self, now_ms: int) -> bool:
        """Returns whether it has expired or was cancelled: what waits has not to wait any longer."""
        return self.cancelled or self.terms.expires_ms <= now_ms

    def hold(self, section: Held) -> None:
        """Fold what is said of a pause; the higher word of control stands."""
        if self.held is None or section.upto > self.held.upto:
            self.held = section

    def next_pending(self, count: int) -> list[int]:
        """The first ``count`` ranks that were never decided, ascending."""
        ranks: list[int] = []
        at = self.cursor
        while len(ranks) < count and (at := self.statuses.find(State.PENDING, at)) >= 0:
            ahead = self.statuses[at : at + count - len(ranks)]
            # Counts a run of one byte at the speed of C; a list has millions of ranks, and most of them are in one run.
            run = len(ahead) - len(ahead.lstrip(_PENDING))
            ranks.extend(range(at, at + run))
            at += run
        return ranks

    def attempts_of(self, ranks: Sequence[int]) -> bytes:
        """Returns how often each of ``ranks`` (ascending) was decided to be sent."""
        if ranks and ranks[-1] - ranks[0] == len(ranks) - 1:
            return bytes(self.attempts[ranks[0] : ranks[-1] + 1])
        return bytes(self.attempts[rank] for rank in ranks)

    def decided(self, section: Decided) -> None:
        """Fold decisions, legal ones (``moves.py``)."""
        statuses, attempts = values_of(section.statuses), values_of(section.attempts)
        self._put(section.ranks, statuses, attempts)
        if section.markets:
            sent = (
                rank for rank, status in zip(ranks_of(section.ranks), statuses, strict=True) if status == State.SENDING
            )
            for rank, market in zip(sent, of_u16s(section.markets), strict=True):
                self.markets[rank] = market
        elif section.market:
            for first, count in pairs(section.ranks):
                self.markets[first : first + count] = array("H", (section.market,)) * count
        if self.dues or section.due_ms:
            self._set_dues(ranks_of(section.ranks), statuses, of_i64s(section.due_ms))
        # Ranks are decided about in rising order, but for those that waited: the search for the next begins where this one ended.
        self.cursor = self.statuses.find(State.PENDING, self.cursor) if self.pending else len(self.statuses)

    def answered(self, section: Answered) -> None:
        """Fold answers, legal ones (``moves.py``): all accepted but the exceptions."""
        exceptions = of_u32s(section.except_ranks)
        for first, count in pairs(section.ranks):
            self.statuses[first : first + count] = bytes((State.ACCEPTED,)) * count
            self.left -= count
        for rank, status in zip(exceptions, section.except_statuses, strict=True):
            self.statuses[rank] = status
        # All were taken off above as if accepted; an exception that waits is owed again.
        self.left += unfinished(section.except_statuses)
        for rank, due in zip(exceptions, of_i64s(section.except_due_ms), strict=True):
            if due:
                self.dues[rank] = due

    def _put(self, intervals: bytes, statuses: bytes, attempts: bytes) -> None:
        at = 0
        for first, count in pairs(intervals):
            old, new = self.statuses[first : first + count], statuses[at : at + count]
            self.pending -= old.count(State.PENDING) - new.count(State.PENDING)
            self.left -= count - unfinished(new)
            self.statuses[first : first + count] = new
            self.attempts[first : first + count] = attempts[at : at + count]
            at += count

    def _set_dues(self, ranks: Iterable[int], statuses: bytes, dues: Sequence[int]) -> None:
        coming = iter(dues)
        for rank, status in zip(ranks, statuses, strict=True):
            if status == State.WAITING:
                self.dues[rank] = next(coming)
                self.slowed = True
            else:
                self.dues.pop(rank, None)

    def with_status(self, state: State) -> list[int]:
        """The ranks in one state, ascending."""
        found: list[int] = np.flatnonzero(np.frombuffer(self.statuses, dtype=np.uint8) == state).tolist()
        return found

    def stated(self) -> OpenItem:
        """The whole state as a restatement."""
        waiting = self.with_status(State.WAITING)
        started = any(self.attempts)
        return OpenItem(
            self.opened,
            self.members,
            runs_of(bytes(self.statuses)),
            runs_of(bytes(self.attempts)),
            i64s(self.dues.get(rank, 0) for rank in waiting),
            u16s(self.markets) if started else b"",
            self.held,
        )

    @classmethod
    def restored(cls, entry: OpenItem, at_ms: int) -> "Item":
        """The inverse of :meth:`stated`."""
        item = cls(entry.opened, at_ms)
        item.adopt(entry)
        return item

    def adopt(self, entry: OpenItem) -> None:
        """Fold a whole state into an item of which nothing was decided."""
        if entry.members is not None:
            self.freeze(entry.members)
        self.held = entry.held
        self.statuses = bytearray(many_values_of(entry.statuses))
        self.attempts = bytearray(many_values_of(entry.attempts))
        if entry.markets:
            self.markets = array("H", of_u16s(entry.markets))
        self.pending = self.statuses.count(State.PENDING)
        self.left = unfinished(self.statuses)
        self.dues = dict(zip(self.with_status(State.WAITING), of_i64s(entry.dues), strict=True))
        self.slowed = bool(self.dues)


def recipients_of(people: People) -> list[bytes]:
    """The recipient ids of a column, one by one."""
    return cells(people.recipients, 16)
