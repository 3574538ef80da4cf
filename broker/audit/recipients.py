"""Keeps people as columns: shards of many recipient ids at once, and who was on which list at which offset.

Murmur2 is computed over whole columns of 16 bytes; ``tests/pure/audit/test_parts.py`` holds it against ``schemas.ids``.
Membership is folded from ``audience.changes`` as PROTOCOL.md section 1.3 (16) has it: the latest evidence wins, leaving
wins a tie; ordinals are the order of first appearance in the shard's log.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from schemas.facts import AudienceChange
from schemas.ids import NAME_BYTES

Words = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]

_FEW: Final = 4
_M: Final = np.uint32(0x5BD1E995)
_SEED: Final = np.uint32(0x9747B28C ^ NAME_BYTES)
_ID: Final = struct.Struct("<4I")
_ID_M: Final = int(_M)
_ID_BEGUN: Final = int(_SEED) * int(_M)
_U32: Final = 0xFFFFFFFF
_NEVER_MS: Final = -(2**62)


def shards_of(recipients: bytes, shards: int) -> list[int]:
    """The shard of each id of a column."""
    count = len(recipients) // NAME_BYTES
    if count <= _FEW:
        return [_mixed(*words) % shards for words in _ID.iter_unpack(recipients)]
    words = np.frombuffer(recipients, dtype="<u4").reshape(count, 4)
    mixed = np.full(count, _SEED, dtype=np.uint32)
    for place in range(4):
        word = words[:, place] * _M
        word = (word ^ (word >> np.uint32(24))) * _M
        mixed = (mixed * _M) ^ word
    mixed = (mixed ^ (mixed >> np.uint32(13))) * _M
    mixed ^= mixed >> np.uint32(15)
    found: list[int] = ((mixed & np.uint32(0x7FFFFFFF)) % np.uint32(shards)).tolist()
    return found


def _mixed(first: int, second: int, third: int, fourth: int) -> int:
    """The hash of one id, without its sign; written out, for it is computed for every single message."""
    times, low = _ID_M, _U32
    word = (first * times) & low
    mixed = _ID_BEGUN ^ ((word ^ (word >> 24)) * times)
    word = (second * times) & low
    mixed = ((mixed & low) * times) ^ ((word ^ (word >> 24)) * times)
    word = (third * times) & low
    mixed = ((mixed & low) * times) ^ ((word ^ (word >> 24)) * times)
    word = (fourth * times) & low
    mixed = (((mixed & low) * times) ^ ((word ^ (word >> 24)) * times)) & low
    mixed = ((mixed ^ (mixed >> 13)) * times) & low
    return (mixed ^ (mixed >> 15)) & 0x7FFFFFFF


def prefixes(recipients: bytes) -> npt.NDArray[np.uint64]:
    """The first 8 bytes of each id: enough to tell people apart before one looks closely."""
    return np.frombuffer(recipients, dtype=np.uint64)[::2]


class Word(NamedTuple):
    """Holds one change of one person."""

    at_ms: int
    """Log time: when it was acknowledged."""
    evidence_ms: int
    """When the person consented or left, milliseconds since the epoch; the latest holds."""
    join: bool


class _Change(NamedTuple):
    """Holds a change of a list, as columns."""

    offset: int
    at_ms: int
    """Log time: when the change was acknowledged, milliseconds since the epoch."""
    join: bool
    ordinals: Words
    evidence_ms: npt.NDArray[np.int64]
    """When each person of ``ordinals`` consented or left, milliseconds since the epoch."""


def joined_at(words: Iterable[Word], at_ms: int) -> bool:
    """Returns whether a person was on the list by what had been acknowledged at ``at_ms``."""
    held_ms, joined = _NEVER_MS, False
    for word in words:
        if word.at_ms > at_ms:
            break
        if word.evidence_ms > held_ms or (word.evidence_ms == held_ms and not word.join):
            held_ms, joined = word.evidence_ms, word.join
    return joined


class ListFold:
    """Folds one list in one shard up to an offset that may be moved back and forth."""

    __slots__ = ("_at", "_changes", "_evidence", "_leavers", "joined")

    def __init__(self) -> None:
        self._changes: list[_Change] = []
        self._leavers: dict[int, list[Word]] | None = None
        self._at = 0
        self._evidence = np.empty(0, dtype=np.int64)
        self.joined: Flags = np.empty(0, dtype=np.bool_)
        """A flag for each ordinal: whether the person was on the list at the offset folded to."""

    def add(self, offset: int, at_ms: int, change: AudienceChange, ordinals: Words) -> None:
        """The next change of the log, acknowledged at ``at_ms``."""
        evidence = np.minimum(np.frombuffer(change.evidence_ms, dtype=">i8").astype(np.int64), change.received_ms)
        self._changes.append(_Change(offset, at_ms, change.join, ordinals, evidence))
        self._leavers = None

    def named(self, *, join: bool) -> Words:
        """The ordinals of everybody who ever joined (or left)."""
        found = [change.ordinals for change in self._changes if change.join == join]
        return np.concatenate(found) if found else np.empty(0, dtype=np.uint32)

    def leavers(self) -> Mapping[int, Sequence[Word]]:
        """By ordinal, everybody who ever left, with all that was said about them, in the order of the log."""
        if self._leavers is None:
            left = np.unique(self.named(join=False))
            self._leavers = {ordinal: [] for ordinal in left.tolist()}
            for change in self._changes if self._leavers else ():
                for place in np.flatnonzero(np.isin(change.ordinals, left)).tolist():
                    word = Word(change.at_ms, int(change.evidence_ms[place]), change.join)
                    self._leavers[int(change.ordinals[place])].append(word)
        return self._leavers

    def fold_to(self, upto: int) -> Flags:
        """``joined`` as of ``upto`` (inclusive)."""
        if self._at and self._changes[self._at - 1].offset > upto:
            self._at = 0
            self._evidence = np.empty(0, dtype=np.int64)
            self.joined = np.empty(0, dtype=np.bool_)
        while self._at < len(self._changes) and self._changes[self._at].offset <= upto:
            _, _, join, ordinals, evidence = self._changes[self._at]
            self._grow(int(ordinals.max()) + 1 if len(ordinals) else 0)
            held = self._evidence[ordinals]
            news = evidence > held if join else evidence >= held
            np.maximum.at(self._evidence, ordinals[news], evidence[news])
            self.joined[ordinals[news]] = join
            self._at += 1
        return self.joined

    def _grow(self, count: int) -> None:
        missing = count - len(self.joined)
        if missing > 0:
            room = max(missing, len(self.joined) // 2)
            self._evidence = np.concatenate((self._evidence, np.full(room, _NEVER_MS, dtype=np.int64)))
            self.joined = np.concatenate((self.joined, np.zeros(room, dtype=np.bool_)))


class ShardPeople:
    """The people of one shard, by ordinal, and its lists."""

    __slots__ = ("_ids", "_lists", "_ordinals")

    def __init__(self) -> None:
        self._ordinals: dict[bytes, int] = {}
        self._ids = bytearray()
        self._lists: dict[tuple[str, str], ListFold] = {}

    def add(self, offset: int, at_ms: int, change: AudienceChange) -> None:
        """The next change of the shard's log, acknowledged at ``at_ms``."""
        known, ids = self._ordinals, self._ids
        ordinals = np.empty(len(change.recipients) // NAME_BYTES, dtype=np.uint32)
        for place in range(len(ordinals)):
            recipient = change.recipients[place * NAME_BYTES : (place + 1) * NAME_BYTES]
            ordinal = known.get(recipient)
            if ordinal is None:
                ordinal = known[recipient] = len(known)
                ids += recipient
            ordinals[place] = ordinal
        self.list(change.business, change.list).add(offset, at_ms, change, ordinals)

    def list(self, business: str, name: str) -> ListFold:
        """Returns the fold of a list; empty if nothing was ever said about it."""
        return self._lists.setdefault((business, name), ListFold())

    def ids(self, ordinals: Words) -> bytes:
        """The recipient ids of some ordinals; ``IndexError`` for one that was never given out."""
        return np.frombuffer(self._ids, dtype=f"V{NAME_BYTES}")[ordinals].tobytes()

    def knows(self, recipient: bytes) -> bool:
        """Returns whether somebody has an ordinal."""
        return recipient in self._ordinals

    def spoke(self, business: str, name: str, *, join: bool) -> set[bytes]:
        """The ids of everybody who ever joined (or left) a list."""
        ids = self.ids(self.list(business, name).named(join=join))
        return {ids[at : at + NAME_BYTES] for at in range(0, len(ids), NAME_BYTES)}
