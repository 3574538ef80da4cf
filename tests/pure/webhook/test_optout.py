"""What an answer means for consent: the words that stop, in nine languages, and all those that do not."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.webhook.keywords import KEYWORDS, Change, Vocabulary, normal
from schemas.facts import Scope
from schemas.registry import Keywords

STOP = (Change(Scope.MARKETING, revoke=True), Change(Scope.LIST, revoke=True))
STOP_ALL = (Change(Scope.ALL, revoke=True),)
START = tuple(Change(scope, revoke=False) for scope in (Scope.MARKETING, Scope.ALL, Scope.OFFERS, Scope.LIST))
VOCABULARY = Vocabulary()


def changes(kind: str, body: str, *, after_offer: bool = False) -> tuple[Change, ...]:
    """Returns what a reply means where nothing is registered."""
    return VOCABULARY.changes(kind, body, after_offer=after_offer)


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
        ("STOP 🛑", STOP),
        ("Stop ✋🏽", STOP),
        ("stop ❤️", STOP),
        ("Stop 1️⃣", ()),
        ("🙏 STOP 🙏", STOP),
        ("Opt-out", STOP),
        ("Unsubscribe.", STOP),
        # German
        ("STOPP", STOP),
        ("Stopp!!!", STOP),
        ("Abmelden", STOP),
        ("ABBESTELLEN 😡", STOP),
        ("Alles abbestellen", STOP_ALL),
        ("Anmelden", START),
        # Spanish
        ("ALTO", STOP),
        ("Baja", STOP),
        ("¡BAJA!", STOP),
        ("Darme de baja.", STOP),
        ("Baja total", STOP_ALL),
        ("Alta", START),
        # French
        ("ARRÊT", STOP),
        ("arret", STOP),
        ("Me désabonner", STOP),
        ("Arrêt total", STOP_ALL),
        ("S\u2019abonner", START),
        # Portuguese
        ("PARAR", STOP),
        ("Sair", STOP),
        ("Não perturbe", STOP),
        ("Parar tudo", STOP_ALL),
        ("Começar", START),
        # Italian
        ("Basta!", STOP),
        ("Disiscrivimi", STOP),
        ("Ferma tutto", STOP_ALL),
        ("Riprendi", START),
        # Hindi
        ("रोकें", STOP),
        ("बंद करें।", STOP),
        ("बंद करें 🙏🏽", STOP),
        ("सब बंद करें", STOP_ALL),
        ("शुरू करें", START),
        # Arabic: hamzas, vowel signs and stretched letters are spelling
        ("إيقاف", STOP),
        ("ايقاف", STOP),
        ("إيقــاف", STOP),
        ("أَوْقِفْ", STOP),
        ("إلغاء الاشتراك.", STOP),
        ("إيقاف الكل", STOP_ALL),
        ("ابدأ", START),
        # Indonesian
        ("BERHENTI", STOP),
        ("Stop langganan", STOP),
        ("Berhenti semua", STOP_ALL),
        ("Mulai", START),
        ("STOP ALL", STOP_ALL),
        ("stop   all", STOP_ALL),
        ("StopAll", STOP_ALL),
        ("START", START),
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
    """The whole message, less case, accents, punctuation, emoji and width, must be one of the words."""
    for after_offer in (False, True):
        assert changes("text", body, after_offer=after_offer) == expected
        assert changes("button", body, after_offer=after_offer) == expected


@pytest.mark.parametrize(
    "body",
    ["Cancel", "END", "quit.", "Cancelar", "fin", "रद्द करें", "Kündigen", "Annuler", "Fim", "Annulla", "إلغاء", "Batal"],
)
def test_words_that_may_be_order_talk_stop_in_answer_to_an_offer_only(body: str) -> None:
    """Cancel under a flight update, or under nothing, is about the flight."""
    assert changes("text", body, after_offer=True) == STOP
    assert changes("text", body) == ()


def test_no_word_means_two_things() -> None:
    """Nobody who stops in one language starts in another, and no word is both certain and perhaps about an order."""
    for one in ("stop", "stop_all", "start", "after_offers"):
        assert all(getattr(entry, one) for entry in KEYWORDS.values())
    meanings = Counter(
        word
        for one in ("stop", "stop_all", "start", "after_offers")
        for word in {normal(word) for entry in KEYWORDS.values() for word in getattr(entry, one)}
    )
    assert {word for word, count in meanings.items() if count > 1} == set()
    assert "" not in meanings
    assert KEYWORDS.keys() == {"en", "es", "hi", "de", "fr", "pt", "it", "ar", "id"}


def test_registered_words_replace_those_of_their_language() -> None:
    """An operator may add a language, and correct one; other languages stay."""
    vocabulary = Vocabulary({"nl": Keywords("nl", stop=("stoppen", "afmelden")), "en": Keywords("en", stop=("halt",))})

    def means(body: str) -> tuple[Change, ...]:
        return vocabulary.changes("text", body, after_offer=True)

    assert means("Afmelden!") == means("HALT") == means("Abmelden") == STOP
    assert means("unsubscribe") == means("cancel") == ()


def test_of_two_meanings_the_one_that_lets_people_alone_holds() -> None:
    """Whatever a registered language calls a start, a word that stops anywhere stops."""
    vocabulary = Vocabulary({"xx": Keywords("xx", stop=("alta",), start=("stop",), stop_all=("basta",))})
    assert vocabulary.changes("text", "stop", after_offer=False) == STOP
    assert vocabulary.changes("text", "alta", after_offer=False) == STOP
    assert vocabulary.changes("text", "basta", after_offer=False) == STOP_ALL


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
