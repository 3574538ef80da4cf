"""Recognises what a person's answer means for their consent: stop, stop everything, block, start again; or nothing.

A pure function of the words and of what they answer, so that the webhook can decide before it answers (PROTOCOL.md section 1.3,
row 15). The whole message must be one of the words: "please don't stop" is none.

The words of a language are those of its registry entry of kind ``keywords``, or else the ones here: nobody has to register any
for a STOP to be understood. English words are those that carriers and the FCC name (47 CFR 64.1200(a)(10)); the other languages
say the same. Case, accents, punctuation and emoji need no spelling of their own (:func:`normal`).

*Words that may be order talk* (cancel, end, quit and their like) stand in ``after_offers``: they stop marketing only in answer
to an offer. "Cancel" under a flight update, a code or nothing at all is about the flight.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from schemas.facts import Scope
from schemas.registry import Keywords

_ENGLISH: Final = Keywords(
    "en",
    stop=("stop", "unsubscribe", "opt out", "optout", "revoke", "remove me", "stop messages", "stop texting me"),
    stop_all=("stop all", "stopall", "unsubscribe all", "opt out all", "stop everything"),
    start=("start", "unstop", "subscribe", "opt in", "optin", "resume"),
    after_offers=("cancel", "cancel all", "end", "quit"),
)
_SPANISH: Final = Keywords(
    "es",
    stop=("alto", "baja", "parar", "pare", "detener", "darme de baja", "no molestar", "desuscribir", "desuscribirme"),
    stop_all=("alto todo", "baja total", "baja de todo", "parar todo", "detener todo"),
    start=("alta", "darme de alta", "iniciar", "reanudar", "suscribir", "suscribirme"),
    after_offers=("cancelar", "cancelar todo", "fin", "terminar"),
)
_HINDI: Final = Keywords(
    "hi",
    stop=("रोकें", "रोको", "रुकें", "रुको", "बंद", "बंद करें", "बंद करो", "सदस्यता समाप्त करें", "स्टॉप"),
    stop_all=("सब रोकें", "सब रोको", "सब बंद", "सब बंद करें", "सब बंद करो", "सभी बंद करें"),
    start=("शुरू", "शुरू करें", "शुरू करो", "चालू करें", "स्टार्ट"),
    after_offers=("रद्द", "रद्द करें", "समाप्त", "समाप्त करें"),
)
_GERMAN: Final = Keywords(
    "de",
    stop=("stopp", "stoppen", "abmelden", "abmeldung", "abbestellen", "abbestellung", "austragen", "keine werbung"),
    stop_all=("stopp alles", "alles stoppen", "alles abmelden", "alles abbestellen", "stop alles"),
    start=("starten", "anmelden", "abonnieren", "fortsetzen"),
    after_offers=("abbrechen", "beenden", "ende", "kündigen"),
)
_FRENCH: Final = Keywords(
    "fr",
    stop=("arrêt", "arrêter", "arrêtez", "désabonner", "me désabonner", "désinscrire", "désinscription"),
    stop_all=("arrêt total", "tout arrêter", "arrêtez tout", "stop tout"),
    start=("démarrer", "reprendre", "s'abonner", "m'abonner", "réactiver"),
    after_offers=("annuler", "fin", "résilier", "terminer"),
)
_PORTUGUESE: Final = Keywords(
    "pt",
    stop=("parar", "pare", "sair", "descadastrar", "descadastre", "remover", "não perturbe"),
    stop_all=("parar tudo", "pare tudo", "sair de tudo", "remover tudo"),
    start=("iniciar", "começar", "voltar", "assinar", "retomar"),
    after_offers=("cancelar", "cancelar tudo", "fim", "encerrar"),
)
_ITALIAN: Final = Keywords(
    "it",
    stop=("ferma", "fermare", "basta", "disiscrivi", "disiscrivimi", "cancellami", "disiscrizione"),
    stop_all=("ferma tutto", "basta tutto", "stop tutto"),
    start=("inizia", "avvia", "riprendi", "iscrivi", "iscrivimi"),
    after_offers=("annulla", "annullare", "cancella", "fine", "termina"),
)
_ARABIC: Final = Keywords(
    "ar",
    stop=("إيقاف", "أوقف", "أوقفوا", "توقف", "قف", "إلغاء الاشتراك", "ألغ الاشتراك", "ستوب"),
    stop_all=("إيقاف الكل", "أوقف الكل", "إيقاف الجميع", "إلغاء الكل"),
    start=("ابدأ", "بدء", "اشتراك", "اشترك", "تفعيل"),
    after_offers=("إلغاء", "ألغ", "إنهاء"),
)
_INDONESIAN: Final = Keywords(
    "id",
    stop=("berhenti", "hentikan", "setop", "stop langganan", "berhenti berlangganan", "keluar"),
    stop_all=("berhenti semua", "hentikan semua", "stop semua"),
    start=("mulai", "lanjut", "lanjutkan", "langganan", "berlangganan"),
    after_offers=("batal", "batalkan", "selesai", "akhiri"),
)

KEYWORDS: Final = {
    entry.id: entry
    for entry in (
        _ENGLISH,
        _SPANISH,
        _HINDI,
        _GERMAN,
        _FRENCH,
        _PORTUGUESE,
        _ITALIAN,
        _ARABIC,
        _INDONESIAN,
    )
}
"""By language."""


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
