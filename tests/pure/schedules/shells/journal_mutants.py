"""Planted bugs: the journal's shell with one rule of the protocol broken."""

from collections.abc import Mapping
from typing import Final

import msgspec

from broker.claims import Round
from broker.journal import Ownership
from streams.kafka.journal import Journal
from streams.kafka.journal_terms import JournalTerms
from streams.kafka.kafka_time import KafkaTime
from streams.runtime import clock
from streams.worker import resources
from tests.pure.schedules.shells.journal import JournalOwner
from tests.pure.schedules.shells.process import StandIn


class _OwnTime(KafkaTime):
    def now_ms(self) -> int:
        return clock.now_ms()


OWN_TIME: Final[StandIn] = (resources, "KafkaTime", _OwnTime)
"""Row 24: whatever Kafka says, time is the machine's."""


class NoAdjacencyJournal(Journal):
    """Never looks at a gap."""

    async def _read_gap(self, ownership: Ownership, gap: range) -> None:
        """Nothing is looked at."""


class NoAdjacency(JournalOwner):
    """Row 5 and 9: acts on its append without looking at the gap before it."""

    journal_type = NoAdjacencyJournal


class _FloorAtTheEnd(Journal):
    async def repeat_claim(self, floor: int) -> None:  # noqa: ARG002 - whatever it is
        assert self._next is not None
        await super().repeat_claim(self._next)


class FloorAtTheEnd(JournalOwner):
    """Section 1.2, 5: the repeated claim carries the end of the log, and not a claim."""

    journal_type = _FloorAtTheEnd


class NeverRestates(JournalOwner):
    """Section 1.2, 5: claims again without having said what is open."""

    async def restate(self, due: Round) -> None:
        await self.journal.repeat_claim(due.floor)


class _ClaimsAnyway(Journal):
    async def open(self, terms: JournalTerms) -> None:
        await super().open(msgspec.structs.replace(terms, still_assigned=lambda: True))


class ClaimsAnyway(JournalOwner):
    """Section 1.2, 1: claims although the shard was taken away meanwhile."""

    journal_type = _ClaimsAnyway


class _OwnFloor(Journal):
    async def _first_offset(self) -> int:
        offset = await super()._first_offset()
        self._own_floor = self.claims.floor
        return offset

    async def _claim(self, terms: JournalTerms) -> bool:
        self.claims.floor = self._own_floor
        return await super()._claim(terms)


class OwnFloor(JournalOwner):
    """Section 1.2, 6: hands on a floor of its own, and not the one that owners in between have raised."""

    journal_type = _OwnFloor


class _FoldsOthersOnly(Journal):
    async def _append(self, value: bytes) -> int:
        ownership = self._owned()
        (appended,) = await self._producer.confirm([self._outgoing(value)])
        if gap := ownership.gap_before(appended.offset):
            await self._read_gap(ownership, gap)
        ownership.confirm(appended.offset)
        self._next = appended.offset + 1
        return appended.offset


class ForgetsItsOwn(JournalOwner):
    """Section 1.2: what was appended is not folded, and memory is not the journal."""

    journal_type = _FoldsOthersOnly


JOURNAL_MUTANTS: Final[Mapping[str, type[JournalOwner]]] = {
    "row 9: no adjacency check": NoAdjacency,
    "section 1.2, 5: a repeated claim carries the end of the log": FloorAtTheEnd,
    "section 1.2, 5: claims a floor without restating": NeverRestates,
    "section 1.2, 1: claims what was taken away": ClaimsAnyway,
    "section 1.2, 6: hands on a floor of its own": OwnFloor,
    "section 1.2: does not fold its own append": ForgetsItsOwn,
}
