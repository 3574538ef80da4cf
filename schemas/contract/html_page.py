"""The AsyncAPI document as a page to browse: one HTML file that needs nothing else, neither scripts nor the network."""

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.contract.descriptions import DESCRIPTIONS
from schemas.lanes import DAY_MS, HOUR_MS
from schemas.topics import FOR_EVER

# The fields of a JSON Schema as rows of a table: path, type, limits, and what it means.

Document = dict[str, Any]

_LIMITS: Final = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "maxProperties": "at most {} fields",
    "minimum": "from {}",
    "maximum": "to {}",
    "pattern": "matches {}",
}


class Field(msgspec.Struct, frozen=True):
    """Holds one row. ``path`` is dotted, with ``[]`` after an array and ``*`` for any name."""

    path: str
    type: str
    required: bool
    limits: tuple[str, ...]
    about: str


def fields(schema: Document, root: Document) -> Iterator[Field]:
    """Every field below ``schema``, in the order of the types. References point into ``root``."""
    yield from _below(schema, root, "", frozenset())


def _below(schema: Document, root: Document, path: str, inside: frozenset[str]) -> Iterator[Field]:
    for alternative in _alternatives(schema, root):
        if alternative.get("title", "") in inside:
            continue
        deeper = inside | {alternative["title"]} if "title" in alternative else inside
        yield from _named(alternative, root, path, deeper)
        rest = alternative.get("additionalProperties")
        if isinstance(rest, dict):
            yield from _below(rest, root, f"{path}.*".removeprefix("."), deeper)
        if "items" in alternative:
            yield from _below(alternative["items"], root, f"{path}[]", deeper)


def _named(schema: Document, root: Document, path: str, inside: frozenset[str]) -> Iterator[Field]:
    required = set(schema.get("required", ()))
    properties = schema.get("properties", {})
    for name in sorted(properties, key=_order(schema)):
        held, here = properties[name], f"{path}.{name}".removeprefix(".")
        limits = tuple(_limits(held, root))
        yield Field(here, type_of(held, root), name in required, limits, _about(held, root))
        yield from _below(held, root, here, inside)


def _order(schema: Document) -> Callable[[str], tuple[int, str]]:
    """As the type has its fields: the schemas have theirs by the alphabet."""
    known = list(DESCRIPTIONS.get(schema.get("title", ""), ()))
    return lambda name: (known.index(name) if name in known else -1, name)


def _about(schema: Document, root: Document) -> str:
    """Its own sentence, else that of what it refers to."""
    own: str = schema.get("description", "")
    return own or next((str(each["description"]) for each in _alternatives(schema, root) if "description" in each), "")


def type_of(schema: Document, root: Document) -> str:
    """The type as people say it: ``string or null``, ``array of object``."""
    return " or ".join(dict.fromkeys(_type(each, root) for each in _alternatives(schema, root)))


def _type(schema: Document, root: Document) -> str:
    kind = schema.get("type", "string" if "const" in schema or "enum" in schema else "anything")
    if kind == "array" and "items" in schema:
        return f"array of {type_of(schema['items'], root)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'], root)}"
    return str(kind)


def _limits(schema: Document, root: Document) -> Iterator[str]:
    for each in _alternatives(schema, root):
        if "const" in each:
            yield f"always {_said(each['const'])}"
        if "enum" in each:
            yield "one of " + ", ".join(map(_said, each["enum"]))
        yield from (_plural(text, each[keyword]) for keyword, text in _LIMITS.items() if keyword in each)
    if schema.get("default") not in (None, "", {}, []):
        yield f"{_said(schema['default'])} if left out"


def _plural(text: str, count: Any) -> str:
    return text.format(count).removesuffix("s" if count == 1 else "")


def _alternatives(schema: Document, root: Document) -> Iterator[Document]:
    schema = _followed(schema, root)
    if "anyOf" not in schema:
        yield schema
        return
    for alternative in schema["anyOf"]:
        yield from _alternatives(alternative, root)


def _followed(schema: Document, root: Document) -> Document:
    while "$ref" in schema:
        here: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            here = here[step]
        schema = here
    return schema


def _said(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_STYLE: Final = Path(__file__).with_name("page.css")


def page(contract: Document) -> str:
    """The whole page."""
    info = contract["info"]
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_text(info['title'])}: topics and messages</title>",
            f"<style>\n{_STYLE.read_text('utf-8')}</style></head><body>",
            *_navigation(contract),
            f"<main><h1>{_text(info['title'])}</h1>",
            "<p>"
            + " ".join(map(_tag, (f"AsyncAPI {contract['asyncapi']}", "CloudEvents 1.0", "Apache Kafka")))
            + "</p>",
            *(f"<p>{_prose(part)}</p>" for part in info["description"].strip().split("\n\n")),
            *(part for name in contract["channels"] for part in _channel(name, contract)),
            *(part for name in contract["components"]["messages"] for part in _message(name, contract)),
            "</main></body></html>",
            "",
        )
    )


def _navigation(contract: Document) -> Iterator[str]:
    yield "<nav><strong>Fanfare</strong><h2>Topics</h2>"
    for name, channel in contract["channels"].items():
        yield f'<a href="#topic-{name}">{_text(channel["address"])}</a>'
    yield "<h2>Messages</h2>"
    for name, message in contract["components"]["messages"].items():
        yield f'<a href="#{name}">{_text(message["title"])}</a>'
    yield "</nav>"


def _channel(name: str, contract: Document) -> Iterator[str]:
    channel = contract["channels"][name]
    kafka = channel["bindings"]["kafka"]
    config = kafka["topicConfiguration"]
    messages = {each: contract["components"]["messages"][each] for each in channel["messages"]}
    uses = [each for each in contract["operations"].values() if each["channel"]["$ref"] == f"#/channels/{name}"]
    links = ", ".join(f'<a href="#{each}">{_text(message["title"])}</a>' for each, message in messages.items())
    keys = {message["bindings"]["kafka"]["key"]["description"] for message in messages.values()}
    kept = "the newest of each key" if config["cleanup.policy"] == ["compact"] else _kept(config["retention.ms"])
    yield f'<section id="topic-{name}"><h2><code>{_text(channel["address"])}</code></h2>'
    yield f"<p>{_prose(channel['description'])}</p><dl>"
    for use in uses:
        yield f"<dt>{'you write' if use['action'] == 'receive' else 'you read'}</dt><dd>{_prose(use['summary'])}</dd>"
    yield f"<dt>messages</dt><dd>{links}</dd><dt>key</dt><dd>{' '.join(map(_prose, sorted(keys)))}</dd>"
    yield f"<dt>partitions</dt><dd>{kafka['partitions']} in development</dd><dt>kept</dt><dd>{kept}</dd></dl></section>"


def _kept(retention_ms: int) -> str:
    if retention_ms == FOR_EVER:
        return "for ever"
    return f"{retention_ms // DAY_MS} days" if retention_ms > DAY_MS else f"{retention_ms // HOUR_MS} hours"


def _message(name: str, contract: Document) -> Iterator[str]:
    message = contract["components"]["messages"][name]
    yield f'<section id="{name}"><h2>{_text(message["title"])}</h2><p>{_prose(message["summary"])} '
    yield f"Content type <code>{message['contentType']}</code>.</p>"
    yield from _table(list(fields(message["payload"], contract)))
    for example in message["examples"]:
        yield f"<details open><summary>Example <code>{_text(example['name'])}</code></summary>"
        yield f"<pre>{_json(example['payload'])}</pre></details>"
    yield "</section>"


def _table(rows: list[Field]) -> Iterator[str]:
    yield "<table><thead><tr><th>field</th><th>type</th><th>meaning</th></tr></thead><tbody>"
    for row in dict.fromkeys(rows):
        must = ' <b class="must" title="required">*</b>' if row.required else ""
        limits = "".join(f"<small>{_text(limit)}</small>" for limit in row.limits)
        yield f"<tr><td><code>{_text(row.path)}</code>{must}</td><td>{_text(row.type)}{limits}</td>"
        yield f"<td>{_prose(row.about)}</td></tr>"
    yield '</tbody></table><p><small><b class="must">*</b> must be there</small></p>'


def _json(value: Any) -> str:
    return _text(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _prose(text: str) -> str:
    """A sentence, with what stands between backticks as code and between stars as stress."""
    marked = re.sub(r"``?(.+?)``?", r"<code>\1</code>", _text(text))
    return re.sub(r"\*(\w[^*<]*)\*", r"<em>\1</em>", marked)


def _tag(text: str) -> str:
    return f'<span class="tag">{_text(text)}</span>'


def _text(text: str) -> str:
    return html.escape(text, quote=False)
