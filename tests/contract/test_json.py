"""The limits on JSON before it is parsed: what is refused, and that nothing sound is."""

import json

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.reasons import Reason
from schemas.wire.strict_json import MAX_DEPTH, refusal, too_deep

LIMIT = 100_000


def nested(levels: int) -> bytes:
    """Objects and arrays in turn, so many levels deep."""
    return b'{"a":[' * (levels // 2) + b"1" + b"]}" * (levels // 2)


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "character 0"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "character 0"),
    "Latin-1": (b'"\xe9"', "byte 1 is not UTF-8"),
    "an overlong form": (b'"\xc0\xaf"', "not UTF-8"),
    "a surrogate in UTF-8": (b'"\xed\xa0\x80"', "not UTF-8"),
    "half a pair, the upper": (b'"\\ud800"', "surrogate"),
    "half a pair, the lower": (b'"\\udc00x"', "surrogate"),
    "half a pair in a key": (b'{"\\ud800":1}', "surrogate"),
    "half a pair where nobody looks": (b'{"a":{"b":["\\ud83dx"]}}', "surrogate"),
    "NaN": (b'{"a":NaN}', "NaN"),
    "Infinity": (b"[Infinity]", "NaN"),
    "minus Infinity": (b"[-Infinity]", "NaN"),
    "a number that becomes infinite": (b"[1e999]", "too large"),
    "a number of 33 digits with a point": (b"[0." + b"1" * 40 + b"]", "too long"),
    "an integer of 5,000 digits": (b"9" * 5_000, "64 bits"),
    "2 to the 63": (b"[9223372036854775808]", "64 bits"),
    "a key twice": (b'{"a":1,"a":1}', "twice"),
    "a key twice, once escaped": (b'{"a":1,"\\u0061":2}', "twice"),
    "a key twice deep inside": (b'[{"b":{"a":1,"c":2,"a":1}}]', "twice"),
    "two values": (b"{} {}", "character 3"),
    "a comma too many": (b"[1,]", "character"),
    "a control in a text": (b'"a\nb"', "character"),
    "single quotes": (b"{'a':1}", "character"),
    "one level too deep": (nested(MAX_DEPTH + 2), "32 levels"),
    "100,000 brackets": (b"[" * LIMIT, "32 levels"),
    "brackets behind an open text": (b'"' + b"x" * 50 + b'\\""' + b"[" * 40, "32 levels"),
}


@pytest.mark.parametrize("row", REFUSED.values(), ids=REFUSED.keys())
def test_what_parsers_disagree_about_is_refused(row: tuple[bytes, str]) -> None:
    """``invalid_json`` with where or what, never with content."""
    raw, sentence = row
    found = refusal(raw, LIMIT)
    assert found is not None
    assert found.reason is Reason.INVALID_JSON
    assert sentence in found.detail


SOUND = {
    "a pair of surrogates": b'"\\ud83d\\ude00"',
    "an escaped backslash before u": b'"\\\\ud800"',
    "brackets in a text": b'["' + b"[" * 50_000 + b'"]',
    "a quote and brackets in a text": b'["\\"' + b"[" * 50 + b'"]',
    "the deepest": nested(MAX_DEPTH),
    "many objects side by side": b"[" + b",".join([b"{}"] * 1_000) + b"]",
    "the largest integers": b"[9223372036854775807,-9223372036854775808]",
    "the same key in two objects": b'[{"a":1},{"a":{"a":1}}]',
    "a text of the whole world": '"ü€😀नमस्ते"'.encode(),
    "exactly the limit": b'"' + b"a" * (LIMIT - 2) + b'"',
}


@pytest.mark.parametrize("raw", SOUND.values(), ids=SOUND.keys())
def test_what_is_sound_is_taken(raw: bytes) -> None:
    """Limits are no false alarms."""
    assert refusal(raw, LIMIT) is None


def test_one_byte_too_many() -> None:
    """Size comes first, before anything is looked at."""
    found = refusal(b"\xff" * (LIMIT + 1), LIMIT)
    assert found is not None
    assert found.reason is Reason.TOO_LARGE


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_what_libraries_write_is_taken(value: object, ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis passes by place
    """Escaped or not: every sound value within the depth."""
    assert refusal(json.dumps(value, ensure_ascii=ascii_only).encode(), 10**6) is None
    assert refusal(orjson.dumps(value), 10**6) is None


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0dD8a1eE.-+ \n', max_size=60).map(str.encode))
def test_what_is_taken_decodes_the_same_everywhere(raw: bytes) -> None:
    """No exception escapes, and what passes means the same to three parsers."""
    if refusal(raw, LIMIT) is None:
        assert msgspec.json.decode(raw) == json.loads(raw) == orjson.loads(raw)


def depth_of(text: str) -> int:
    """The most brackets that are open at once, counted one by one outside of strings."""
    depth = most = 0
    inside = False
    for char in text:
        inside ^= char == '"'
        if not inside and char in "[{":
            depth += 1
            most = max(most, depth)
        elif not inside and char in "]}":
            depth -= 1
    return most


@given(
    st.lists(
        st.sampled_from(["[" * 9, "]" * 9, "{" * 7, "}" * 7, '{"a":', "[]", "{}", "]", "}", '"', ',"[["']), max_size=30
    )
)
def test_depth_is_counted_as_one_would(pieces: list[str]) -> None:
    """Also in texts that are no JSON: brackets that close nothing open something deeper later."""
    text = "".join(pieces) + "[{}]" * MAX_DEPTH
    assert too_deep(text.encode()) == (depth_of(text) > MAX_DEPTH)
