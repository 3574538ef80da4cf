"""Warns about entries that may be registered but have defaults that have surprised people before. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from schemas.registry import DEFAULT_SHARES, Entry, Sender, Template

_EVERY: Final = "*"


def remarks(entries: Sequence[Entry]) -> Iterator[str]:
    """Yields a sentence about each sender without shares, and one about all templates that are everybody's."""
    for entry in entries:
        if isinstance(entry, Sender) and not entry.shares:
            parts = ", ".join(f"{lane} {entry.rate_per_s * part // 100:,}" for lane, part in DEFAULT_SHARES.items())
            yield f"sender/{entry.id} has no shares: its {entry.rate_per_s:,} a second are divided by default ({parts})"
    common = [entry.id for entry in entries if isinstance(entry, Template) and entry.business == _EVERY]
    if common:
        yield f"without a `business` every business may use a template: {', '.join(common)}"
