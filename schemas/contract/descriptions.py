"""Describes each field of the contract, a sentence each: it stands in the JSON Schemas and on the page made of them.

Fields of requests are described where they are (``schemas/request.py``).
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from schemas.lanes import Lane, listed
from schemas.request import Control, EventName, Evidence, Member, Notification, Optin, Recipient, Sealed, To

Sentences = Mapping[str, str]

_DATED: Final = listed((lane.word for lane in Lane if lane.rules.needs_expiry), "and")
_CODES: Final = listed(lane.word for lane in Lane if lane.rules.carries_codes)
_SHARES: Final = ", ".join(f"{lane.word} {lane.rules.share_percent}" for lane in Lane)

_ENVELOPE: Final[Sentences] = {
    "specversion": "The version of CloudEvents.",
    "id": "Your own id of this event. With source it names the request: a retry uses the same, another request another.",
    "source": "`//<business>/<system>`: who says it. The business is also the record's key.",
    "type": "What kind of event this is; `data` follows from it.",
    "time": "When the fact happened, RFC 3339 with an offset. An event that is older than the lane's window is stale.",
    "subject": "What it is about: `flight/UA1545/2013-02-08`. With facet and version it names a fact.",
    "expirytime": f"Until when it is worth telling, RFC 3339. Required in the lanes {_DATED}; nothing is handed off later.",
    "traceparent": "W3C Trace Context: back in statuses, on to the gateway, logged if sampled. A broken one is dropped.",
    "tracestate": "Taken and not used.",
    "partitionkey": "Taken and not used.",
    "datacontenttype": "`application/json`, or left out.",
    "dataschema": "Taken and not used.",
    "data": "What is to be done.",
}
_BILLS: Final[Mapping[str, Sentences]] = {
    "BilledCharge": {
        "business": "Who is charged.",
        "serial": "The number of the posting among those of the business: 1, 2, 3 and so on, without a gap.",
        "partition": "Of the topic `charges`, where the charge behind this posting stands.",
        "offset": "The same. With the partition it names the posting for ever, also after the book was built anew.",
        "request": "The request's name: that of its statuses.",
        "sender": "The number that spoke.",
        "lane": f"The lane of the request: {listed(f'`{lane.word}`' for lane in Lane)}.",
        "shard": "Which part of the recipients this is about. Statuses of explicit recipients name their shard and rank, too.",
        "category": "What was paid for: `authentication`, `utility` or `marketing`.",
        "market": "The country calling code of those who were told.",
        "count": "How many messages this posting charges.",
        "card": "The price card that was in force when the request was accepted.",
        "unit_micro": "The price of one message, in millionths of the currency.",
        "amount_micro": "count times unit_micro.",
        "currency": "ISO 4217.",
        "first_ms": "When the gateway reported the first of these deliveries, ms since 1970.",
        "last_ms": "When it reported the last of them, ms since 1970.",
        "at_ms": "When they were charged, ms since 1970. The month of this moment, in UTC, is the month of the bill.",
        "source": "The source of the event that asked for these messages.",
        "id": "That event's id.",
        "labels": "That event's labels, unchanged. They are kept as long as the bill: put nobody's personal data into them.",
    },
}
_ANSWERS: Final[Mapping[str, Sentences]] = {
    "Status": {
        "request": "The request's name: computed from lane, source and id, so you know it before you publish.",
        "source": "The event's source.",
        "id": "The event's id.",
        "state": "`accepted`, `refused`, `running` or `closed`.",
        "seq": "Rises for each (request, shard): drop what has a lower one than you have seen.",
        "at_ms": "When this was found, ms since 1970.",
        "shard": "Which shard reports; -1 is the word of plan about the whole request.",
        "shards": "How many shards will report: the request's counts are the sum over the newest word of each.",
        "reason": "Why it was refused: a word of a closed list.",
        "detail": "What is wrong and what to do, without content.",
        "retry_at_ms": "When the same may be asked again with success, ms since 1970; 0 where time does not help.",
        "people": "To how many it goes: in all, as far as that is known at acceptance; in this shard, once it is running.",
        "rate_per_s": "At how many messages a second a list, or more recipients than a tenth of that, goes out; 0: at once.",
        "eta_ms": "About when everybody will have been told, ms since 1970; 0: at once, not known yet, or paused.",
        "unreached": "How many cannot be told before it expires, at that rate.",
        "left": "Of `backlog_full`: how many messages to explicit recipients would have been taken in its place.",
        "counts": "How many messages are in which state or ended for which reason.",
        "recipients": "What became of each explicit recipient.",
        "labels": "Those of your request; none if its data could not be read.",
        "traceparent": "That of your request; the event's attribute of this name says the same.",
    },
    "RecipientStatus": {
        "recipient": "The id of the person: a keyed hash of the address.",
        "rank": "The person's place among the recipients of the shard.",
        "state": "Where the message stands.",
        "at_ms": "Since when, ms since 1970.",
        "reason": "Why it ended, if it was not delivered.",
        "code": "The gateway's own code, 0 for none; none once the message is delivered.",
    },
    "DeadLetter": {
        "topic": "Where the record stands.",
        "partition": "The same.",
        "offset": "The same.",
        "reason": "Why it was refused: a word of a closed list.",
        "detail": "What is wrong and what to do, without content.",
        "stage": "Which stage refused it.",
        "at_ms": "When, ms since 1970.",
        "payload_sha256": "SHA-256 of the record's value, in hex.",
        "payload": f"The record's value in base64; never for the lane {_CODES}, nor for what is too large.",
        "business": "Whose it is, as far as that could be read.",
        "attempts": "How often it has been judged.",
        "headers": "Those of its headers that cannot hold content.",
    },
}
_REGISTRY: Final[Mapping[str, Sentences]] = {
    "Business": {
        "id": "As it stands in source: `//<id>/...`.",
        "name": "As people read it.",
        "verified": "Whether somebody has looked at who they are.",
        "plan": "`free` or `paid`. Nothing depends on it yet: both are served and billed alike.",
        "active": "Switched off, every event of theirs is refused.",
        "test_numbers": "E.164. Whom `test: true` reaches, and nobody else.",
        "backlog": "How many messages to explicit recipients may wait in each lane for the throughput of its numbers.",
    },
    "Sender": {
        "id": "`<business>/<name>`.",
        "business": "Whose number it is.",
        "number": "E.164.",
        "rate_per_s": "How many messages a second the gateway takes from this number, over all lanes.",
        "active": "Switched off, it may not be used.",
        "default": "Whether it speaks for events that name no sender.",
        "shares": f"Lane to percent of the throughput; a lane without one may not send. Left out: {_SHARES}.",
    },
    "Parameter": {"name": "What stands in braces in the text.", "sealed": "Takes sealed values only: one-time codes."},
    "Template": {
        "id": "As events name it.",
        "category": "`authentication`, `utility` or `marketing`; price, consent and lane follow from it.",
        "parameters": "Its slots. Every one must be filled.",
        "texts": "Language (two letters) to text with `{named}` slots.",
        "default_language": "For people whose language it does not speak, or who named none; Fanfare chooses, not the gateway.",
        "business": "Who may use it; `*` is everybody.",
        "version": "Of the text; fixed for a request when it is accepted.",
        "active": "Switched off, it may not be used.",
    },
    "PriceCard": {
        "id": "The highest is in force for what is accepted now.",
        "currency": "ISO 4217.",
        "prices_micro": "Category to market (country calling code, `*` for the rest) to millionths of the currency.",
    },
    "Key": {"id": "As it stands before the dot of a value.", "use": "What it is for.", "public": "Hex."},
    "ApiKey": {
        "id": "Its name.",
        "business": "Whose key it is.",
        "sha256": "SHA-256 of the key, hex.",
        "active": "Switched off, it opens nothing.",
    },
    "Keywords": {
        "id": "The language, two letters.",
        "stop": "Words that end marketing, and the list whose message they answer.",
        "stop_all": "Words that end everything but one-time codes.",
        "start": "Words that take both back.",
        "after_offers": "Words that stop only in answer to a marketing message: elsewhere they may be about an order.",
    },
    "Deployment": {
        "id": "Its name.",
        "shards": "S, the number of shards: fixed at birth.",
        "max_rate_per_s": "What the platform lets one number send in a second, at the most; no sender is registered with more.",
    },
}

_REQUESTED: Final = (Notification, To, Recipient, Sealed, Optin, Member, Evidence, Control, EventName)
"""Types whose fields are described where they are."""


def _told(kind: type[msgspec.Struct]) -> Sentences:
    """Return the sentences that stand on the fields of a type."""
    fields = msgspec.inspect.type_info(kind).fields  # type: ignore[attr-defined]
    return {field.encode_name: str((field.type.extra_json_schema or {})["description"]) for field in fields}


DESCRIPTIONS: Final[Mapping[str, Sentences]] = {
    "NotificationEvent": _ENVELOPE,
    "OptinEvent": _ENVELOPE,
    "ControlEvent": _ENVELOPE,
    **{kind.__name__: _told(kind) for kind in _REQUESTED},
    **_ANSWERS,
    **_BILLS,
    **_REGISTRY,
}
"""By type and field."""
