"""Folds plan's journal into its running state, and says again what a fold must still know although it was said long ago.

The state holds nothing that the journal does not hold:

- ``names``: every name accepted within its window, so that a repeated event is told from a new one. In the order of their
  last statement, oldest first. What was refused may be asked again, so nothing is remembered of it but while its input may come
  again: whoever publishes refused events at full speed fills nobody's memory.
- ``unfinished``: whole entries whose input is not committed yet, by its offset here. Redelivered input finds its entry and
  the same work goes out again, byte for byte (PROTOCOL.md section 1.3, 1).
- ``free``: until when each sender's throughput is used up.
- ``through``: until when lists ask for each sender's slots, about. Told to businesses, decided by nothing, so never restated.

A name is kept until ``time`` + window - clock slack. An event with that ``time`` is refused as stale from then on, so
forgetting is exact. What it cannot recognise is the same (source, id) with a *later* ``time``: that is a new request.
"""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain, islice
from sys import intern
from typing import Self

import msgspec

from broker.plan.policy import BODY_LIMIT_BYTES
from schemas.plan_journal import Origin, Planned, PlannedBatch
from schemas.wire.head import Header, Kind


class Known(msgspec.Struct, frozen=True):
    """Holds what is remembered of an accepted name."""

    offset: int
    first: Origin | None
    fingerprint: bytes
    decided_ms: int
    """When it was decided, milliseconds since the epoch."""
    keep_ms: int
    """Until when it is remembered, milliseconds since the epoch."""
    stated_ms: int
    """When the journal said it last."""
    business: str = ""
    """Who published it: nobody else may pause or cancel it."""

    @classmethod
    def of(cls, entry: Planned, stated_ms: int) -> Self:
        """Returns what is to be remembered of ``entry``, stated at ``stated_ms``."""
        return cls(
            offset=entry.origin.offset,
            first=entry.first,
            fingerprint=entry.fingerprint,
            decided_ms=entry.decided_ms,
            keep_ms=entry.keep_ms,
            stated_ms=stated_ms,
            # A few businesses name millions of requests; one text each serves all their names.
            business=intern(entry.business if entry.terms is None else entry.terms.business),
        )


class Throughput(msgspec.Struct, frozen=True):
    """A sender's debt, and the entry that says it."""

    free_us: int
    entry: Planned
    """Bare: no content, no rows."""
    stated_ms: int
    """When the journal said it last, milliseconds since the epoch."""


class Unfinished(msgspec.Struct, frozen=True):
    """An entry whose outputs may have to go out again."""

    entry: Planned
    stated_ms: int
    """When the journal said it last, milliseconds since the epoch."""


class PlanState:
    """The fold of one partition of ``plans.<lane>``. Only :meth:`apply`, :meth:`committed` and :meth:`forget` change it.

    ``committed`` is the group's committed offset of ``requests.<lane>`` before the fold: entries below need no body.
    """

    __slots__ = ("_committed", "free", "last_ms", "names", "through", "unfinished", "upto")

    def __init__(self, committed: int = 0) -> None:
        self.names: OrderedDict[bytes, Known] = OrderedDict()
        self.unfinished: dict[int, Unfinished] = {}
        self.free: dict[str, Throughput] = {}
        self.through: dict[str, int] = {}
        self.last_ms = 0
        """The latest time of any record: decisions never go back before it."""
        self.upto = -1
        """The offset of the last record applied."""
        self._committed = committed

    def apply(self, header: Header, batch: PlannedBatch, offset: int) -> None:
        """Take one valid record of kind ``PLANNED`` or ``PLAN_RESTATED``. The owner calls this inside the acknowledgement.

        A restated entry says one thing: a name (without terms), a debt (terms without content), or work that may have to go
        out again (whole).
        """
        self.upto = offset
        self.last_ms = max(self.last_ms, header.at_ms)
        for entry in batch.entries:
            if header.kind is Kind.PLANNED or entry.terms is None:
                self._state_name(entry, header)
            self._state_throughput(entry, header)
            if entry.terms is not None and entry.through_ms:
                self.through[entry.terms.sender] = max(entry.through_ms, self.through.get(entry.terms.sender, 0))
            if whole(entry) and entry.origin.offset >= self._committed:
                self.unfinished[entry.origin.offset] = Unfinished(entry, header.at_ms)

    def known(self, name: bytes, now_ms: int) -> Known | None:
        """Returns what was accepted under a name whose window is open, None if nothing was."""
        known = self.names.get(name)
        return known if known is not None and known.keep_ms > now_ms else None

    def decided_from(self, offset: int) -> Planned | None:
        """The entry that was decided from the input at ``offset``, if that is not committed yet."""
        held = self.unfinished.get(offset)
        return None if held is None else held.entry

    def committed(self, offset: int) -> None:
        """Inputs below ``offset`` are committed *and acknowledged as such*: they never come again, their bodies may go.

        Call it whenever the group's committed offset has moved: until then whole entries stay in memory.
        """
        if offset <= self._committed:
            return
        for finished in [held for held in self.unfinished if held < offset]:
            del self.unfinished[finished]
        self._committed = offset

    def forget(self, most: int | None = None) -> int:
        """Drop what no decision asks for any more: names past their window, debts that are paid. Returns how many names.

        Of the ``most`` names that were said longest ago; None: of all. As of ``last_ms``, which stands in the journal:
        whatever clock comes after, no decision goes back before it.
        """
        looked_at = islice(self.names.items(), most)
        over = [name for name, known in looked_at if known.keep_ms <= self.last_ms]
        for name in over:
            del self.names[name]
        for sender in [sender for sender, owed in self.free.items() if owed.free_us <= self.last_ms * 1000]:
            del self.free[sender]
        for sender in [sender for sender, through_ms in self.through.items() if through_ms <= self.last_ms]:
            del self.through[sender]
        return len(over)

    def oldest_first(self) -> Iterator[tuple[bytes, Known]]:
        """Names in the order in which they were last stated."""
        return iter(self.names.items())

    def _state_name(self, entry: Planned, header: Header) -> None:
        # A journal of an older release says refused names again, too.
        if entry.verdict != 0:
            return
        self.names[entry.name] = Known.of(entry, header.at_ms)
        # Kept in the order of last statement, so that a restatement ends at the first name that is young enough.
        self.names.move_to_end(entry.name)

    def _state_throughput(self, entry: Planned, header: Header) -> None:
        if entry.terms is None or not entry.free_us:
            return
        held = self.free.get(entry.terms.sender)
        # A later debt holds all the earlier ones, so the greatest is the state, and a restated older one lowers nothing.
        if held is None or held.free_us <= entry.free_us:
            self.free[entry.terms.sender] = Throughput(entry.free_us, bare(entry), header.at_ms)


def whole(entry: Planned) -> bool:
    """Returns whether an entry says all that its outputs need; restated names do not."""
    return entry.terms is not None and (entry.verdict != 0 or entry.rows is not None or bool(entry.list))


def bare(entry: Planned) -> Planned:
    """An entry that still says its sender's debt, without content and rows."""
    terms = entry.terms
    if terms is not None:
        terms = msgspec.structs.replace(terms, params={}, labels={}, entity="", facet="", trace="")
    return msgspec.structs.replace(entry, terms=terms, rows=None, list="", detail="")


_encoder = msgspec.msgpack.Encoder()


def restatement(
    state: PlanState, shard: int, *, now_ms: int, before_ms: int, most: int, limit_bytes: int = BODY_LIMIT_BYTES
) -> PlannedBatch | None:
    """The next body of kind ``PLAN_RESTATED``: ``most`` of what was stated until ``before_ms`` and still matters at ``now_ms``.

    None if nothing is due. Changes nothing: append it with a later time than ``before_ms``, apply it, and ask again until
    None comes. Names past their window are not restated; have :meth:`PlanState.forget` drop them before, of ``2 * most``
    names until it drops fewer, so that nobody looks at them for each record.
    """
    entries: list[Planned] = []
    size = 0
    for entry in _due(state, shard, now_ms=now_ms, before_ms=before_ms, most=most):
        size += len(_encoder.encode(entry))
        # The first goes in whatever its size: left out, it would be due for ever and the round would never end.
        if (size > limit_bytes and entries) or len(entries) >= most:
            break
        entries.append(entry)
    return PlannedBatch(tuple(entries)) if entries else None


def _due(state: PlanState, shard: int, *, now_ms: int, before_ms: int, most: int) -> Iterator[Planned]:
    unfinished = (held.entry for held in state.unfinished.values() if held.stated_ms <= before_ms)
    debts = (held.entry for held in state.free.values() if held.stated_ms <= before_ms and held.free_us > now_ms * 1000)
    return chain(unfinished, debts, _names(state, shard, now_ms=now_ms, before_ms=before_ms, most=most))


def _names(state: PlanState, shard: int, *, now_ms: int, before_ms: int, most: int) -> Iterator[Planned]:
    # Those past their window are skipped, and would be for each record: the caller forgets them before.
    for name, known in islice(state.oldest_first(), 4 * most):
        if known.stated_ms > before_ms:
            break
        if known.keep_ms > now_ms:
            yield _bare(name, known, shard)


def _bare(name: bytes, known: Known, shard: int) -> Planned:
    return Planned(
        name=name,
        origin=Origin(shard, known.offset),
        fingerprint=known.fingerprint,
        verdict=0,
        decided_ms=known.decided_ms,
        keep_ms=known.keep_ms,
        first=known.first,
        business=known.business,
    )
