"""Tells what a message waited for between the time when it could go and its decision: slots of its number (PROTOCOL.md 5.2).

While a list, or more explicit recipients than a burst, is open on a number in a shard, everything of that number waits for
slots there. What is open is folded from the shard's journal, so only what the journal proves is said: the requests named
here had messages left to decide while this one waited. Time in a pause is left out. Time in which the gateway turned the
whole business away is not, for that leaves no record.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from broker.deliver.item import Item
from broker.explain.line import Focus, Line, people_text
from schemas.delivery_journal import Answered, Decided, Held, Outcome, Restated
from schemas.lanes import Lane
from schemas.plan_journal import Terms, WorkItem
from schemas.reasons import State
from schemas.wire.columns import of_i64s, of_u32s, ranks_of, values_of
from schemas.wire.header import Header

_SHORT_MS: Final = 100
"""A turn and an append take less: so short a wait is not told."""
_NAMED: Final = 3
"""Requests that are named; the rest are counted."""


class _Other(msgspec.Struct):
    """Another request that goes out in slots of the number."""

    item: Item
    place: str
    """Where the journal says that it was opened."""


class NumberWatch:
    """Follows the requests of one number in one shard's journal, to tell how long one of them waited for slots, and beside whom.

    Records are applied in the order of the log. ``terms`` are those of ``request``.
    """

    def __init__(self, lane: Lane, request: bytes, terms: Terms) -> None:
        self._request = request
        self._sender = terms.sender
        self._number = terms.sender.encode()
        self._goes_after_ms = terms.expires_ms if lane.rules.by_deadline else 0
        """A request that expires before this has the slots first."""
        self._open: dict[bytes, _Other] = {}
        self._beside: dict[bytes, _Other] = {}
        """Those that had something to decide while the request waited."""
        self._own: WorkItem | None = None
        self._ready_ms = 0
        """Since when the request can be decided about; 0: it is not taken over, or decided, or paused."""
        self._paused_ms = 0
        """The same, while the request is paused."""

    def concerns(self, value: bytes) -> bool:
        """Returns whether a record may speak of the number: its bytes name it, or a request that is open on it."""
        return self._number in value or any(name in value for name in self._open)

    def outcome(self, focus: Focus, header: Header, body: Outcome | Restated, place: str) -> Iterator[Line]:
        """Applies a valid record; yields a line if it decides about a message that waited."""
        if isinstance(body, Restated):
            for entry in body.open:
                self._restated(Item.restored(entry, header.at_ms), place)
            return
        self._begun(header, body, place)
        if self._ready_ms:
            self._beside |= {name: other for name, other in self._open.items() if _decides(other.item)}
        for section in body.decided:
            if section.request == self._request:
                yield from self._decided(focus, header, section)
        for answer in body.answered:
            if answer.request == self._request:
                self._answered(focus, header, answer)
        self._went_on(header, body)

    def still(self, shard: int) -> Iterator[Line]:
        """Yields, at the end of the log, that the request waits and beside whom."""
        if self._ready_ms and self._beside:
            yield Line(self._ready_ms, "deliver", f"in shard {shard} it waits for {self._slots()}", self._place())

    def _restated(self, item: Item, place: str) -> None:
        if item.request != self._request and item.request not in self._open:
            self._opened(item, place)

    def _opened(self, item: Item, place: str) -> None:
        if item.paced and item.terms.sender == self._sender:
            self._open[item.request] = _Other(item, place)

    def _wait(self, ready_ms: int) -> None:
        self._ready_ms = ready_ms
        self._beside.clear()

    def _hold(self, held: Held, at_ms: int) -> None:
        if held.held:
            self._paused_ms = self._paused_ms or self._ready_ms
            self._ready_ms = 0
        elif self._paused_ms:
            self._wait(max(self._paused_ms, at_ms))
            self._paused_ms = 0

    def _begun(self, header: Header, body: Outcome, place: str) -> None:
        """Apply what a record opens and freezes: from then on it can be decided about."""
        for opened in body.opened:
            if opened.item.request == self._request:
                self._own = opened.item
                self._wait(max(opened.taken_ms, opened.item.start_ms) if opened.item.rows else 0)
            else:
                self._opened(Item(opened, header.at_ms), place)
        for members in body.members:
            if members.request == self._request and self._own is not None:
                self._wait(max(header.at_ms, self._own.start_ms))
            elif members.request in self._open and not self._open[members.request].item.frozen:
                self._open[members.request].item.freeze(members)

    def _went_on(self, header: Header, body: Outcome) -> None:
        """Apply pauses, and what a record decides and answers about the others; who is finished uses no slots any more."""
        for decided in body.decided:
            if decided.request in self._open:
                self._open[decided.request].item.decided(decided)
        for answered in body.answered:
            if answered.request in self._open:
                self._open[answered.request].item.answered(answered)
        for held in body.held:
            if held.request == self._request:
                self._hold(held, header.at_ms)
            elif held.request in self._open:
                self._open[held.request].item.hold(held)
        self._open = {name: other for name, other in self._open.items() if not other.item.finished}

    def _decided(self, focus: Focus, header: Header, section: Decided) -> Iterator[Line]:
        statuses = values_of(section.statuses)
        about = [statuses[position] for position in focus.of(header.shard, ranks_of(section.ranks))]
        if State.SENDING in about and self._ready_ms:
            waited_ms = header.at_ms - self._ready_ms
            if waited_ms >= _SHORT_MS and (self._beside or self._paced):
                text = f"in shard {header.shard} it waited {waited_ms / 1_000:,.1f} s for {self._slots()}"
                yield Line(self._ready_ms, "deliver", text, self._place())
        if about:
            self._wait(min(of_i64s(section.due_ms), default=0) if State.WAITING in about else 0)

    def _answered(self, focus: Focus, header: Header, section: Answered) -> None:
        dues = of_i64s(section.except_due_ms)
        about = focus.of(header.shard, of_u32s(section.except_ranks))
        due_ms = min((dues[position] for position in about if dues and dues[position]), default=0)
        if due_ms:
            self._wait(due_ms)

    @property
    def _paced(self) -> bool:
        return self._own is not None and self._own.per_s > 0

    def _slots(self) -> str:
        own = f", {self._own.per_s:,} a second at its acceptance" if self._own is not None and self._own.per_s else ""
        others = [self._named(other.item) for other in self._beside.values()]
        return f"slots of its number {self._sender}{own}{_beside_text(others)}"

    def _place(self) -> str:
        return next((other.place for other in self._beside.values()), "")

    def _named(self, item: Item) -> str:
        work = item.opened.item
        whom = f"list {work.list}" if work.list else f"{people_text(len(work.rows or ()))} here"
        said = f"{item.terms.id} of {item.terms.source} ({whom}"
        if not self._paced:
            said += f", {work.per_s:,} a second at its acceptance"
        return said + (", expires sooner and goes first)" if item.terms.expires_ms < self._goes_after_ms else ")")


def _decides(item: Item) -> bool:
    held = item.held is not None and item.held.held
    return item.pending > 0 and not held


def _beside_text(others: Sequence[str]) -> str:
    if not others:
        return ""
    more = f" and {len(others) - _NAMED:,} more" if len(others) > _NAMED else ""
    return f"; open on it, too: {', '.join(others[:_NAMED])}{more}"
