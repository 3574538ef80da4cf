"""Instants as CloudEvents writes them (RFC 3339), strictly, and milliseconds since the epoch."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_FORM: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
EXAMPLE: Final = "2026-11-22T06:40:00.000Z"


def ms_of(text: str) -> int:
    """An instant as milliseconds, fractions of one dropped. ``ValueError`` for anything but RFC 3339 with an offset.

    A leap second (``:60``) is refused: no clock that producers read shows one.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"an instant looks like {EXAMPLE}")
    return (datetime.fromisoformat(text.upper()) - _EPOCH) // _MS


def text_of(at_ms: int) -> str:
    """Milliseconds as ``2026-11-22T06:40:00.000Z``."""
    whole = _EPOCH + timedelta(seconds=at_ms // 1000)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
