"""Amounts as people read them."""

from typing import Final

_MICRO: Final = 1_000_000


def money(amount_micro: int) -> str:
    """Converts micro-units to exact text: ``-1,234.500000``."""
    whole, micro = divmod(abs(amount_micro), _MICRO)
    return f"{'-' if amount_micro < 0 else ''}{whole:,}.{micro:06}"
