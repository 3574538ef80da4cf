"""The AsyncAPI document as a page to browse: one HTML file that needs nothing else, neither scripts nor the network."""

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from schemas.contract.page_fields import Field, fields
from schemas.topics import DAY_MS, FOR_EVER, HOUR_MS

Document = dict[str, Any]

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
