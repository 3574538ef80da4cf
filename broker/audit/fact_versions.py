"""Checks versions of facts from three sides: what the verdicts made newest, what a shard had opened, what people were handed.

A fact is (business, entity, facet), versions are the producer's, facet ``*`` dominates every fact of its entity whose event
time is not newer (PROTOCOL.md section 4). The order of hand-offs is the order of the gateway's own log.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from broker.audit.invariants import Breach
from broker.audit.knowledge import Book, Fact, Part
from schemas.ids import NAME_BYTES
from schemas.lanes import Lane

_NOTHING = (-1, -1)
_Newest = dict[bytes, tuple[int, int]]
"""Fact -> (version, event time) of the newest."""


class _Told(NamedTuple):
    """Holds one hand-off about a fact: its version, its time, and the people it went to."""

    version: int
    time_ms: int
    """Time of the event, milliseconds since the epoch."""
    shard: int
    recipients: bytes


class Versions:
    """Checks the order of versions over all lanes and shards."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._opened: dict[tuple[Lane, int], _Newest] = defaultdict(dict)
        self._planned: dict[tuple[Lane, int], _Newest] = defaultdict(dict)
        self._read_plans = False
        self._told: dict[bytes, list[_Told]] = defaultdict(list)
        self._top: _Newest = {}

    # -- the journals

    def opened(self, part: Part) -> None:
        """A part was taken over."""
        if part.request.fact is not None:
            _see(self._opened[part.request.lane, part.shard], part.request.fact)

    def newer_opened(self, part: Part) -> bool:
        """Returns whether the shard had opened something that supersedes ``part``."""
        fact = part.request.fact
        return fact is not None and _superseded(self._opened[part.request.lane, part.shard], fact)

    def newer_planned(self, part: Part) -> bool:
        """Returns whether anything at all that was ever asked of the shard supersedes ``part``."""
        fact = part.request.fact
        if fact is None:
            return False
        if not self._read_plans:
            self._read_plans = True
            for other in self._book.all_parts():
                if other.request.fact is not None:
                    _see(self._planned[other.request.lane, other.shard], other.request.fact)
        return _superseded(self._planned[part.request.lane, part.shard], fact)

    # -- the gateway

    def handed(self, part: Part, recipients: bytes, where: str) -> None:
        """The gateway accepted ``part`` for these people, next in its log."""
        fact = part.request.fact
        if fact is None:
            return
        newer = self._told_newer(part, fact)
        if newer:
            told = {cell for told in newer for cell in _cells(told.recipients)}
            late = sum(cell in told for cell in _cells(recipients))
            if late:
                detail = f"{part}, version {fact.version}"
                self._book.findings.report(Breach.OLDER_AFTER_NEWER, where, detail, messages=late)
        self._told[fact.own].append(_Told(fact.version, fact.time_ms, part.shard, recipients))
        _see(self._top, fact)

    def _told_newer(self, part: Part, fact: Fact) -> Sequence[_Told]:
        if not _superseded(self._top, fact):
            return ()
        same = [told for told in self._told[fact.own] if told.version > fact.version]
        if fact.own != fact.whole:
            same += [told for told in self._told.get(fact.whole, ()) if told.time_ms >= fact.time_ms]
        return [told for told in same if told.shard == part.shard]


def _see(newest: _Newest, fact: Fact) -> None:
    newest[fact.own] = max(newest.get(fact.own, _NOTHING), (fact.version, fact.time_ms))


def _superseded(newest: _Newest, fact: Fact) -> bool:
    if newest.get(fact.own, _NOTHING)[0] > fact.version:
        return True
    return fact.own != fact.whole and newest.get(fact.whole, _NOTHING)[1] >= fact.time_ms


def _cells(column: bytes) -> list[bytes]:
    return [column[at : at + NAME_BYTES] for at in range(0, len(column), NAME_BYTES)]
