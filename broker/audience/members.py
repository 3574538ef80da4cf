"""Who belongs to which list, as a join over one shard of the log ``audience.changes``.

*Ordinals* number the people of a shard densely in the order of their first appearance in its log. That log is never trimmed
or compacted, so every reader computes the same ordinals without a coordinator (PROTOCOL.md section 1.5). *Membership* is
ordered by evidence time, capped at the time it was received; leaving wins a tie. A person's address, locale and market come
from the join with the latest evidence; of two at the same time the greater bytes win, so that order does not matter.
"""

from array import array
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from schemas.facts import AudienceChange
from schemas.names import NAME_BYTES
from schemas.planned import ADDRESS_WIDTH, LOCALE_WIDTH
from schemas.wire.columns import cells, of_i64s

_MARKET_WIDTH: Final = 2
_LOCALE_END: Final = ADDRESS_WIDTH + LOCALE_WIDTH
_PROFILE_WIDTH: Final = _LOCALE_END + _MARKET_WIDTH
"""A profile is address, locale and market, one after the other."""
_NO_PROFILE: Final = bytes(_PROFILE_WIDTH)


class MemberColumns:
    """Columns of some people, in the order they were asked for: 16, 33 and 2 bytes each, and a calling code each."""

    __slots__ = ("addresses", "locales", "markets", "recipients")

    def __init__(self, recipients: bytes, profiles: npt.NDArray[np.uint8]) -> None:
        self.recipients = recipients
        self.addresses = profiles[:, :ADDRESS_WIDTH].tobytes()
        self.locales = profiles[:, ADDRESS_WIDTH:_LOCALE_END].tobytes()
        self.markets: list[int] = np.frombuffer(profiles[:, _LOCALE_END:].tobytes(), dtype=">u2").tolist()


class _Membership:
    """One list: a stamp for each person ever named (twice the evidence time, plus one if they left), and who is in."""

    __slots__ = ("frozen", "joined", "stamps")

    def __init__(self) -> None:
        self.stamps: dict[int, int] = {}
        self.joined = BitMap()
        self.frozen: BitMap | None = None

    def fold(self, ordinals: Iterable[int], stamps: Iterable[int]) -> None:
        held = self.stamps
        news = [(o, s) for o, s in zip(ordinals, stamps, strict=True) if s > held.get(o, -1)]
        news.sort(key=lambda change: change[1])
        held.update(news)
        named = dict(news)
        self.joined |= BitMap(o for o, s in named.items() if not s & 1)
        self.joined -= BitMap(o for o, s in named.items() if s & 1)
        self.frozen = None


class Audience:
    """The people of one shard and their lists."""

    __slots__ = ("_lists", "_ordinals", "_profiles", "_profiles_ms", "_recipients", "changed", "upto")

    def __init__(self) -> None:
        self.upto = -1
        """Offset of the last change that was applied."""
        self.changed: set[tuple[str, str]] = set()
        """Lists that somebody joined or left since their sizes were told; whoever tells them takes them out."""
        self._ordinals: dict[bytes, int] = {}
        self._recipients = bytearray()
        self._profiles = bytearray()
        self._profiles_ms = array("q")
        self._lists: dict[tuple[str, str], _Membership] = {}

    def __len__(self) -> int:
        """How many people have an ordinal."""
        return len(self._ordinals)

    def apply(self, change: AudienceChange, offset: int) -> None:
        """Fold the change at ``offset`` of the shard's log; ``ValueError`` if its columns have different lengths."""
        people = cells(change.recipients, NAME_BYTES)
        evidence = [min(at_ms, change.received_ms) for at_ms in of_i64s(change.evidence_ms)]
        if len(evidence) != len(people):
            raise ValueError("an audience change whose columns have different lengths")
        profiles = _profiles_in(change, len(people)) if change.join else []
        ordinals = self._ordinals_of(people)
        if change.join:
            self._profile(ordinals, evidence, profiles)
        stamps = [2 * at_ms + (not change.join) for at_ms in evidence]
        self._lists.setdefault((change.business, change.list), _Membership()).fold(ordinals, stamps)
        self.changed.add((change.business, change.list))
        self.upto = offset

    def size(self, business: str, list_id: str) -> int:
        """Return how many people of this shard are in the list now."""
        members = self._lists.get((business, list_id))
        return 0 if members is None else len(members.joined)

    def freeze(self, business: str, list_id: str) -> BitMap:
        """The ordinals of those who are in the list now. Shared until the list changes: not to be changed by callers."""
        members = self._lists.get((business, list_id))
        if members is None:
            return BitMap()
        if members.frozen is None:
            members.frozen = BitMap(members.joined)
        return members.frozen

    def joined(self, business: str, list_id: str, ordinal: int) -> bool:
        """Whether one person is in the list now."""
        members = self._lists.get((business, list_id))
        return members is not None and ordinal in members.joined

    def rows(self, ordinals: Sequence[int] | npt.NDArray[np.uint32]) -> MemberColumns:
        """The columns of some people; ``IndexError`` for an ordinal that was never given out."""
        wanted = np.asarray(ordinals, dtype=np.int64)
        recipients = np.frombuffer(self._recipients, dtype=f"V{NAME_BYTES}")[wanted].tobytes()
        profiles = np.frombuffer(self._profiles, dtype=np.uint8).reshape(-1, _PROFILE_WIDTH)[wanted]
        return MemberColumns(recipients, profiles)

    def _ordinals_of(self, people: Sequence[bytes]) -> list[int]:
        known = self._ordinals
        before = len(known)
        ordinals = [known.setdefault(person, len(known)) for person in people]
        if len(known) > before:
            fresh = [person for person, ordinal in zip(people, ordinals, strict=True) if ordinal >= before]
            if len(fresh) > len(known) - before:
                fresh = list(dict.fromkeys(fresh))
            self._recipients += b"".join(fresh)
            self._profiles += _NO_PROFILE * len(fresh)
            self._profiles_ms.extend([-1] * len(fresh))
        return ordinals

    def _profile(self, ordinals: Sequence[int], evidence: Sequence[int], profiles: Sequence[bytes]) -> None:
        held, held_ms = self._profiles, self._profiles_ms
        for ordinal, at_ms, profile in zip(ordinals, evidence, profiles, strict=True):
            place = slice(ordinal * _PROFILE_WIDTH, (ordinal + 1) * _PROFILE_WIDTH)
            if at_ms > held_ms[ordinal] or (at_ms == held_ms[ordinal] and profile > held[place]):
                held[place] = profile
                held_ms[ordinal] = at_ms


def _profiles_in(change: AudienceChange, count: int) -> list[bytes]:
    columns = ((change.addresses, ADDRESS_WIDTH), (change.locales, LOCALE_WIDTH), (change.markets, _MARKET_WIDTH))
    if any(len(column) != width * count for column, width in columns):
        raise ValueError("an audience change whose columns have different lengths")
    return [b"".join(parts) for parts in zip(*(cells(column, width) for column, width in columns), strict=True)]
