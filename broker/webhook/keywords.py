"""Recognises what a person's answer means for their consent: stop, stop everything, block, start again; or nothing.

A pure function of the words and of what they answer, so that the webhook can decide before it answers (PROTOCOL.md section 1.3,
row 15). The whole message must be one of the words: "please don't stop" is none. The words themselves are registry data
(``keywords.py`` has those that hold by default).
"""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from broker.webhook.keyword_table import KEYWORDS
from schemas.facts import Scope
from schemas.registry import Keywords


class Change(msgspec.Struct, frozen=True):
    """Describes a change of a person's consent to one business."""

    scope: Scope
    revoke: bool
    """True: forbidden from here on; False: restored."""


_REVOKE_MARKETING: Final = tuple(Change(scope, revoke=True) for scope in (Scope.MARKETING, Scope.LIST))
"""And the list that is answered, if one is."""
_REVOKE_ALL: Final = (Change(Scope.ALL, revoke=True),)
_RESTORE: Final = tuple(Change(scope, revoke=False) for scope in (Scope.MARKETING, Scope.ALL, Scope.OFFERS, Scope.LIST))
_BLOCK: Final = (Change(Scope.BLOCK, revoke=True),)
_UNBLOCK: Final = (Change(Scope.BLOCK, revoke=False),)


class Vocabulary:
    """The words of all languages in their normal form. ``registered`` entries replace the default of their language."""

    def __init__(self, registered: Mapping[str, Keywords] | None = None) -> None:
        entries = (KEYWORDS | dict(registered or {})).values()
        # Where two languages disagree about a word, the meaning that lets people alone most is the last one, and holds.
        self._anywhere = {
            **{normal(word): _RESTORE for entry in entries for word in entry.start},
            **{normal(word): _REVOKE_MARKETING for entry in entries for word in entry.stop},
            **{normal(word): _REVOKE_ALL for entry in entries for word in entry.stop_all},
        }
        self._after_offers = {normal(word): _REVOKE_MARKETING for entry in entries for word in entry.after_offers}

    def changes(self, kind: str, body: str, *, after_offer: bool) -> tuple[Change, ...]:
        """Returns what a reply of ``kind`` (text, button, block, unblock) with ``body`` changes; empty for most.

        ``after_offer``: it answers a message of the campaign lane, so "cancel" and its like cannot be about an order. "Start"
        takes back every kind of stop, but no block: that is undone where it was made. If the platform still knows a stop of
        offers, the gateway's next answer says so again.
        """
        match kind:
            case "block":
                return _BLOCK
            case "unblock":
                return _UNBLOCK
            case "text" | "button":
                said = normal(body)
                return self._anywhere.get(said, self._after_offers.get(said, ()) if after_offer else ())
            case _:
                return ()


def normal(body: str) -> str:
    """Returns the words alone: compatibility form, without case, accents, punctuation, symbols, emoji and extra space."""
    letters = "".join(_letters(unicodedata.normalize("NFKD", body.strip()[:_LONGEST]).casefold()))
    return " ".join(unicodedata.normalize("NFC", letters).split())


def _letters(text: str) -> Iterator[str]:
    for character in text:
        match unicodedata.category(character)[0]:
            case "P" | "S" | "Z" | "C":
                yield "" if character in _JOINERS else " "
            case _:
                yield "" if character in _MARKS else character


_LONGEST: Final = 256
"""Nobody stops in more letters; the rest is not looked at."""
_JOINERS: Final = frozenset("\u200b\u200c\u200d\u2060\ufeff'\u2019")
_MARK_RANGES: Final = (
    (0x300, 0x370),
    (0x610, 0x61B),
    (0x640, 0x641),
    (0x64B, 0x660),
    (0x20D0, 0x2100),
    (0xFE00, 0xFE10),
)
_MARKS: Final = frozenset(chr(point) for first, end in _MARK_RANGES for point in range(first, end))
"""Accents of Latin; vowel signs, hamzas and the stretching of Arabic; keycaps and variation selectors of emoji.

The signs of Devanagari are letters' halves and stay.
"""
