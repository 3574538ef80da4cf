"""What `deploy/dev` registers fits the types, itself, and what the sources publish."""

from pathlib import Path
from string import Formatter
from typing import Any

import msgspec
import phonenumbers
import pytest
import yaml

from broker.webhook.keywords import KEYWORDS, normal
from schemas.ids import business_of
from schemas.lanes import Category, lane_for
from schemas.registry import CONFIRMATIONS, Business, Deployment, Entry, Key, PriceCard, Sender, Template, key_of
from schemas.topics import SHARDS
from streams.dev.sources.flights import flights
from streams.dev.sources.logins import logins
from streams.dev.sources.parcels import parcels
from streams.dev.sources.seeded_people import MARKETS
from streams.dev.sources.timed import Run, Timed
from streams.dev.sources.timetable import airlines
from streams.runtime.settings import DEV_SEAL_KID, DEV_SEAL_PUBLIC

FOLDER = Path(__file__).parents[3] / "deploy" / "dev"
FILES = sorted(FOLDER.glob("*.yaml"))
RUN = Run("r1", 1_760_000_000_000)


def entries() -> list[Entry]:
    """Every entry of every file."""
    return [
        entry
        for file in FILES
        for entry in msgspec.convert(yaml.safe_load(file.read_text(encoding="utf-8")), list[Entry])
    ]


def of_kind(kind: type) -> dict[Any, Any]:
    """The entries of one kind, by id."""
    return {entry.id: entry for entry in entries() if isinstance(entry, kind)}


def published() -> list[Timed]:
    """A day of each source."""
    return [*flights(RUN), *parcels(RUN), *logins(RUN)]


def test_keys_are_unique() -> None:
    """No two entries stand under one key, so that none is lost by compaction; every file says what it is for."""
    keys = [key_of(entry) for entry in entries()]
    assert len(keys) == len(set(keys))
    assert all(file.read_text(encoding="utf-8").startswith("#") for file in FILES)


def test_every_carrier_has_a_sender() -> None:
    """Each carrier of the records is a business under its own name with one sender of 4,000 a second."""
    businesses, senders = of_kind(Business), of_kind(Sender)
    for carrier, name in airlines().items():
        business = f"airline-{carrier.lower()}"
        assert businesses[business].name == name
        assert (senders[f"{business}/main"].business, senders[f"{business}/main"].rate_per_s) == (business, 4_000)
    assert {"shop-parcelo", "bank-meridian"} < businesses.keys()
    assert {business.plan for business in businesses.values()} == {"free", "paid"}
    assert {business.verified for business in businesses.values()} == {True, False}


def test_senders() -> None:
    """Each sender belongs to a business of the list, has a number of its own that is valid, and is its default."""
    businesses, senders = of_kind(Business), of_kind(Sender)
    numbers = [sender.number for sender in senders.values()]
    assert len(numbers) == len(set(numbers))
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(number)) for number in numbers)
    assert {sender.business for sender in senders.values()} == businesses.keys()
    assert all(sender.default and sender.id == f"{sender.business}/main" for sender in senders.values())


@pytest.mark.parametrize("template", of_kind(Template).values(), ids=lambda template: template.id)
def test_texts_mention_only_what_is_declared(template: Template) -> None:
    """A text exists in three languages, or in all in which people can stop, and mentions what is declared in each alike."""
    declared = {parameter.name for parameter in template.parameters}
    mentioned = [
        {name for _, name, _, _ in Formatter().parse(text) if name is not None} for text in template.texts.values()
    ]
    assert set(template.texts) == (KEYWORDS.keys() if template.id in CONFIRMATIONS else {"en", "es", "hi"})
    assert all(names <= declared for names in mentioned)
    assert all(names == mentioned[0] for names in mentioned)
    assert template.category in {category.word for category in Category}
    assert any(parameter.sealed for parameter in template.parameters) == (template.category == "authentication")


def test_languages_differ() -> None:
    """A language is a translation, not a copy."""
    for template in of_kind(Template).values():
        assert len(set(template.texts.values())) == len(template.texts)


def test_prices() -> None:
    """The card prices each category in each market of the people, and everywhere else."""
    (card,) = of_kind(PriceCard).values()
    assert card.prices_micro.keys() == {category.word for category in Category}
    for prices in card.prices_micro.values():
        assert prices.keys() == {market.calling_code for market in MARKETS} | {"*"}
        assert all(price > 0 for price in prices.values())


def test_deployment_and_key() -> None:
    """The shards are those of the catalogue, and the key is the public half of the development gateway's."""
    (deployment,) = of_kind(Deployment).values()
    assert deployment.shards == SHARDS
    assert of_kind(Key)[DEV_SEAL_KID].public == DEV_SEAL_PUBLIC


def test_sources_publish_what_is_registered() -> None:
    """Every request of every source speaks by a registered sender, on its template's lane, with its parameters."""
    senders, templates = of_kind(Sender), of_kind(Template)
    for timed in published():
        data = timed.event["data"]
        assert f"{business_of(timed.event['source'])}/main" in senders
        if "template" not in data:
            continue
        template = templates[data["template"]]
        recipients = data["to"].get("recipients", [{}])
        given = {*data.get("params", {}), *recipients[0].get("params", {}), *timed.codes}
        assert given == {parameter.name for parameter in template.parameters}
        assert set(timed.codes) == {parameter.name for parameter in template.parameters if parameter.sealed}
        assert timed.lane is lane_for(Category[template.category.upper()])


@pytest.mark.parametrize("template", CONFIRMATIONS)
def test_confirmations_end_with_a_word_that_takes_the_stop_back(template: str) -> None:
    """In each language the word that people are told to answer is understood."""
    (said,) = (held for held in of_kind(Template).values() if held.id == template)
    starts = {normal(word) for entry in KEYWORDS.values() for word in entry.start}
    for language, text in said.texts.items():
        words = normal(text).split()
        assert starts & {" ".join(words[at:end]) for at in range(len(words)) for end in (at + 1, at + 2)}, language
