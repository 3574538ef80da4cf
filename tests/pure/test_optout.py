"""What an answer means for consent: the words that stop, in three languages, and all those that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audience.optout import Change, changes, normal
from schemas.facts import Scope

STOP = (Change(Scope.MARKETING, revoke=True),)
STOP_ALL = (Change(Scope.ALL, revoke=True),)
START = tuple(Change(scope, revoke=False) for scope in (Scope.MARKETING, Scope.ALL, Scope.OFFERS))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("STOP", STOP),
        ("stop", STOP),
        ("  Stop!  ", STOP),
        ("*stop*", STOP),
        ("“STOP”", STOP),
        ("ＳＴＯＰ", STOP),  # noqa: RUF001 -- full-width letters
        ("stop\u200b", STOP),
        ("Opt-out", STOP),
        ("Unsubscribe.", STOP),
        ("Baja", STOP),
        ("¡BAJA!", STOP),
        ("Arrêt", STOP),
        ("रोकें", STOP),
        ("बंद करें।", STOP),
        ("STOP ALL", STOP_ALL),
        ("stop   all", STOP_ALL),
        ("StopAll", STOP_ALL),
        ("Baja total", STOP_ALL),
        ("सब बंद करें", STOP_ALL),
        ("START", START),
        ("Alta", START),
        ("शुरू करें", START),
        ("", ()),
        ("OK, thanks!", ()),
        ("please don't stop", ()),
        ("stop it", ()),
        ("nonstop", ()),
        ("bus stop?", ()),
        ("all", ()),
        ("🛑", ()),
    ],
)
def test_words(body: str, expected: tuple[Change, ...]) -> None:
    """The whole message, less case, accents, punctuation and width, must be one of the words."""
    assert changes("text", body) == expected
    assert changes("button", body) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("block", (Change(Scope.BLOCK, revoke=True),)),
        ("unblock", (Change(Scope.BLOCK, revoke=False),)),
        ("image", ()),
        ("", ()),
    ],
)
def test_kinds(kind: str, expected: tuple[Change, ...]) -> None:
    """Blocking is an act, whatever the text; a picture called STOP is a picture."""
    assert changes(kind, "STOP") == expected


def test_hindi_vowels_are_letters() -> None:
    """The signs of Devanagari vowels are combining marks, too, and without them the words would be others."""
    assert changes("text", "रक") == ()
    assert normal("रोकें") == "रोकें"


@given(st.text(max_size=12))
def test_any_text(body: str) -> None:
    """Any text at all is taken, and normal form is stable."""
    changes("text", body)
    assert normal(normal(body)) == normal(body)
