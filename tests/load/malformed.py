"""Records that must never be delivered, one builder a kind: what a broken or hostile producer puts into a lane.

Each is a function of its number, so that no two have the same name, and of the time. All of them go to the partition of the
business whose good messages are measured: the worst place for those.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import msgspec

from schemas.ids import RequestName, request_name
from schemas.lanes import DAY_MS, HOUR_MS, Lane
from schemas.request import NOTIFICATION_TYPE
from schemas.wire import timestamps

BUSINESS = "shop-parcelo"
SOURCE = f"//{BUSINESS}/bad"

_FOREIGN = "//bank-meridian/bad"
_DEPTH = 500
_encoder = msgspec.json.Encoder()
_Change = Callable[[dict[str, Any]], object]


class Bad(msgspec.Struct, frozen=True):
    """A malformed record: its kind, its bytes, and the name under which it might be refused."""

    kind: str
    value: bytes
    name: RequestName


def bad(number: int, now_ms: int) -> Bad:
    """The malformed record of that number; kinds take turns."""
    kind = _KINDS[number % len(_KINDS)]
    event = _event(number, now_ms)
    if kind in _RAW:
        return Bad(kind, _RAW[kind](_encoder.encode(event), number), _name(event))
    _CHANGES[kind](event)
    return Bad(kind, _encoder.encode(event), _name(event))


def _name(event: Mapping[str, Any]) -> RequestName:
    return request_name(Lane.UPDATE, str(event["source"]), str(event["id"]))


def _event(number: int, now_ms: int) -> dict[str, Any]:
    """A good event, to be spoilt."""
    return {
        "specversion": "1.0",
        "type": NOTIFICATION_TYPE,
        "source": SOURCE,
        "id": f"bad-{number}",
        "time": timestamps.text_of(now_ms),
        "expirytime": timestamps.text_of(now_ms + HOUR_MS),
        "datacontenttype": "application/json",
        "data": {
            "template": "parcel_delivered",
            "sender": f"{BUSINESS}/main",
            "params": {"parcel": str(number), "event_time": "noon"},
            "to": {"recipients": [{"address": "tel:+447100000001"}]},
        },
    }


def _older(event: dict[str, Any], age_ms: int) -> None:
    for field in ("time", "expirytime"):
        event[field] = timestamps.text_of(timestamps.ms_of(event[field]) - age_ms)


_CHANGES: Mapping[str, _Change] = {
    "unknown field": lambda event: event["data"].update(templat="x"),
    "reserved field": lambda event: event["data"].update(segment="all"),
    "unknown template": lambda event: event["data"].update(template="nowhere"),
    "foreign sender": lambda event: event["data"].update(sender="bank-meridian/main"),
    "foreign source": lambda event: event.update(source=_FOREIGN),
    "missing parameter": lambda event: event["data"]["params"].pop("parcel"),
    "unknown parameter": lambda event: event["data"]["params"].update(extra="x"),
    "nobody": lambda event: event["data"].update(to={}),
    "no number": lambda event: event["data"]["to"].update(recipients=[{"address": "tel:+0"}]),
    "1,001 recipients": lambda event: event["data"]["to"].update(recipients=event["data"]["to"]["recipients"] * 1_001),
    "expired": lambda event: _older(event, 2 * HOUR_MS),
    "stale": lambda event: _older(event, 3 * DAY_MS),
    "from the future": lambda event: _older(event, -DAY_MS),
    "unknown type": lambda event: event.update(type="fanfare.nothing.v1"),
    "no id": lambda event: event.update(id=""),
    "wrong JSON type": lambda event: event["data"].update(params=[1, 2]),
}
"""What is spoilt in an event that is JSON still."""

_RAW: Mapping[str, Callable[[bytes, int], bytes]] = {
    "no JSON": lambda value, _number: value[: len(value) // 2],
    "noise": lambda _value, number: Random(number).randbytes(300),
    "nothing": lambda _value, _number: b"",
    "NaN": lambda value, _number: value.replace(b'"noon"', b"NaN"),
    "lone surrogate": lambda value, _number: value.replace(b'"noon"', b'"\\ud800"'),
    "deep nesting": lambda value, _number: value.replace(b'"noon"', b"[" * _DEPTH + b"]" * _DEPTH),
    "field twice": lambda value, _number: value.replace(b'"template"', b'"template":"offer","template"'),
}
"""What is done to the bytes."""

_KINDS = (*_CHANGES, *_RAW)
