"""Fits phones, words, numbers and ages into the room that a frame has, and hides what may not be seen. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from schemas.lanes import Lane
from schemas.status import Status
from schemas.topics import STATUS_PREFIX
from schemas.wire.cloudevents import decode_status
from streams.client.progress import Progress
from streams.operate.top.model import Phone, Word

_CODE: Final = re.compile(r"(?<![\w-])(?=[\w-]*\d)[\w-]{4,}")
"""A word of four characters and more with a digit in it."""
_HIDDEN: Final = "••••••"

_phones: Final = msgspec.json.Decoder(list[Phone])


def phones_of(body: bytes, lane: Lane) -> list[Phone]:
    """The phones' page of one lane, codes hidden; ``msgspec.MsgspecError`` if it is none."""
    shown = _phones.decode(body)
    if not lane.rules.carries_codes:
        return shown
    return [msgspec.structs.replace(phone, text=_CODE.sub(_HIDDEN, phone.text)) for phone in shown]


def chosen(lanes: Sequence[Sequence[Phone]], most: int) -> tuple[Phone, ...]:
    """Up to ``most`` of the phones of all lanes, newest first.

    An equal part of the room is for each lane, as far as it has different kinds, which are (business, language). What is left
    goes to other kinds, the newest first, and then to second messages of any.
    """
    of_lanes = [_kinds(phones) for phones in lanes]
    kept = [phone for firsts, _ in of_lanes for phone in firsts[: most // len(lanes)]]
    left = [phone for firsts, _ in of_lanes for phone in firsts[most // len(lanes) :]]
    again = [phone for _, others in of_lanes for phone in others]
    kept += [*_newest_first(left), *_newest_first(again)][: most - len(kept)]
    return tuple(_newest_first(kept))


def _kinds(phones: Iterable[Phone]) -> tuple[list[Phone], list[Phone]]:
    """The newest of each kind, and the others; newest first."""
    firsts: dict[tuple[str, str], Phone] = {}
    newest = _newest_first(phones)
    others = [phone for phone in newest if firsts.setdefault((phone.business, phone.language), phone) is not phone]
    return list(firsts.values()), others


def _newest_first(phones: Iterable[Phone]) -> list[Phone]:
    return sorted(phones, key=lambda phone: -phone.at_ms)


class Heard:
    """Merges the statuses of businesses. Holds the newest word of each business."""

    def __init__(self) -> None:
        self._progress: dict[str, Progress] = {}
        self._newest: dict[str, Word] = {}

    def take(self, topic: str, value: bytes | None) -> None:
        """Takes a record of a status topic; anything that is no status is passed over."""
        told = decode_status(value or b"")
        business = topic.removeprefix(STATUS_PREFIX)
        merged = None if told is None else self._progress.setdefault(business, Progress()).apply(told)
        if merged is not None:
            self._newest[business] = Word(merged.at_ms, business, merged.id, merged.state, said(merged))

    def newest(self) -> tuple[Word, ...]:
        """The newest word of each business, the newest first."""
        return tuple(sorted(self._newest.values(), key=lambda word: -word.at_ms))


def said(status: Status) -> str:
    """Returns the words of a status besides its state: why it was refused, or what became of how many."""
    if status.reason:
        return f"{status.reason}: {status.detail}" if status.detail else status.reason
    return counted(status.counts)


def counted(counts: dict[str, int]) -> str:
    """``41 delivered, 2 unreachable``: the largest first, nothing of none."""
    held: Sequence[tuple[str, int]] = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count:,} {word}" for word, count in held if count)


MICRO: Final = 1_000_000
_BARS: Final = "▁▂▃▄▅▆▇█"
NOTHING: Final = "-"


def age(seconds: float | None) -> str:
    """``12 ms``, ``1.25 s``, ``42 s``, ``7 min``; a dash for none."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"


def count(number: int | None) -> str:
    """With separators of thousands; a dash for none."""
    return NOTHING if number is None else f"{number:,}"


def rate(per_second: float) -> str:
    """``<0.1``, ``0.4``, ``42``, ``1.8k``, ``23k``: never more than five characters below a million; a dash for none."""
    if per_second <= 0:
        return NOTHING
    if per_second < 0.05:
        return "<0.1"
    if per_second >= 999.5:
        return f"{per_second / 1_000:.1f}k" if per_second < 9_950 else f"{per_second / 1_000:,.0f}k"
    return f"{per_second:.0f}" if per_second >= 9.95 else f"{per_second:.1f}"


def amount(micro: float) -> str:
    """Micro-units as money with two decimals."""
    return f"{micro / MICRO:,.2f}"


def instant(at_ms: int) -> str:
    """The time of day in UTC, to the second."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).strftime("%H:%M:%S")


def curve(values: Sequence[float], width: int) -> str:
    """The last ``width`` values as bars, scaled to the highest; nothing is a blank, and so is what is not known yet."""
    shown = [0.0] * (width - len(values)) + list(values[-width:] if width else ())
    top = max(shown, default=0.0)
    return "".join(" " if value <= 0 else _BARS[min(7, int(value / top * 8))] for value in shown)
