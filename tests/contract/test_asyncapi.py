"""The AsyncAPI document and its page: they say what the types, the catalogue and the examples say, and hang together."""

import copy
import gzip
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import msgspec
import pytest

from schemas import topics
from schemas.contract.__main__ import EXAMPLES, written
from schemas.contract.asyncapi_examples import SEALED, examples_of
from schemas.contract.descriptions import DESCRIPTIONS
from schemas.contract.html_page import fields
from schemas.lanes import Lane
from schemas.status import DeadLetter, Status
from streams.kafka.set_aside import dead_letter
from streams.worker.outputs import status_record

FILES: Final = written()
CONTRACT: Final[dict[str, Any]] = msgspec.json.decode(FILES["asyncapi.json"])
PAGE: Final = FILES["asyncapi.html"].decode()
MESSAGES: Final[dict[str, Any]] = CONTRACT["components"]["messages"]
SHOWN: Final = [(name, example) for name, message in MESSAGES.items() for example in message["examples"]]
OFFICIAL: Final = jsonschema_rs.validator_for(
    msgspec.json.decode(gzip.decompress((Path(__file__).parent / "official" / "asyncapi-3.1.0.json.gz").read_bytes()))
)
_ALONE: Final = {"meta", "br", "hr", "img", "link", "input"}


def references(value: Any) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        yield from (held for key, held in value.items() if key == "$ref")
    for held in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from references(held)


def test_every_reference_leads_somewhere() -> None:
    """Also from operations to channels."""
    found = set(references(CONTRACT))
    assert {"#/channels/requests.otp", "#/components/messages/status", "#/components/schemas/To"} <= found
    for reference in found:
        here = CONTRACT
        for step in reference.removeprefix("#/").split("/"):
            here = here[step]


@pytest.mark.parametrize(
    ("name", "example"), SHOWN, ids=lambda value: value["name"] if isinstance(value, dict) else value
)
def test_each_example_is_one(name: str, example: dict[str, Any]) -> None:
    """It fits the schema of its message, and no longer with a number for its first field."""
    payload = MESSAGES[name]["payload"]
    validator = jsonschema_rs.validator_for({**payload, "components": CONTRACT["components"]})
    validator.validate(example["payload"])
    first = "id" if "id" in example["payload"] else "topic"
    assert not validator.is_valid(example["payload"] | {first: 7})


def test_the_examples_to_publish_are_all_shown() -> None:
    """Those under ``deploy/dev/examples``, as they are; the code in one is sealed as it has to be."""
    examples = [example for name in ("notification", "optin", "control") for example in MESSAGES[name]["examples"]]
    shown = {example["name"]: copy.deepcopy(example["payload"]) for example in examples}
    code = shown[SEALED]["data"]["to"]["recipients"][0].pop("params")
    assert shown == {path.stem: msgspec.json.decode(path.read_bytes()) for path in EXAMPLES.glob("*.json")}
    assert code["code"]["sealed"] == msgspec.json.decode(FILES["vectors.json"])["seal"]["rows"][0]["sealed"]


def test_a_code_of_another_place_is_not_shown() -> None:
    """The seal in the example is bound to it."""
    events = {path.stem: msgspec.json.decode(path.read_bytes()) for path in EXAMPLES.glob("*.json")}
    seal = msgspec.json.decode(FILES["vectors.json"])["seal"]
    events[SEALED]["id"] = "login-2"
    with pytest.raises(ValueError, match="not of the example's request"):
        examples_of(events, seal)


def test_each_topic_is_as_the_catalogue_has_it() -> None:
    """Address, key, partitions and retention; every topic that others than Fanfare use."""
    known = {topic.name: topic for topic in topics.catalogue(("{business}",))}
    channels = {channel["address"]: channel for channel in CONTRACT["channels"].values()}
    requests = {topics.requests(lane) for lane in Lane}
    answers = {"status.{business}", "billing.{business}", topics.DEAD_LETTERS}
    assert channels.keys() == requests | answers | {topics.REGISTRY}
    for address, channel in channels.items():
        kafka = channel["bindings"]["kafka"]
        assert kafka["topic"] == address
        assert kafka["partitions"] == (known[address].partitions or topics.SHARDS)
        assert kafka["topicConfiguration"]["retention.ms"] == known[address].retention_ms
        for reference in references(channel["messages"]):
            key = MESSAGES[reference.rpartition("/")[2]]["bindings"]["kafka"]["key"]
            assert key["type"] == "string"
            assert set(re.findall(r"\w+", known[address].key)) & set(re.findall(r"\w+", key["description"].lower()))


def test_a_dead_letter_and_a_status_have_the_keys_and_headers_that_are_told() -> None:
    """As plan writes them."""
    letter = dead_letter(DeadLetter("requests.otp", 3, 1, "poison", "x", "plan", 1, "00"))
    assert letter.key == b"requests.otp-3"
    assert "<topic>-<partition>" in MESSAGES["deadLetter"]["bindings"]["kafka"]["key"]["description"]
    status = status_record("shop", Status(request="name", source="//a/b", id="1", state="closed", seq=1, at_ms=1))
    assert status.key == b"name"
    headers = jsonschema_rs.validator_for(MESSAGES["status"]["headers"])
    headers.validate({name: value.decode() for name, value in status.headers})
    assert not headers.is_valid({})


def test_it_is_a_document_of_asyncapi() -> None:
    """By the specification's own schema, bindings included, and in its names, which that leaves open; each channel is used."""
    assert list(OFFICIAL.iter_errors(CONTRACT)) == []
    names = [*CONTRACT["components"]["schemas"], *MESSAGES, *CONTRACT["operations"]]
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", name) for name in names)
    used = {operation["channel"]["$ref"].rpartition("/")[2] for operation in CONTRACT["operations"].values()}
    assert used == CONTRACT["channels"].keys()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("info", "version"), None),
        (("operations", "publish-otp"), {"action": "shout", "channel": {"$ref": "#/channels/requests.otp"}}),
        (("channels", "requests.otp", "bindings", "kafka", "partition"), 8),
        (("components", "schemas", "To", "type"), "list"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_no_document_of_asyncapi_is_found(path: tuple[str, ...], value: Any) -> None:
    """A field that is missing, an action, a binding or a type that there is not."""
    document = copy.deepcopy(CONTRACT)
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert not OFFICIAL.is_valid(document)


def test_each_component_has_a_title_of_its_own() -> None:
    """Code generators name classes by titles and make one of two that share one."""
    for name, schema in CONTRACT["components"]["schemas"].items():
        assert schema["title"] == name


def test_each_field_of_the_contract_is_explained() -> None:
    """Describe a new one where it is (``schemas/request.py``), or in ``schemas/contract/descriptions.py``."""
    for name, message in MESSAGES.items():
        for field in fields(message["payload"], CONTRACT):
            tag = name == "registryEntry" and field.path == "kind"
            assert field.about or tag, f"{name}: {field.path}"


def test_each_sentence_belongs_to_a_field() -> None:
    """No type or field is explained that is not there."""
    schemas = CONTRACT["components"]["schemas"]
    for part, sentences in DESCRIPTIONS.items():
        assert sentences.keys() <= schemas[part]["properties"].keys(), part


class _Tags(HTMLParser):
    """Checks that every tag is closed in order, and collects ids, links and what would be loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.code: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One that opens."""
        held = dict(attrs)
        self.ids.extend(filter(None, [held.get("id")]))
        self.links.extend(filter(None, [held.get("href")]))
        self.loaded.extend(f"{tag} {name}" for name in held if name in ("src", "srcset", "style", "onclick"))
        self.loaded.extend([tag] if tag in ("script", "link", "iframe", "object", "img") else [])
        self.open.extend([] if tag in _ALONE else [tag])

    def handle_endtag(self, tag: str) -> None:
        """One that closes: the last that was opened."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """What stands in code."""
        self.code.extend([data] if self.open[-1:] == ["code"] else [])


def test_the_page_stands_alone_and_every_link_on_it_leads_somewhere() -> None:
    """One file: no script, no picture, no style from elsewhere; sound HTML."""
    tags = _Tags()
    tags.feed(PAGE)
    assert tags.open == []
    assert tags.loaded == []
    assert not re.search(r"url\(|@import", PAGE)
    assert len(tags.ids) == len(set(tags.ids))
    assert {link.removeprefix("#") for link in tags.links} == set(tags.ids)
    for channel in CONTRACT["channels"].values():
        assert channel["address"] in tags.code
    for message in MESSAGES.values():
        for field in fields(message["payload"], CONTRACT):
            assert field.path in tags.code


def test_fields_stand_in_the_order_of_the_types() -> None:
    """Who reads from the top meets the envelope first."""
    top = [field.path for field in fields(MESSAGES["optin"]["payload"], CONTRACT) if "." not in field.path]
    assert top[:7] == ["specversion", "id", "source", "type", "time", "subject", "expirytime"]
    assert top[-1] == "data"


def test_nothing_on_the_page_is_taken_for_a_tag() -> None:
    """``<business>`` is text."""
    assert "//&lt;business&gt;/&lt;system&gt;" in PAGE
    assert not re.search(r"<(business|system|lane|kid)\b", PAGE)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("data.to.recipients[].address", ("string", True, ("matches ^tel:\\+[1-9][0-9]{6,14}$",))),
        ("data.to.recipients", ("array of object", False, ("at least 1 item", "at most 1000 items"))),
        ("data.params", ("object of string or object", False, ("at most 32 fields",))),
        ("data.params.*.sealed", ("string", True, ())),
        ("subject", ("string or null", False, ())),
        ("type", ("string", True, ('always "fanfare.notification.v1"',))),
    ],
)
def test_a_field_has_its_type_and_limits(path: str, wanted: tuple[str, bool, tuple[str, ...]]) -> None:
    """As people say them."""
    found = {field.path: field for field in fields(MESSAGES["notification"]["payload"], CONTRACT)}
    assert (found[path].type, found[path].required, found[path].limits) == wanted
