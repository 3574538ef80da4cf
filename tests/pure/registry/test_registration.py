"""What may be registered, and what may not: a table of entries with what is wrong with each."""

from typing import Any

import msgspec
import pytest

from broker.registry.entry_rules import held, objections
from broker.registry.fold import Registry
from schemas.lanes import Lane
from schemas.registry import ApiKey, Business, Deployment, Entry, Key, Keywords, Parameter, PriceCard, Sender, Template

SHOP = Business("shop", "Shop")
MAIN = Sender("shop/main", "shop", "+18005550101")
NEWS = Template("news", "utility", (Parameter("what"),), {"en": "News: {what}", "de": "Neues: {what}"})
CODE = Template("code", "authentication", (Parameter("code", sealed=True),), {"en": "{code}"})
PRICES = {"authentication": {"*": 1}, "utility": {"*": 1, "49": 2}, "marketing": {"*": 3}}
CARD = PriceCard(1, "EUR", PRICES)
KEY = Key("k1", "seal", "ab" * 32)
API_KEY = ApiKey("a1", "shop", "cd" * 32)
BIRTH = Deployment("dev", 8)
WORDS = Keywords("nl", stop=("stop", "afmelden"), start=("aanmelden",))
SOUND: tuple[Entry, ...] = (SHOP, MAIN, NEWS, CODE, CARD, KEY, API_KEY, WORDS, BIRTH)


def registered(*entries: Entry) -> Registry:
    """A registry that holds ``entries``."""
    registry = Registry()
    for entry in entries:
        registry.add(entry)
    return registry


def but(entry: Any, **fields: Any) -> Any:
    """The entry with other fields."""
    return msgspec.structs.replace(entry, **fields)


@pytest.mark.parametrize("entry", SOUND, ids=lambda entry: type(entry).__name__ + str(entry.id))
def test_a_sound_entry_may_be_registered_and_again(entry: Entry) -> None:
    """Nothing is held against it, the first time or the second."""
    assert objections(entry, registered(SHOP)) == []
    everything = registered(*SOUND)
    assert objections(entry, everything) == []
    assert held(entry, everything) == entry
    assert held(entry, Registry()) is None


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        pytest.param(but(SHOP, id="Shop"), "names a topic", id="capitals"),
        pytest.param(but(SHOP, id="a/b"), "names a topic", id="slash"),
        pytest.param(but(SHOP, id="*"), "names a topic", id="everybody"),
        pytest.param(but(SHOP, id="-shop"), "names a topic", id="hyphen first"),
        pytest.param(but(SHOP, id="fanfare-3"), "Fanfare's own", id="the heartbeat's"),
        pytest.param(but(SHOP, name=" "), "must not be empty", id="no name"),
        pytest.param(but(SHOP, plan="gold"), "plan must be free or paid", id="no plan of ours"),
        pytest.param(but(SHOP, test_numbers=("8005550101",)), "test_numbers: 8005550101", id="test number"),
        pytest.param(but(SHOP, backlog=999), "backlog must be 1,000", id="less waits than one request has"),
        pytest.param(but(SHOP, backlog=40_001), "to 40,000", id="more waits than a shard has room for"),
        pytest.param(but(WORDS, id="dutch"), "no two-letter language", id="words of no language"),
        pytest.param(but(WORDS, stop=()), "stop must hold a word", id="no word that stops"),
        pytest.param(but(WORDS, stop=("🛑",)), "must have letters", id="a word of emoji"),
        pytest.param(but(WORDS, start=("Stop!",)), "stop stands twice", id="a word that means two things"),
        pytest.param(but(MAIN, business="nobody"), "no business nobody", id="sender of nobody"),
        pytest.param(but(MAIN, id="main"), "must look like shop/<name>", id="sender without business"),
        pytest.param(but(MAIN, id="other/main"), "must look like shop/<name>", id="sender of another"),
        pytest.param(but(MAIN, number="8005550101"), "E.164", id="number"),
        pytest.param(but(MAIN, rate_per_s=0), "1 to 1,000", id="no rate"),
        pytest.param(but(MAIN, rate_per_s=-5), "1 to 1,000", id="negative rate"),
        pytest.param(but(MAIN, rate_per_s=1_001), "1 to 1,000", id="more than the platform takes"),
        pytest.param(but(MAIN, rate_per_s=4), "the default shares", id="too slow to be divided"),
        pytest.param(but(MAIN, shares={"otp": 60, "update": 41}), "100 in all", id="shares above all"),
        pytest.param(
            but(MAIN, shares={"sms": 10}), ", ".join(sorted(lane.word for lane in Lane)), id="share of no lane"
        ),
        pytest.param(but(MAIN, shares={"otp": 1}), "at least 1 a second", id="share of nothing"),
        pytest.param(but(MAIN, shares={"otp": -5}), "at least 1 %", id="negative share"),
        pytest.param(but(NEWS, business="nobody"), "no business nobody", id="template of nobody"),
        pytest.param(but(NEWS, id="news/1"), "a-z, 0-9 and _", id="template id"),
        pytest.param(but(NEWS, id="fanfare_heartbeat_otp"), "heartbeat", id="the heartbeat's template"),
        pytest.param(but(NEWS, category="spam"), "one of authentication", id="category"),
        pytest.param(but(NEWS, parameters=(Parameter("what", sealed=True),)), "sealed", id="sealed news"),
        pytest.param(but(CODE, parameters=(Parameter("code"),)), "sealed", id="a code in clear"),
        pytest.param(but(NEWS, default_language="fr"), "lacks the default language fr", id="default language"),
        pytest.param(but(NEWS, texts={"en": "{what}", "deu": "{what}"}), "no two-letter language", id="language"),
        pytest.param(but(NEWS, texts={"en": ""}), "1 to 1024 characters", id="empty text"),
        pytest.param(but(NEWS, texts={"en": "{what}" + "x" * 1_024}), "1 to 1024 characters", id="long text"),
        pytest.param(but(NEWS, texts={"en": "{wat}"}), "differ in wat, what", id="another slot"),
        pytest.param(but(NEWS, texts={"en": "nothing"}), "differ in what", id="no slot"),
        pytest.param(but(NEWS, texts={"en": "{what} {"}), "braces", id="open brace"),
        pytest.param(but(NEWS, texts={"en": "{what!r}"}), "braces", id="conversion"),
        pytest.param(but(NEWS, texts={"en": "{what.__class__}"}), "braces", id="attribute"),
        pytest.param(but(NEWS, texts={"en": "{what:>9999999}"}), "braces", id="format"),
        pytest.param(but(NEWS, parameters=(Parameter("what"), Parameter("what"))), "stands twice", id="twice"),
        pytest.param(but(CARD, id=0), "at least 1", id="card number"),
        pytest.param(but(CARD, currency="euro"), "ISO 4217", id="currency"),
        pytest.param(but(CARD, prices_micro={"utility": {"*": 1}}), "needs exactly", id="category missing"),
        pytest.param(but(CARD, prices_micro=PRICES | {"utility": {"49": 1}}), "needs *", id="other markets missing"),
        pytest.param(but(CARD, prices_micro=PRICES | {"utility": {"*": 1, "+49": 1}}), "calling code", id="market"),
        pytest.param(but(CARD, prices_micro=PRICES | {"utility": {"*": -1}}), "negative", id="negative price"),
        pytest.param(but(KEY, use="sign"), "use must be seal", id="use"),
        pytest.param(but(KEY, public="ab"), "32 bytes", id="short key"),
        pytest.param(but(KEY, public="zz" * 32), "32 bytes", id="no hex"),
        pytest.param(but(API_KEY, business="nobody"), "no business nobody", id="api key of nobody"),
        pytest.param(but(API_KEY, id="A"), "a-z, 0-9 and _", id="api key id"),
        pytest.param(but(API_KEY, sha256="cd"), "sha256 must be that of the key", id="api key in clear"),
        pytest.param(but(BIRTH, shards=0), "at least 1", id="no shards"),
        pytest.param(but(BIRTH, max_rate_per_s=0), "at least 1", id="nothing may be sent"),
    ],
)
def test_a_bad_entry_is_refused_with_a_sentence(entry: Entry, sentence: str) -> None:
    """What would be found out later by a producer, the gateway or on a bill is found out here."""
    assert any(sentence in objection for objection in objections(entry, registered(SHOP)))


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        pytest.param(but(CARD, currency="USD"), "a card never changes", id="currency of a card"),
        pytest.param(but(CARD, prices_micro=PRICES | {"utility": {"*": 9}}), "a card never changes", id="price"),
        pytest.param(but(BIRTH, shards=16), "born with 8 shards", id="another number of shards"),
        pytest.param(but(API_KEY, id="a2"), "under another id", id="api key twice"),
        pytest.param(but(MAIN, id="shop/other"), "number is that of shop/main", id="one number twice"),
        pytest.param(
            but(BIRTH, max_rate_per_s=1), "less than what is registered of shop/main", id="slower than a sender"
        ),
        pytest.param(but(NEWS, texts={"en": "New: {what}"}), "version must rise above 1", id="text, same version"),
    ],
)
def test_what_requests_were_accepted_under_does_not_change(entry: Entry, sentence: str) -> None:
    """Prices, shards and texts are fixed for what refers to them."""
    assert any(sentence in objection for objection in objections(entry, registered(*SOUND)))


def test_a_new_version_of_a_text_and_a_new_card_may_come() -> None:
    """That is how they change."""
    everything = registered(*SOUND)
    assert objections(but(NEWS, texts={"en": "New: {what}"}, version=2), everything) == []
    assert objections(but(CARD, id=2, currency="USD"), everything) == []
