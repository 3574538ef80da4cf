"""What a person's answer means for their consent: stop, stop everything, block, start again; or nothing.

A pure function of the words, so that the webhook can decide before it answers (PROTOCOL.md section 1.3, row 15). The whole
message must be one of the words: "please don't stop" is none. English words are those that carriers and the FCC name
(47 CFR 64.1200(a)(10): stop, quit, end, revoke, opt out, cancel, unsubscribe); Spanish and Hindi ones say the same.
"""

import unicodedata
from typing import Final

import msgspec

from schemas.facts import Scope

_STOP: Final = (
    "stop",
    "quit",
    "end",
    "revoke",
    "opt out",
    "optout",
    "cancel",
    "unsubscribe",
    "arret",
    "alto",
    "baja",
    "parar",
    "detener",
    "cancelar",
    "no molestar",
    "darme de baja",
    "रोकें",
    "रोको",
    "रुकें",
    "रुको",
    "बंद",
    "बंद करें",
    "बंद करो",
    "सदस्यता समाप्त करें",
)
_STOP_ALL: Final = (
    "stop all",
    "stopall",
    "unsubscribe all",
    "cancel all",
    "opt out all",
    "baja total",
    "baja de todo",
    "parar todo",
    "cancelar todo",
    "alto todo",
    "सब रोकें",
    "सब रोको",
    "सब बंद",
    "सब बंद करें",
    "सब बंद करो",
    "सभी बंद करें",
)
_START: Final = (
    "start",
    "unstop",
    "subscribe",
    "opt in",
    "resume",
    "alta",
    "iniciar",
    "reanudar",
    "darme de alta",
    "शुरू",
    "शुरू करें",
    "शुरू करो",
    "चालू करें",
)


class Change(msgspec.Struct, frozen=True):
    """What changes in a person's consent to one business."""

    scope: Scope
    revoke: bool
    """True: forbidden from here on; False: restored."""


_REVOKE_MARKETING: Final = (Change(Scope.MARKETING, revoke=True),)
_REVOKE_ALL: Final = (Change(Scope.ALL, revoke=True),)
_RESTORE: Final = tuple(Change(scope, revoke=False) for scope in (Scope.MARKETING, Scope.ALL, Scope.OFFERS))
_BLOCK: Final = (Change(Scope.BLOCK, revoke=True),)
_UNBLOCK: Final = (Change(Scope.BLOCK, revoke=False),)


def changes(kind: str, body: str) -> tuple[Change, ...]:
    """What a reply of ``kind`` (text, button, block, unblock) with ``body`` changes; empty for most.

    "Start" takes back every kind of stop, but no block: that is undone where it was made. If the platform still knows a stop of
    offers, the gateway's next answer says so again.
    """
    match kind:
        case "block":
            return _BLOCK
        case "unblock":
            return _UNBLOCK
        case "text" | "button":
            return _WORDS.get(normal(body), ())
        case _:
            return ()


def normal(body: str) -> str:
    """The words alone: compatibility form, without case, accents of Latin letters, punctuation, symbols and extra space."""
    letters = []
    for character in unicodedata.normalize("NFKD", body.strip()[:_LONGEST]).casefold():
        match unicodedata.category(character)[0]:
            case "P" | "S" | "Z" | "C":
                letters.append(" " if character not in _JOINERS else "")
            case _:
                letters.append("" if character in _ACCENTS else character)
    return " ".join(unicodedata.normalize("NFC", "".join(letters)).split())


_LONGEST: Final = 256
"""Nobody stops in more letters; the rest is not looked at."""
_JOINERS: Final = frozenset("\u200b\u200c\u200d\u2060\ufeff'\u2019")
_ACCENTS: Final = frozenset(map(chr, range(0x300, 0x370)))
"""Combining marks of Latin; those of Devanagari are letters' halves and stay."""

_WORDS: Final = {
    normal(word): change
    for words, change in ((_STOP, _REVOKE_MARKETING), (_STOP_ALL, _REVOKE_ALL), (_START, _RESTORE))
    for word in words
}
