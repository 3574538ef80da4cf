"""Who belongs to which list, as a join over one shard of the log ``audience.changes``.

*Ordinals* number the people of a shard densely in the order of their first appearance in its log. That log is never trimmed
or compacted, so every reader computes the same ordinals without a coordinator (PROTOCOL.md section 1.5). *Membership* is
ordered by evidence time, capped at the time it was received; leaving wins a tie. A person's address, locale and market come
from the join with the latest evidence; of two at the same time the greater bytes win, so that order does not matter.

*Returns.* Joining by an act of one's own takes an older STOP back (``consent.py``), so the latest act counts even if an import
or a leaving came after it. It is held apart only then; otherwise the membership's own stamp says it.
"""

from array import array
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from broker.audience.consent import Returns
from schemas.facts import AudienceChange
from schemas.ids import NAME_BYTES
from schemas.plan_journal import ADDRESS_WIDTH, LOCALE_WIDTH
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


class _How(IntEnum):
    """Orders the ways in which a membership can change last; the greater wins at the same time."""

    IMPORTED = 0
    ACTED = 1
    """Joined by an act of their own."""
    ACTED_FOR_OFFERS = 2
    """The same, to be sent marketing."""
    LEFT = 3


class _Membership:
    """Holds one list: a stamp for each person ever named (four times the evidence time, plus ``_How``), and who is in."""

    __slots__ = ("_acts", "_acts_for_offers", "frozen", "joined", "stamps")

    def __init__(self) -> None:
        self.stamps: dict[int, int] = {}
        self.joined = BitMap()
        self.frozen: BitMap | None = None
        self._acts: dict[int, int] = {}
        """The latest act of those whose stamp says something else."""
        self._acts_for_offers: dict[int, int] = {}

    def fold(self, ordinals: Iterable[int], evidence: Iterable[int], how: _How) -> None:
        held = self.stamps
        news: list[tuple[int, int]] = []
        for ordinal, at_ms in zip(ordinals, evidence, strict=True):
            stamp, before = 4 * at_ms + how, held.get(ordinal, -1)
            if stamp > before:
                news.append((ordinal, stamp))
                if before >= 0 and before & 3 != how:
                    self._remember(ordinal, before)
            elif before & 3 != how:
                self._remember(ordinal, stamp)
        if news:
            self._change(news, how)
        self.frozen = None

    def _change(self, news: list[tuple[int, int]], how: _How) -> None:
        """Sets stamps (ordinal, stamp), and who is in."""
        if len(news) == 1:  # who joins by themselves comes alone, and a start folds all of them
            ((ordinal, stamp),) = news
            self.stamps[ordinal] = stamp
            (self.joined.discard if how is _How.LEFT else self.joined.add)(ordinal)
            return
        # Somebody may stand in one change twice: the later stamp is set last, and stays.
        news.sort(key=lambda change: change[1])
        self.stamps.update(news)
        changed = BitMap([ordinal for ordinal, _ in news])
        if how is _How.LEFT:
            self.joined -= changed
        else:
            self.joined |= changed

    def acted_ms(self, ordinal: int) -> int:
        """Returns when somebody last joined by an act of their own; -1: never."""
        stamp = self.stamps.get(ordinal, -1)
        now_ms = stamp >> 2 if stamp >= 0 and stamp & 3 in _ACTS else -1
        return max(now_ms, self._acts.get(ordinal, -1))

    def acted_for_offers_ms(self, ordinal: int) -> int:
        """Returns the same of acts by which they asked for marketing."""
        stamp = self.stamps.get(ordinal, -1)
        now_ms = stamp >> 2 if stamp >= 0 and stamp & 3 == _How.ACTED_FOR_OFFERS else -1
        return max(now_ms, self._acts_for_offers.get(ordinal, -1))

    def _remember(self, ordinal: int, stamp: int) -> None:
        """Keeps an act whose stamp is not, or will not be, the latest."""
        how, at_ms = stamp & 3, stamp >> 2
        if how in _ACTS:
            self._acts[ordinal] = max(at_ms, self._acts.get(ordinal, -1))
        if how == _How.ACTED_FOR_OFFERS:
            self._acts_for_offers[ordinal] = max(at_ms, self._acts_for_offers.get(ordinal, -1))


_ACTS: Final = frozenset({_How.ACTED, _How.ACTED_FOR_OFFERS})


class Audience:
    """The people of one shard and their lists."""

    __slots__ = ("_for_offers", "_lists", "_ordinals", "_profiles", "_profiles_ms", "_recipients", "changed", "upto")

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
        self._for_offers: dict[str, dict[str, _Membership]] = {}
        """By business, the lists that anybody joined to be sent marketing."""

    def __len__(self) -> int:
        """Returns how many people have an ordinal."""
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
        how = _how(change)
        members = self._lists.get((change.business, change.list))
        if members is None:
            members = self._lists[change.business, change.list] = _Membership()
        members.fold(ordinals, evidence, how)
        if how is _How.ACTED_FOR_OFFERS:
            self._for_offers.setdefault(change.business, {})[change.list] = members
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
        """Returns whether one person is in the list now."""
        members = self._lists.get((business, list_id))
        return members is not None and ordinal in members.joined

    def returns(self, business: str, list_id: str, ordinal: int) -> Returns:
        """Returns when somebody last joined this list, or any list for its offers, by an act of their own."""
        members = self._lists.get((business, list_id))
        lists = self._for_offers.get(business, {}).values()
        return Returns(
            -1 if members is None else members.acted_ms(ordinal),
            max((one.acted_for_offers_ms(ordinal) for one in lists), default=-1),
        )

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


def _how(change: AudienceChange) -> _How:
    if not change.join:
        return _How.LEFT
    if not change.acted:
        return _How.IMPORTED
    return _How.ACTED_FOR_OFFERS if change.offers else _How.ACTED


def _profiles_in(change: AudienceChange, count: int) -> list[bytes]:
    columns = ((change.addresses, ADDRESS_WIDTH), (change.locales, LOCALE_WIDTH), (change.markets, _MARKET_WIDTH))
    if any(len(column) != width * count for column, width in columns):
        raise ValueError("an audience change whose columns have different lengths")
    if count == 1:
        return [change.addresses + change.locales + change.markets]
    return [b"".join(parts) for parts in zip(*(cells(column, width) for column, width in columns), strict=True)]
