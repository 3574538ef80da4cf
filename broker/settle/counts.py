"""Counts what a business is told of a request: a word a message, a number that only rises, and when a paced one is through.

``delivered`` wins over ``failed``, for billing and for display: reports come out of order and more than once, and who has a
message has it. What the journal and the receipts leave open when the settle window ends is ``unknown``.

*held* are messages of a paused request that are not handed off: they wait until it is resumed, cancelled, or over. One whose
hand-off got no answer yet stays ``send``, for it may be out.

*seq* is the sum over the ranks of what their bytes say, each part of which only grows. So it rises with every change, is the
same for every process that knows the same, and a restart cannot lower it.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np

from broker.lifecycle import is_unfinished
from broker.settle.message_state import FAILED, FEW, HANDED, PROGRESS, STATUS, Ranks, cells_of
from schemas.facts import ReceiptStatus
from schemas.reasons import MESSAGE_REASONS, Reason, State, word_of

_SENT: Final = 64
_DELIVERED: Final = 65
_READ: Final = 66
"""Code, above all status bytes, of a message that receipts say was read."""
_HELD: Final = 67
"""Code of a message that deliver has not handed off because its request is paused."""

_EVIDENCE: Final = PROGRESS | FAILED
_CELLS: Final = 256 * (_EVIDENCE + 1)
_REASONS: Final = frozenset(reason.value for reason in MESSAGE_REASONS)


def _shown(said: int, heard: int, *, over: bool) -> int:
    status, progress = said & STATUS, heard & PROGRESS
    if said & HANDED and progress >= ReceiptStatus.DELIVERED:
        return _READ if progress == ReceiptStatus.READ else _DELIVERED
    if said & HANDED and heard & FAILED:
        return Reason.FAILED
    if status in _REASONS:
        return status
    if over:
        return Reason.UNKNOWN
    return _SENT if said & HANDED and progress == ReceiptStatus.SENT else status


def _cell(said: int, heard: int) -> int:
    return said * (_EVIDENCE + 1) + (heard & _EVIDENCE)


def _table(*, over: bool) -> bytes:
    return bytes(_shown(cell >> 3, cell & _EVIDENCE, over=over) for cell in range(_CELLS))


_SHOWN: Final = {over: _table(over=over) for over in (False, True)}
_FINAL: Final = bytes(shown in _REASONS or shown in {_DELIVERED, _READ} for shown in _SHOWN[False])
_FINAL_CELLS: Final = np.frombuffer(_FINAL, dtype=np.uint8)
_HEIGHTS: Final = tuple(
    # Status, handed, progress, failed: each part only grows, hence their sum does.
    (cell >> 3 & STATUS) + (cell >> 10) + (cell & PROGRESS) + (cell >> 2 & 1)
    for cell in range(_CELLS)
)
_ON_THE_WAY: Final = {State.PENDING.value, State.SENDING.value}
_WAITS: Final = {State.PENDING.value, State.WAITING.value}
"""States of a message that is not handed off."""
_WORD_OF: Final = {byte: word_of(byte) for byte in (*State, *MESSAGE_REASONS)} | {
    _SENT: "sent",
    _DELIVERED: "delivered",
    _READ: "read",
    _HELD: "held",
}
_DELIVER_OWES: Final = bytes(is_unfinished(cell >> 3 & STATUS) and not _FINAL[cell] for cell in range(_CELLS))
_BLOCK: Final = 4_096


class Tally(msgspec.Struct, frozen=True):
    """All ranks of a request in one shard, counted."""

    seq: int
    counts: Mapping[str, int]
    """By word; their sum is the number of ranks."""
    news: bool
    """True if there is more to tell than that messages are on their way to the gateway."""
    owed: int
    """Ranks about which deliver still has to say something."""
    unknown: int


def tally_of(ranks: Ranks, *, over: bool, held: bool = False) -> Tally:
    """Count ``ranks``; ``over`` when the settle window has ended, ``held`` while the request is paused."""
    shown: dict[int, int] = {}
    seq, owed, table = 1 + over, 0, _SHOWN[over]
    for cell, count in _histogram(ranks).items():
        byte = _HELD if held and table[cell] in _WAITS else table[cell]
        shown[byte] = shown.get(byte, 0) + count
        seq += _HEIGHTS[cell] * count
        owed += count * _DELIVER_OWES[cell]
    counts = {_WORD_OF[byte]: count for byte, count in sorted(shown.items())}
    return Tally(seq, counts, not shown.keys() <= _ON_THE_WAY, owed, shown.get(Reason.UNKNOWN, 0))


def _histogram(ranks: Ranks) -> Mapping[int, int]:
    if ranks.count == 1:
        return {_cell(ranks.said[0], ranks.heard[0]): 1}
    if ranks.count <= FEW:
        return Counter(map(_cell, ranks.said, ranks.heard))
    keys = cells_of(ranks.said).astype(np.uint16) << 3 | cells_of(ranks.heard) & _EVIDENCE
    counts = np.bincount(keys)
    return {cell: int(counts[cell]) for cell in np.flatnonzero(counts).tolist()}


def first_open(ranks: Ranks, start: int) -> int:
    """The first rank from ``start`` on that has no final word yet; the count if there is none.

    Ranks do not reopen, so whoever starts where the last answer was pays for each rank once.
    """
    if ranks.count - start <= FEW:
        for rank in range(start, ranks.count):
            if not _FINAL[_cell(ranks.said[rank], ranks.heard[rank])]:
                return rank
        return ranks.count
    saids, heards = cells_of(ranks.said), cells_of(ranks.heard)
    for low in range(start, ranks.count, _BLOCK):
        part = slice(low, low + _BLOCK)
        final = _FINAL_CELLS[saids[part].astype(np.uint16) << 3 | heards[part] & _EVIDENCE]
        if not final.all():
            return low + int(final.argmin())
    return ranks.count


def words_of(said: int, heard: int, *, over: bool, held: bool = False) -> tuple[str, str]:
    """State and reason of one rank as its business reads them; a refusal's state is ``refused``."""
    byte = _SHOWN[over][_cell(said, heard)]
    if held and byte in _WAITS:
        return _WORD_OF[_HELD], ""
    if byte in _REASONS and byte not in {Reason.FAILED, Reason.UNKNOWN}:
        return "refused", _WORD_OF[byte]
    return _WORD_OF[byte], ""


_MEASURED_MS: Final = 2_000
"""Milliseconds that a request goes on before its own progress is believed more than the rate."""


class Outlook(NamedTuple):
    """Holds the estimate for one request in one shard."""

    eta_ms: int = 0
    """When the last of its people here will have been told, about; 0: they have been, or it needs no time."""
    unreached: int = 0
    """People here who cannot be told before it expires."""


class Paced(Protocol):
    """Names the fields of a request that the estimate is made of."""

    per_s: int
    """Messages a second of its sender's share."""
    begun_ms: int
    """When it could begin, milliseconds since the epoch."""
    expires_ms: int
    """When it expires, milliseconds since the epoch."""


def outlook_of(people: int, owed: int, request: Paced, shards: int, now_ms: int) -> Outlook:
    """Returns the outlook of ``people`` of whom ``owed`` are not told, at the shard's part of the rate, or as slowly as it went.

    Slower is what shares its number with others, or was held back. Faster than its rate it cannot be.
    """
    if not owed:
        return Outlook()
    left_ms = owed * shards * 1_000 // request.per_s
    spent_ms, told = now_ms - request.begun_ms, people - owed
    if told and spent_ms >= _MEASURED_MS:
        left_ms = max(left_ms, owed * spent_ms // told)
    live_ms = max(0, request.expires_ms - now_ms)
    return Outlook(now_ms + left_ms, owed - owed * live_ms // left_ms if left_ms > live_ms else 0)
