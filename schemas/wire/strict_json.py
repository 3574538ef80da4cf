"""Limits on JSON that somebody else wrote, checked before it is taken apart.

Every parser lets something through: the standard one keeps the last of duplicate keys and takes NaN and lone surrogates,
msgspec recurses without a bound of its own (observed on msgspec 0.22). So a text passes, in this order: size,
strict UTF-8, nesting, syntax with duplicate keys and numbers, surrogates. Only then a typed decoder sees it. A text that a typed
decoder proves to be within the limits need not be looked at again (``schemas/wire/plain_events.py``).
"""

import json
import re
from typing import Any, Final, NoReturn

import msgspec

from schemas.reasons import Reason, Refusal

MAX_DEPTH: Final = 32
"""Levels of objects and arrays. The deepest request of ours has eight."""

I64: Final = range(-(2**63), 2**63)
"""Integers that a text may hold."""
_NUMBER_CHARS: Final = 32
_STRINGS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class _RefusedError(Exception):
    """Raised by the hooks of the standard parser, caught in :func:`refusal`."""


def refusal(raw: bytes, max_bytes: int) -> Refusal | None:
    """Why ``raw`` is not taken as JSON, or None. Costs about 10 µs a kilobyte; the sentence never repeats content."""
    if len(raw) > max_bytes:
        return too_large(len(raw), max_bytes)
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        return _invalid(f"byte {error.start} is not UTF-8")
    if too_deep(raw):
        return _invalid(f"it nests deeper than {MAX_DEPTH} levels")
    try:
        _STRICT.decode(text)
        if "\\u" in text:
            msgspec.json.decode(raw)
    except _RefusedError as error:
        return _invalid(str(error))
    except json.JSONDecodeError as error:
        return _invalid(f"it breaks off at character {error.pos}")
    except msgspec.DecodeError:
        return _invalid("it holds half of a surrogate pair")
    return None


def too_large(size: int, max_bytes: int) -> Refusal:
    """The refusal of a text of ``size`` bytes."""
    return Refusal(Reason.TOO_LARGE, f"{size} bytes; at most {max_bytes} are taken: split it into several events.")


def _invalid(what: str) -> Refusal:
    return Refusal(Reason.INVALID_JSON, f"This is not JSON that can be read: {what}; send strict JSON in UTF-8.")


def too_deep(raw: bytes) -> bool:
    """Return whether brackets outside strings nest deeper than allowed; counts first, because that nearly always suffices."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    outside = b"".join(raw.split(b'"')[::2]) if b"\\" not in raw else _STRINGS.sub(b"", raw)
    brackets = outside.translate(None, _ALL_BUT_BRACKETS)
    rest = brackets
    # Each round takes away the innermost pairs, two levels at the most: what is used up by then is not too deep.
    for _ in range(MAX_DEPTH // 2):
        rest = rest.replace(b"[]", b"").replace(b"{}", b"")
    return bool(rest) and _is_beyond(brackets)


def _is_beyond(brackets: bytes) -> bool:
    depth = 0
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _no_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > 1 and len({key for key, _ in pairs}) != len(pairs):
        raise _RefusedError("a key stands twice in one object")


def _integer(digits: str) -> int:
    if len(digits) > _NUMBER_CHARS or (number := int(digits)) not in I64:
        raise _RefusedError("it holds an integer beyond 64 bits")
    return number


def _number(digits: str) -> float:
    if len(digits) > _NUMBER_CHARS or (number := float(digits)) in (float("inf"), float("-inf")):
        raise _RefusedError("it holds a number that is too long or too large")
    return number


def _constant(_name: str) -> NoReturn:
    raise _RefusedError("NaN and Infinity are no JSON")


_STRICT: Final = json.JSONDecoder(
    object_pairs_hook=_no_duplicates, parse_int=_integer, parse_float=_number, parse_constant=_constant
)
