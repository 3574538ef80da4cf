"""A section taken apart: the people of its columns, at their positions. Refuses what does not fit together."""

from functools import cached_property

import numpy as np

from schemas.gateway_api import Section
from schemas.ids import HEARTBEAT_BUSINESS, name_of
from schemas.plan_journal import ADDRESS_WIDTH, LOCALE_WIDTH
from schemas.wire.columns import cells
from streams.simulator.id_set import ID_BYTES

Intervals = tuple[tuple[int, int], ...]


class FormError(ValueError):
    """A frame whose parts do not fit together. Its sender has a defect; nothing of it is taken."""


class Rows:
    """The people of one section. Once made it answers everything: what does not fit raises :class:`FormError` here."""

    def __init__(self, section: Section) -> None:
        self.section = section
        self.count = sum(count for _, count in section.ranks)
        try:
            self.request = name_of(section.request)
        except ValueError as error:
            raise FormError(f"request: {error}") from error
        self.recipients = section.recipients
        if len(self.recipients) != self.count * ID_BYTES:
            raise FormError("recipients and ranks differ in number")
        if section.params_each and len(section.params_each) != self.count:
            raise FormError("params_each and ranks differ in number")
        _demand_ascending(section.ranks)
        self._addresses = section.addresses
        if len(self._addresses) != self.count * ADDRESS_WIDTH:
            raise FormError("addresses and ranks differ in number")
        self._locales = section.locales
        if len(self._locales) not in {LOCALE_WIDTH, self.count * LOCALE_WIDTH}:
            raise FormError("locales and ranks differ in number")

    def recipient(self, position: int) -> bytes:
        """The recipient id at ``position``."""
        return self.recipients[position * ID_BYTES : (position + 1) * ID_BYTES]

    @cached_property
    def ranks(self) -> list[int]:
        """The rank of each position."""
        return listed(self.section.ranks)

    def address(self, position: int) -> bytes:
        """The sealed address at ``position``."""
        return self._addresses[position * ADDRESS_WIDTH : (position + 1) * ADDRESS_WIDTH]

    def locale(self, position: int) -> str:
        """The language at ``position``."""
        if len(self._locales) == LOCALE_WIDTH:
            return self._locales.decode("latin-1")
        return self._locales[position * LOCALE_WIDTH : (position + 1) * LOCALE_WIDTH].decode("latin-1")

    @cached_property
    def languages(self) -> frozenset[str]:
        """Every language of the section."""
        column = self._locales
        alike = column == column[:LOCALE_WIDTH] * (len(column) // LOCALE_WIDTH)
        found = {column[:LOCALE_WIDTH]} if alike else set(cells(column, LOCALE_WIDTH))
        return frozenset(cell.decode("latin-1") for cell in found)

    def params(self, position: int) -> dict[str, str]:
        """The parameters at ``position``: the section's, and the row's own on top."""
        each = self.section.params_each
        return self.section.params | each[position] if each else self.section.params

    def part(self, positions: list[int]) -> tuple[Intervals, bytes]:
        """Ranks (as intervals) and recipient ids of some ascending positions."""
        if len(positions) == self.count:
            return self.section.ranks, self.recipients
        ranks = self.ranks
        column = np.frombuffer(self.recipients, f"V{ID_BYTES}")[positions].tobytes()
        return intervals([ranks[at] for at in positions]), column


def is_heartbeat(business: str) -> bool:
    """Returns whether a message only proves that the way is open: no account, no limits, a phone that is always on."""
    return business == HEARTBEAT_BUSINESS or business.startswith(HEARTBEAT_BUSINESS + "-")


def listed(ranks: Intervals) -> list[int]:
    """Returns each rank of (first, count) pairs, in their order."""
    return [rank for first, count in ranks for rank in range(first, first + count)]


def intervals(ranks: list[int]) -> Intervals:
    """Returns the inverse of :func:`listed`: ascending ranks as (first, count) pairs, as few as can be."""
    if ranks and ranks[-1] - ranks[0] == len(ranks) - 1:
        return ((ranks[0], len(ranks)),)
    found: list[tuple[int, int]] = []
    first = count = 0
    for rank in ranks:
        if count and rank == first + count:
            count += 1
            continue
        if count:
            found.append((first, count))
        first, count = rank, 1
    if count:
        found.append((first, count))
    return tuple(found)


def _demand_ascending(ranks: Intervals) -> None:
    end = 0
    for first, count in ranks:
        if first < end or count < 1:
            raise FormError("ranks must ascend and not overlap")
        end = first + count
    if not ranks:
        raise FormError("a section addresses somebody")
