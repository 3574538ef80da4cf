"""The examples of the AsyncAPI document: events as producers publish them, and what comes back, encoded by what encodes it."""

import base64
import copy
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from schemas import topics
from schemas.ids import request_name, text_of
from schemas.lanes import MINUTE_MS, Lane
from schemas.registry import Business, Parameter, Template
from schemas.status import BilledCharge, DeadLetter, Status
from schemas.wire import timestamps
from schemas.wire.cloudevents import encode_charge, encode_status

Document = dict[str, Any]

SEALED: Final = "login-code"
"""The event whose code is sealed before it is published."""

_EVENTS: Final = {
    "notification": ("flight-delay", "parcel-delivered", SEALED, "offer"),
    "optin": ("flight-optin",),
    "control": ("offer-pause",),
}
_HALF: Final = b'{"id'
_AT_MS: Final = timestamps.ms_of(timestamps.EXAMPLE)


def examples_of(events: Mapping[str, Document], seal: Document) -> dict[str, list[Document]]:
    """Examples by message. ``events`` are to be published, by name; the first vector of ``seal`` belongs to :data:`SEALED`."""
    published = {**events, SEALED: _with_code(events[SEALED], seal["rows"][0])}
    shown = {kind: [{"name": name, "payload": published[name]} for name in names] for kind, names in _EVENTS.items()}
    return {
        **shown,
        "status": list(_statuses()),
        "charge": [_charge()],
        "deadLetter": [_letter()],
        "registryEntry": list(_entries()),
    }


def _with_code(event: Document, row: Document) -> Document:
    """The event with the sealed code of a vector in its place; ``ValueError`` if the vector was sealed for another place."""
    whole = copy.deepcopy(event)
    person = whole["data"]["to"]["recipients"][0]
    place = (whole["source"], whole["id"], person["address"], whole["data"]["template"])
    if place != (row["source"], row["id"], row["address"], row["template"]):
        raise ValueError("the first vector of the seal is not of the example's request, person and template")
    person["params"] = {row["parameter"]: {"sealed": row["sealed"]}}
    return whole


def _statuses() -> Iterator[Document]:
    source, event_id = "//shop-parcelo/parcels", "delivered-1"
    name = text_of(request_name(Lane.UPDATE, source, event_id))
    accepted = Status(request=name, source=source, id=event_id, state="accepted", seq=41, at_ms=_AT_MS, shards=1)
    accepted = msgspec.structs.replace(accepted, labels={"depot": "north"})
    closed = msgspec.structs.replace(
        accepted, state="closed", seq=97, at_ms=_AT_MS + MINUTE_MS, shard=3, counts={"read": 1, "delivered": 1}
    )
    refused = msgspec.structs.replace(
        accepted, state="refused", shards=0, reason="missing_field", detail="time is missing: it is required."
    )
    for told in (accepted, closed, refused):
        yield {"name": told.state, "payload": msgspec.json.decode(encode_status(told))}


def _charge() -> Document:
    source, event_id = "//shop-parcelo/parcels", "delivered-1"
    charge = BilledCharge(
        business="shop-parcelo",
        serial=12,
        partition=4,
        offset=31,
        request=text_of(request_name(Lane.UPDATE, source, event_id)),
        sender="shop-parcelo/main",
        lane=Lane.UPDATE.word,
        shard=3,
        category="utility",
        market=1,
        count=2,
        card=1,
        unit_micro=4_000,
        amount_micro=8_000,
        currency="USD",
        first_ms=_AT_MS + 900,
        last_ms=_AT_MS + 2_100,
        at_ms=_AT_MS + 2_300,
        source=source,
        id=event_id,
        labels={"depot": "newark"},
    )
    return {"name": "two-messages", "payload": msgspec.json.decode(encode_charge(charge))}


def _letter() -> Document:
    letter = DeadLetter(
        topic=topics.requests(Lane.UPDATE),
        partition=5,
        offset=17,
        reason="invalid_json",
        detail="This is not JSON that can be read: it breaks off at character 4; send strict JSON in UTF-8.",
        stage="plan",
        at_ms=_AT_MS,
        payload_sha256=hashlib.sha256(_HALF).hexdigest(),
        payload=base64.b64encode(_HALF).decode(),
    )
    return {"name": "half-an-event", "payload": msgspec.json.decode(msgspec.json.encode(letter))}


def _entries() -> Iterator[Document]:
    template = Template("parcel_delivered", "utility", (Parameter("parcel"),), {"en": "Parcel {parcel} was delivered."})
    for entry in (Business("shop-parcelo", "Parcelo"), template):
        yield {"name": entry.id, "payload": msgspec.json.decode(msgspec.json.encode(entry))}
