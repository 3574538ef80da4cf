"""Follows one person through the journals of their shard: every request that is about them, and how it stands with them."""

from collections.abc import Iterator

import msgspec

from broker.audit.sources import Logged
from broker.deliver.state import body_of_outcome
from broker.explain.delivery_lines import rank_said
from broker.explain.line import Focus
from broker.explain.tally import Tally
from broker.heartbeat import is_heartbeat
from broker.journal import Fold
from schemas.delivery_journal import Opened, Outcome, Restated
from schemas.facts import Receipts
from schemas.lanes import Lane
from schemas.plan_journal import Terms
from schemas.wire.columns import of_u32s, ranks_of
from schemas.wire.header import Header, body_of, head_of
from schemas.wire.item_parts import Parts


class Encounter(msgspec.Struct, frozen=True):
    """Holds a request that is about a person."""

    at_ms: int
    """When the person's shard took it over."""
    lane: Lane
    terms: Terms
    list: str
    """Empty for an explicit recipient."""
    state: str
    """The state of the person's message: ``delivered``, ``stopped``, ``waiting``."""
    handed_ms: int = 0
    """When the gateway took it, milliseconds since the epoch; 0: it has not, or the log does not say any more."""


class _Open:
    """A request of the shard; whether it is about the person is known once its members are."""

    __slots__ = ("focus", "handed_ms", "opened", "tally")

    def __init__(self, opened: Opened, focus: Focus) -> None:
        self.opened = opened
        self.focus = focus
        self.handed_ms = 0
        self.tally = Tally()


class Trail:
    """Takes the records of one lane and shard in the order of their logs; :meth:`encounters` says what they come to.

    ``ordinal`` is the person's place in the shard's audience log, -1 for somebody who never joined a list.
    """

    def __init__(self, lane: Lane, shard: int, recipient: bytes, ordinal: int) -> None:
        self._lane = lane
        self._shard = shard
        self._recipient = recipient
        self._ordinal = ordinal
        self._fold, self._parts = Fold(), Parts()
        self._open: dict[bytes, _Open] = {}

    def outcome(self, record: Logged) -> None:
        """The next record of the journal, every one."""
        value = record.value or b""
        header = self._fold.admit(value)
        if header is None:
            return
        body = self._parts.said(body_of_outcome(header, value))
        if isinstance(body, Outcome | Restated):
            self._meet(body)
            for request in _named(body):
                self._apply(request, header, body)

    def receipts(self, record: Logged) -> None:
        """A record of receipts; read after the journal."""
        header, body = head_of(record.value or b""), body_of(record.value or b"", Receipts)
        for run in body.runs:
            known = self._open.get(run.request)
            if known is not None:
                known.tally.received(header.shard, run)

    def encounters(self) -> list[Encounter]:
        """Returns every request that is about the person, in the order in which it was taken over."""
        found = [self._encounter(known) for known in self._open.values() if known.focus.rank >= 0]
        return sorted(found, key=lambda one: one.at_ms)

    def _meet(self, body: Outcome | Restated) -> None:
        opened = body.opened if isinstance(body, Outcome) else tuple(entry.opened for entry in body.open)
        for each in opened:
            item = each.item
            if item.request not in self._open and not is_heartbeat(item.terms.business):
                self._open[item.request] = _Open(each, Focus(item.request, self._recipient, self._shard))

    def _apply(self, request: bytes, header: Header, body: Outcome | Restated) -> None:
        known = self._open.get(request)
        if known is None:
            return
        if known.focus.rank < 0:
            rank = rank_said(known.focus, body, self._ordinal)
            known.focus = msgspec.structs.replace(known.focus, rank=rank)
        known.tally.outcome(request, header, body)
        if known.focus.rank >= 0 and isinstance(body, Outcome):
            known.handed_ms = known.handed_ms or _handed_ms(known.focus, header, body)
        if known.focus.rank < 0 and known.tally.frozen_ms(self._shard):
            del self._open[request]

    def _encounter(self, known: _Open) -> Encounter:
        item = known.opened.item
        state = next(word for _, rank, word in known.tally.ranks() if rank == known.focus.rank)
        return Encounter(known.opened.taken_ms, self._lane, item.terms, item.list, state, known.handed_ms)


def _handed_ms(focus: Focus, header: Header, body: Outcome) -> int:
    """Returns when the gateway accepted the person's message, if the record says so; else 0."""
    for answered in body.answered:
        about = answered.request == focus.request and focus.rank in ranks_of(answered.ranks)
        if about and focus.rank not in of_u32s(answered.except_ranks):
            return answered.gateway_ms or header.at_ms
    return 0


def _named(body: Outcome | Restated) -> Iterator[bytes]:
    """Yields every request that a record speaks of, once."""
    if isinstance(body, Restated):
        yield from dict.fromkeys(entry.opened.item.request for entry in body.open)
        return
    names = [each.item.request for each in body.opened]
    for sections in (body.members, body.decided, body.answered, body.held):
        names += [each.request for each in sections]
    yield from dict.fromkeys(names)
