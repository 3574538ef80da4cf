"""Bounds the text that producers may send, and how much of it may be repeated back to them."""

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Controls, line separators and bidi overrides (CVE-2021-42574): in a message they hide what is said; NUL ends a name."""

_ECHO_CHARS: Final = 48
_CANDIDATE_CHARS: Final = 64
_LISTED: Final = 14
"""Known names that a sentence may list: the longest closed object has as many fields."""


def unsafe(text: str) -> bool:
    """Returns whether the text holds a character that may stand in no identifier and in no message."""
    return not (text.isascii() and text.isprintable()) and _UNSAFE.search(text) is not None


def short(text: str, chars: int) -> bool:
    """Return whether the text has 1 to ``chars`` characters, all of them safe."""
    return 0 < len(text) <= chars and not unsafe(text)


def echo(name: str) -> str:
    """A producer's own *name* for something as it may stand in a sentence: quoted, printable ASCII, cut. Never for values."""
    cut = name if len(name) <= _ECHO_CHARS else name[:_ECHO_CHARS] + "…"
    return "`" + "".join(char if char.isascii() and char.isprintable() else "?" for char in cut) + "`"


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that ``name`` was probably meant to be, as the end of a sentence; empty if none is near."""
    if len(name) > _CANDIDATE_CHARS:
        return ""
    found = _closest(name.lower(), tuple(sorted(known)))
    return f"; did you mean `{found}`?" if found else ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Returns how a sentence about an unknown name ends: with the nearest known one, or with all of them if they are few."""
    names = sorted(known)
    near = nearest(name, names)
    if near or not 0 < len(names) <= _LISTED:
        return near or "."
    return f"; known are {', '.join(map(echo, names))}."


@lru_cache(maxsize=1_024)
def _closest(name: str, known: tuple[str, ...]) -> str:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.6)), "")
