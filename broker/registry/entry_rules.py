"""Decides which entries may be registered, by themselves and beside those that are, and remarks on defaults that surprise people.

An entry that breaks a rule would be found out later, by a producer whose events are refused, by the gateway, or on a bill.
Sources of the rules: PROTOCOL.md section 5 (S is fixed at birth) and 6 (code slots); lengths and languages as WhatsApp's
reference of message templates bounds them.
"""

import re
from collections.abc import Iterator, Sequence
from string import Formatter
from typing import Final

from broker.heartbeat import TEMPLATES, is_heartbeat
from broker.registry.fold import SEAL, Registry
from broker.webhook.keywords import normal
from schemas.ids import HEARTBEAT_BUSINESS
from schemas.lanes import Category, Lane
from schemas.registry import (
    DEFAULT_SHARES,
    MAX_BACKLOG,
    PLANS,
    PLATFORM_RATE_PER_S,
    ApiKey,
    Business,
    Deployment,
    Entry,
    Key,
    Keywords,
    PriceCard,
    Sender,
    Template,
    key_of,
)
from schemas.request import MAX_RECIPIENTS

_BUSINESS_ID: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""Ids of businesses stand in topic names, sources and consumer ACLs: the letters of a DNS label."""
_NAME: Final = re.compile(r"[a-z0-9_]{1,64}")
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_LANGUAGE: Final = re.compile(r"[a-z]{2}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_MARKET: Final = re.compile(r"\*|[1-9][0-9]{0,2}")
_CATEGORIES: Final = tuple(category.word for category in Category)
_LANES: Final = {lane.word for lane in Lane}
_DEFAULT_SHARES: Final = ", ".join(f"{lane} {percent}" for lane, percent in DEFAULT_SHARES.items())
_ALL_PERCENT: Final = 100
_TEXT_CHARS: Final = 1_024
_KEY_BYTES: Final = 32
_BYTES: Final = re.compile(rf"[0-9a-f]{{{2 * _KEY_BYTES}}}")


def objections(entry: Entry, registry: Registry) -> list[str]:
    """Why ``entry`` may not be registered beside what ``registry`` holds; empty if it may. One sentence each."""
    match entry:
        case Business():
            return list(_business(entry))
        case Sender():
            return list(_sender(entry, registry))
        case Template():
            return [*_template(entry, registry), *_text_change(entry, registry), *_texts(entry)]
        case PriceCard():
            return [*_card(entry, registry), *_prices(entry)]
        case Key():
            return list(_key(entry))
        case ApiKey():
            return list(_api_key(entry, registry))
        case Keywords():
            return list(_keywords(entry))
        case Deployment():
            return list(_deployment(entry, registry))


def held(entry: Entry, registry: Registry) -> Entry | None:
    """Returns what the registry holds under the key of ``entry``."""
    match entry:
        case Business():
            return registry.businesses.get(entry.id)
        case Sender():
            return registry.senders.get(entry.id)
        case Template():
            return next((each for each in registry.templates.values() if key_of(each) == key_of(entry)), None)
        case PriceCard():
            return registry.cards.get(entry.id)
        case Key():
            return registry.keys.get(entry.id)
        case ApiKey():
            return registry.api_keys.get(entry.id)
        case Keywords():
            return registry.keywords.get(entry.id)
        case Deployment():
            return registry.deployment


def business_id_objections(business: str) -> Iterator[str]:
    """Yields why nobody may be registered under the id ``business``, one sentence each; nothing if it may be taken."""
    if not _BUSINESS_ID.fullmatch(business):
        yield "id must be 1 to 63 of a-z, 0-9 and inner hyphens: it names a topic"
    if business == HEARTBEAT_BUSINESS or is_heartbeat(business):
        yield f"{HEARTBEAT_BUSINESS} and {HEARTBEAT_BUSINESS}-... are Fanfare's own"


def _business(entry: Business) -> Iterator[str]:
    yield from business_id_objections(entry.id)
    if not entry.name.strip():
        yield "name must not be empty: people see it"
    if entry.plan not in PLANS:
        yield f"plan must be {' or '.join(PLANS)}; both are served and billed alike in this release"
    if wrong := [number for number in entry.test_numbers if not _NUMBER.fullmatch(number)]:
        yield f"test_numbers: {wrong[0]} is not E.164, like +18005550101"
    if not MAX_RECIPIENTS <= entry.backlog <= MAX_BACKLOG:
        yield f"backlog must be {MAX_RECIPIENTS:,}, which is one request, to {MAX_BACKLOG:,}, for which a shard has room"


def _sender(entry: Sender, registry: Registry) -> Iterator[str]:
    if entry.business not in registry.businesses:
        yield f"there is no business {entry.business}; register it before its senders"
    business, _, name = entry.id.rpartition("/")
    if business != entry.business or not _NAME.fullmatch(name):
        yield f"id must look like {entry.business}/<name>"
    if not _NUMBER.fullmatch(entry.number):
        yield "number must be E.164, like +18005550101"
    most = PLATFORM_RATE_PER_S if registry.deployment is None else registry.deployment.max_rate_per_s
    if not 1 <= entry.rate_per_s <= most:
        yield f"rate_per_s must be 1 to {most:,}, what the platform takes from one number"
    others = (other for other in registry.senders.values() if other.number == entry.number and other.id != entry.id)
    if (other := next(others, None)) is not None:
        yield f"number is that of {other.id}: one number has one throughput, so it is registered once"
    yield from _shares(entry)


def _shares(entry: Sender) -> Iterator[str]:
    if entry.shares and (not entry.shares.keys() <= _LANES or sum(entry.shares.values()) > _ALL_PERCENT):
        yield f"shares gives each lane ({', '.join(sorted(_LANES))}) a percentage, 100 in all at most"
    if any(percent < 1 for percent in entry.shares.values()):
        yield "shares must be at least 1 % for each lane that it names: leave out a lane that may not send"
    elif any(entry.rate_per_s * percent < _ALL_PERCENT for percent in (entry.shares or DEFAULT_SHARES).values()):
        given = "shares" if entry.shares else f"the default shares ({_DEFAULT_SHARES})"
        yield f"{given} must leave each lane at least 1 a second: raise rate_per_s, or name only the lanes that send"


def _template(entry: Template, registry: Registry) -> Iterator[str]:
    if entry.business != "*" and entry.business not in registry.businesses:
        yield f"there is no business {entry.business}; * lets every business use it"
    if not _NAME.fullmatch(entry.id):
        yield "id must be 1 to 64 of a-z, 0-9 and _"
    if entry.id in TEMPLATES.values():
        yield "id is that of Fanfare's own heartbeat"
    if entry.category not in _CATEGORIES:
        yield f"category must be one of {', '.join(_CATEGORIES)}"
    sealed = [parameter.name for parameter in entry.parameters if parameter.sealed]
    if bool(sealed) != (entry.category == Category.AUTHENTICATION.word):
        yield "authentication templates have a sealed parameter for the code, and no others have one"


def _text_change(entry: Template, registry: Registry) -> Iterator[str]:
    known = registry.templates.get((entry.business, entry.id))
    if known is not None and entry.version <= known.version and known.texts != entry.texts:
        yield f"version must rise above {known.version} when the text changes"


def _texts(entry: Template) -> Iterator[str]:
    if entry.default_language not in entry.texts:
        yield f"texts lacks the default language {entry.default_language}"
    names = {parameter.name for parameter in entry.parameters}
    if len(names) < len(entry.parameters):
        yield "a parameter stands twice"
    for language, text in entry.texts.items():
        if not _LANGUAGE.fullmatch(language):
            yield f"texts: {language} is no two-letter language"
        if not 0 < len(text) <= _TEXT_CHARS:
            yield f"texts.{language} must have 1 to {_TEXT_CHARS} characters"
        slots = _slots(text)
        if slots is None:
            yield f"texts.{language}: braces must be {{name}}, doubled where a brace is meant"
        elif slots != names:
            wrong = ", ".join(sorted(slots ^ names))
            yield f"texts.{language} and parameters differ in {wrong}"


def _slots(text: str) -> set[str] | None:
    """The names in braces; ``None`` if a slot has anything but a name."""
    try:
        parsed = [(name, form, change) for _, name, form, change in Formatter().parse(text) if name is not None]
    except ValueError:
        return None
    plain = all(_NAME.fullmatch(name) and not form and not change for name, form, change in parsed)
    return {name for name, _, _ in parsed} if plain else None


def _card(entry: PriceCard, registry: Registry) -> Iterator[str]:
    known = registry.cards.get(entry.id)
    if known is not None and known != entry:
        yield "a card never changes, because requests were accepted under it: give the new prices the next id"
    if entry.id < 1:
        yield "id must be at least 1"
    if not _CURRENCY.fullmatch(entry.currency):
        yield "currency must be three capital letters (ISO 4217)"
    if set(entry.prices_micro) != set(_CATEGORIES):
        yield f"prices_micro needs exactly {', '.join(_CATEGORIES)}"


def _prices(entry: PriceCard) -> Iterator[str]:
    for category, prices in entry.prices_micro.items():
        if "*" not in prices:
            yield f"prices_micro.{category} needs *, the price of every other market"
        if not all(_MARKET.fullmatch(market) for market in prices):
            yield f"prices_micro.{category}: a market is a country calling code as text, or *"
        if any(price < 0 for price in prices.values()):
            yield f"prices_micro.{category} holds a negative price"


def _key(entry: Key) -> Iterator[str]:
    if entry.use != SEAL:
        yield f"use must be {SEAL}"
    if not _NAME.fullmatch(entry.id):
        yield "id must be 1 to 64 of a-z, 0-9 and _"
    if not _BYTES.fullmatch(entry.public):
        yield f"public must be {_KEY_BYTES} bytes, written as {2 * _KEY_BYTES} hexadecimal digits"


def _api_key(entry: ApiKey, registry: Registry) -> Iterator[str]:
    if entry.business not in registry.businesses:
        yield f"there is no business {entry.business}; register it before its keys"
    if not _NAME.fullmatch(entry.id):
        yield "id must be 1 to 64 of a-z, 0-9 and _"
    if not _BYTES.fullmatch(entry.sha256):
        yield f"sha256 must be that of the key, written as {2 * _KEY_BYTES} hexadecimal digits"
    if any(known.sha256 == entry.sha256 and known.id != entry.id for known in registry.api_keys.values()):
        yield "the same key is registered under another id: make one of its own"


def _keywords(entry: Keywords) -> Iterator[str]:
    if not _LANGUAGE.fullmatch(entry.id):
        yield f"id: {entry.id} is no two-letter language"
    if not entry.stop:
        yield "stop must hold a word: these replace the ones that Fanfare brings for the language"
    words = [normal(word) for word in (*entry.stop, *entry.stop_all, *entry.start, *entry.after_offers)]
    if "" in words:
        yield "a word must have letters: punctuation and emoji are not looked at"
    twice = sorted({word for word in words if words.count(word) > 1})
    if twice:
        yield f"{twice[0]} stands twice: case, accents and punctuation do not tell words apart"


def _deployment(entry: Deployment, registry: Registry) -> Iterator[str]:
    known = registry.deployment
    if entry.shards < 1:
        yield "shards must be at least 1"
    if known is not None and known.shards != entry.shards:
        yield f"the deployment was born with {known.shards} shards; another number needs an offline copy"
    if entry.max_rate_per_s < 1:
        yield "max_rate_per_s must be at least 1"
    faster = [sender.id for sender in registry.senders.values() if sender.rate_per_s > entry.max_rate_per_s]
    if faster:
        yield f"max_rate_per_s is less than what is registered of {', '.join(sorted(faster)[:3])}: lower those first"


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
