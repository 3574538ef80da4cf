"""Numbers, ages and curves as a frame shows them: short, and of one width as far as possible. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

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
