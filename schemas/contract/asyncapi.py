"""The contract as an AsyncAPI 3.1 document: the topics that others than Fanfare read or write, their messages, and examples.

Made from the catalogue of topics and the JSON Schemas. It describes Fanfare as the application: it *receives* what businesses
publish and *sends* statuses, billing events and dead letters. Topics between Fanfare's own stages are binary and nobody else's
concern.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas import topics
from schemas.contract.asyncapi_examples import examples_of
from schemas.contract.json_schema import DEAD_LETTER_TITLE, EVENT_NAMES
from schemas.lanes import DAY_MS, HOUR_MS, MINUTE_MS, Lane, Windows
from schemas.request import CONTROL_TYPE, NOTIFICATION_TYPE, OPTIN_TYPE, STATUS_TYPE
from schemas.status import BILLING_SOURCE, BILLING_TYPE
from schemas.topics import Topic
from schemas.wire.cloudevents import CONTENT_TYPE, STRUCTURED

Document = dict[str, Any]

VERSION: Final = "3.1.0"
_BINDING: Final = "0.5.0"

_ABOUT: Final = """\
Fanfare is a notification broker: businesses publish *what happened* to `requests.<lane>`, and Fanfare decides who may be told,
fans out, keeps the limits, delivers, follows receipts and charges once. Answers come on `status.<business>`; what cannot be
answered goes to `dead-letters`, and what is charged to `billing.<business>`.

Events are CloudEvents 1.0, in structured mode as shown here or in binary mode. The record's key is the business, hashed as Java
clients do (murmur2); with another key it is refused, without one it is moved. Ingress is closed: an unknown field is refused with
the nearest known name. Egress is open: ignore what you do not know. The same (`source`, `id`) with the same content counts once.
What was published is paused, resumed and cancelled by control events in its lane; statuses count what is `held` and `cancelled`.

Without Kafka the same events go to `POST /v1/events?lane=<lane>` of `fanfare intake`, by CloudEvents over HTTP.
"""


def asyncapi(generated: Mapping[str, Document], events: Mapping[str, Document]) -> Document:
    """The document. ``generated`` are schemas and vectors by file name, ``events`` are examples to publish by name."""
    examples = examples_of(events, generated["vectors.json"]["seal"])
    parts = _components(generated)
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Fanfare",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": STRUCTURED,
        "servers": {
            "development": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "What `fanfare dev` runs on this machine.",
            }
        },
        "channels": dict(_channels()),
        "operations": dict(_operations()),
        "components": {"messages": _messages(examples), "schemas": parts},
    }


def _channels() -> Iterator[tuple[str, Document]]:
    for lane in Lane:
        topic = topics.lane_topics(lane)[0]
        messages = ["notification", "optin", "control"] if lane.rules.takes_lists else ["notification", "control"]
        yield topic.name, _channel(topic, f"{lane.rules.about} {_windows(lane.rules.windows)}", messages)
    answers = _channel(
        topics.status_topic("{business}"), "What became of a business's requests. " + _STATUS_ORDER, ["status"]
    )
    bills = _channel(topics.billing_topic("{business}"), _BILLS, ["charge"])
    for channel in (answers, bills):
        channel["parameters"] = {
            "business": {"description": "The business, as in source.", "examples": ["shop-parcelo"]}
        }
    yield "status", answers
    yield "billing", bills
    shared = {topic.name: topic for topic in topics.SHARED}
    yield topics.DEAD_LETTERS, _channel(shared[topics.DEAD_LETTERS], _OPERATORS, ["deadLetter"])
    yield topics.REGISTRY, _channel(shared[topics.REGISTRY], _REGISTERED, ["registryEntry"])


_STATUS_ORDER: Final = (
    "Of two with the same request and shard, the higher seq is the newer word. Each record is a CloudEvent in structured mode "
    "and says so in its header `content-type`."
)
_BILLS: Final = (
    "What a business is charged: one event for each posting of the ledger, in the order of posting, each once. serial counts "
    "them without a gap, and their amounts come to the book's. It is kept for ever. Each record says in its header "
    "`content-type` that it is a CloudEvent in structured mode. A delivered message is in one event, and no "
    "rehearsal is; nothing is taken back, so no amount is negative."
)
_OPERATORS: Final = (
    "For operators: records that were refused before they had a name, and poison. `fanfare dead-letters ls` reads it."
)
_REGISTERED: Final = "For operators: who may send what. `fanfare registry apply` writes it."


def _windows(windows: Windows) -> str:
    return (
        f"A message lives at most {_span(windows.lifetime_max_ms)}; an event is known by its name for "
        f"{_span(windows.idempotency_ms)} and refused as stale when it is older."
    )


def _span(span_ms: int) -> str:
    for unit_ms, unit in ((DAY_MS, "days"), (HOUR_MS, "h"), (MINUTE_MS, "min")):
        if span_ms >= 2 * unit_ms or span_ms == unit_ms:
            return f"{span_ms // unit_ms} {unit}"
    return f"{span_ms} ms"


def _channel(topic: Topic, about: str, messages: list[str]) -> Document:
    config = topic.config()
    return {
        "address": topic.name,
        "title": topic.name,
        "description": about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions or topics.SHARDS,
                "topicConfiguration": {
                    "cleanup.policy": [config["cleanup.policy"]],
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": int(config["max.message.bytes"]),
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _operations() -> Iterator[tuple[str, Document]]:
    for lane in Lane:
        yield f"publish-{lane.word}", _operation("receive", topics.requests(lane), f"Publish to the lane {lane.word}.")
    yield "follow-status", _operation("send", "status", "Read what became of your requests.")
    yield "follow-billing", _operation("send", "billing", "Read what you are charged.")
    yield "read-dead-letters", _operation("send", topics.DEAD_LETTERS, "See what nobody could be told of.")
    yield (
        "register",
        _operation("receive", topics.REGISTRY, "Register businesses, senders, templates, prices and keys."),
    )


def _operation(action: str, channel: str, summary: str) -> Document:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}


def _messages(examples: Mapping[str, list[Document]]) -> Document:
    rows = (
        ("notification", NOTIFICATION_TYPE, EVENT_NAMES[NOTIFICATION_TYPE], "Tell people something.", "business"),
        ("optin", OPTIN_TYPE, EVENT_NAMES[OPTIN_TYPE], "People join or leave a list, with proof.", "business"),
        (
            "control",
            CONTROL_TYPE,
            EVENT_NAMES[CONTROL_TYPE],
            "Pause, resume or cancel what you have published.",
            "business",
        ),
        ("status", STATUS_TYPE, "StatusEvent", "What became of a request.", "request"),
        ("charge", BILLING_TYPE, "ChargeEvent", "What one posting charges.", "request"),
        ("deadLetter", DEAD_LETTER_TITLE, "DeadLetter", "A record that was set aside.", "source"),
        ("registryEntry", "fanfare registry entry", "RegistryEntry", "Who may send what.", "kind/id"),
    )
    found: Document = {
        name: {
            "name": title,
            "title": title,
            "summary": summary,
            "contentType": STRUCTURED if schema.endswith("Event") else "application/json",
            "payload": {"$ref": f"#/components/schemas/{schema}"},
            "bindings": {"kafka": {"key": {"type": "string", "description": _KEYS[key]}, "bindingVersion": _BINDING}},
            "examples": examples[name],
        }
        for name, title, schema, summary, key in rows
    }
    found["status"]["headers"] = _STATUS_HEADERS
    return found


_STATUS_HEADERS: Final[Document] = {
    "type": "object",
    "description": "Of the record, as CloudEvents' Kafka binding has them for structured mode.",
    "properties": {CONTENT_TYPE: {"const": STRUCTURED, "description": "By it a receiver knows the mode."}},
    "required": [CONTENT_TYPE],
}


_KEYS: Final = {
    "business": "The business in source; partitions are Java's murmur2 of it.",
    "request": "The request's name.",
    "source": "The source of the record: `<topic>-<partition>`.",
    "kind/id": "The kind of entry and its id.",
}


_SCHEMAS: Final = (
    "notification.v1.json",
    "optin.v1.json",
    "control.v1.json",
    "status.v1.json",
    "charge.v1.json",
    "dead-letter.json",
    "registry.json",
)


def _components(schemas: Mapping[str, Document]) -> Document:
    """The definitions of all schemas under one roof, and the whole of those that are more than one definition."""
    found: Document = {}
    for name in _SCHEMAS:
        schema = schemas[name]
        for part, definition in schema["$defs"].items():
            placed = _placed(definition)
            if found.setdefault(part, placed) != placed:
                raise ValueError(f"two schemas define {part} differently")
    registry = schemas["registry.json"]
    found["RegistryEntry"] = {"title": "RegistryEntry", "anyOf": _placed(registry["anyOf"])}
    status = _answer_event(
        ("StatusEvent", STATUS_TYPE, "//fanfare/status"), "Status", "Request, shard and seq.", "When this was found."
    )
    trace = {"type": "string", "description": "W3C Trace Context of your request, if it had one."}
    found["StatusEvent"] = {**status, "properties": {**status["properties"], "traceparent": trace}}
    found["ChargeEvent"] = _answer_event(
        ("ChargeEvent", BILLING_TYPE, BILLING_SOURCE), "BilledCharge", "Business and serial.", "When it was charged."
    )
    return found


def _answer_event(kind: tuple[str, str, str], data: str, event_id: str, time: str) -> Document:
    """Returns the schema of what Fanfare writes as a CloudEvent; ``kind`` is its title, its type and its source."""
    title, event_type, source = kind
    return {
        "title": title,
        "type": "object",
        "description": f"A {data} as a CloudEvent in structured mode.",
        "properties": {
            "specversion": {"const": "1.0", "description": "The version of CloudEvents."},
            "type": {"const": event_type, "description": "What kind of event this is."},
            "source": {"const": source, "description": "Fanfare itself."},
            "id": {"type": "string", "description": event_id},
            "time": {"type": "string", "format": "date-time", "description": time},
            "subject": {"type": "string", "description": "The request's name."},
            "datacontenttype": {"const": "application/json", "description": "What data is."},
            "data": {"$ref": f"#/components/schemas/{data}"},
        },
        "required": ["specversion", "type", "source", "id", "time", "subject", "data"],
    }


def _placed(value: Any) -> Any:
    """Returns the same with references to where the definitions stand now, and without what is OpenAPI's alone."""
    match value:
        case {"$ref": str(ref)}:
            return {"$ref": f"#/components/schemas/{ref.removeprefix('#/$defs/')}"}
        case dict():
            return {key: _placed(held) for key, held in value.items() if key != "discriminator"}
        case list():
            return [_placed(held) for held in value]
        case _:
            return value
