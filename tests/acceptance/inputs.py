"""Inputs that a producer gets wrong, a row each: what is wrong, where it must be answered, why, and with what advice.

Every row begins as a sound event of its lane (:class:`Draft`) and is spoilt in one way. Each value that a producer would not
want to read in an answer holds :data:`CANARY`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from schemas.ids import partition_of
from schemas.lanes import DAY_MS, HOUR_MS, MINUTE_MS, Category, Lane
from schemas.request import CONTROL_TYPE, MAX_REQUEST_BYTES, NOTIFICATION_TYPE, OPTIN_TYPE
from schemas.topics import SHARDS
from schemas.wire import timestamps

CANARY: Final = "kanarie"
"""Stands in parameters and codes; no answer may repeat it."""

STATUS: Final = "status"
DEAD_LETTER: Final = "dead letter"
CLIENT: Final = "client"
BROKER: Final = "broker"

CONTENT_TYPE: Final = ("content-type", b"application/cloudevents+json; charset=UTF-8")
_BUSINESS: Final = {
    Category.AUTHENTICATION: "bank-meridian",
    Category.UTILITY: "shop-parcelo",
    Category.MARKETING: "airline-ua",
}
_SEALED: Final = "dev1." + "A" * 80
_DEPTH: Final = 500
_MEGABYTES: Final = "x" * (2 * 1024 * 1024)
_encoder: Final = msgspec.json.Encoder()


@dataclass
class Draft:
    """A record before it is published, to be spoilt: of a sound event, or of bytes that replace it."""

    lane: Lane
    event: dict[str, Any]
    key: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=lambda: [CONTENT_TYPE])
    bytes_of: Callable[[bytes], bytes | None] = bytes
    """What becomes of the event's JSON."""
    partition: int | None = None
    """Where it is put; None: where its key belongs."""

    @property
    def value(self) -> bytes | None:
        """The record's value."""
        return self.bytes_of(_encoder.encode(self.event))

    @property
    def place(self) -> int:
        """The partition that it is published to."""
        return partition_of(self.key or b"", SHARDS) if self.partition is None else self.partition

    @property
    def data(self) -> dict[str, Any]:
        """The event's data."""
        data: dict[str, Any] = self.event["data"]
        return data

    def move(self, *, time_ms: int, lifetime_ms: int | None = HOUR_MS) -> None:
        """Shift the event's ``time`` by that much; ``expirytime`` lies ``lifetime_ms`` after it."""
        begins_ms = timestamps.ms_of(self.event["time"]) + time_ms
        self.event["time"] = timestamps.text_of(begins_ms)
        if lifetime_ms is None:
            del self.event["expirytime"]
        else:
            self.event["expirytime"] = timestamps.text_of(begins_ms + lifetime_ms)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One input. ``spoil`` changes the draft of a sound event of ``lane``."""

    name: str
    spoil: Callable[[Draft], object]
    where: str
    reason: str
    """Empty where it is taken all the same."""
    says: str
    """The part of the sentence that helps: the place, the nearest name, or what to do."""
    lane: Lane = Lane.UPDATE
    again: bool = False
    """Whether the sound event was published before, under the same source and id."""
    through: str = ""
    """CLIENT: published by our own client. BROKER: by a producer without a limit of its own."""


def draft_of(row: Row, number: int, now_ms: int) -> Draft:
    """The spoilt record of a row."""
    draft = sound(row.lane, f"bad-{number}", now_ms)
    row.spoil(draft)
    return draft


def sound(lane: Lane, event_id: str, now_ms: int) -> Draft:
    """A record that is taken, of each lane."""
    business = _BUSINESS[lane.rules.category]
    event = {
        "specversion": "1.0",
        "type": NOTIFICATION_TYPE,
        "source": f"//{business}/shop-floor",
        "id": event_id,
        "time": timestamps.text_of(now_ms),
        "expirytime": timestamps.text_of(now_ms + lane.rules.windows.lifetime_max_ms // 2),
        "datacontenttype": "application/json",
        "data": _DATA[lane.rules.category](),
    }
    return Draft(lane, event, business.encode())


def _person(**more: Any) -> dict[str, Any]:
    return {"address": "tel:+447100000001", **more}


def _parcel() -> dict[str, Any]:
    params = {"parcel": CANARY, "event_time": "noon"}
    return {"template": "parcel_delivered", "params": params, "to": {"recipients": [_person()]}}


def _code() -> dict[str, Any]:
    to = {"recipients": [_person(params={"code": {"sealed": _SEALED}})]}
    return {"template": "login_code", "params": {"minutes": "5"}, "to": to}


def _offer() -> dict[str, Any]:
    return {"template": "offer", "params": {"offer": CANARY, "until": "Sunday"}, "to": {"list": "offers"}}


_DATA: Final[Mapping[Category, Callable[[], dict[str, Any]]]] = {
    Category.AUTHENTICATION: _code,
    Category.UTILITY: _parcel,
    Category.MARKETING: _offer,
}


def _both(first: Callable[[Draft], object], second: Callable[[Draft], object]) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        first(draft)
        second(draft)

    return spoil


def _replaced(old: bytes, new: bytes) -> Callable[[Draft], None]:
    """A change of the bytes."""

    def spoil(draft: Draft) -> None:
        draft.bytes_of = lambda value: value.replace(old, new)

    return spoil


def _made(change: Callable[[bytes], bytes | None]) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        draft.bytes_of = change

    return spoil


def _attributes(**changed: Any) -> Callable[[Draft], None]:
    """A change of the envelope; None removes the attribute."""

    def spoil(draft: Draft) -> None:
        for name, value in changed.items():
            draft.event.pop(name, None)
            if value is not None:
                draft.event[name] = value

    return spoil


def _data(**changed: Any) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        draft.data.update(changed)

    return spoil


def _params(**changed: Any) -> Callable[[Draft], None]:
    """A change of the common parameters; None removes one."""

    def spoil(draft: Draft) -> None:
        for name, value in changed.items():
            draft.data["params"].pop(name, None)
            if value is not None:
                draft.data["params"][name] = value

    return spoil


def _to(**to: Any) -> Callable[[Draft], None]:
    return _data(to=to)


def _moved(*, time_ms: int = 0, lifetime_ms: int | None = HOUR_MS) -> Callable[[Draft], None]:
    return lambda draft: draft.move(time_ms=time_ms, lifetime_ms=lifetime_ms)


def _headers(*headers: tuple[str, bytes]) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        draft.headers = list(headers)

    return spoil


def _binary(*attributes: str, content_type: bytes | None = b"application/json") -> Callable[[Draft], None]:
    """Binary mode with these attributes as headers."""

    def spoil(draft: Draft) -> None:
        draft.headers = [(f"ce_{name}", draft.event[name].encode()) for name in attributes]
        draft.headers += [] if content_type is None else [("content-type", content_type)]
        draft.bytes_of = lambda _: _encoder.encode(draft.data)

    return spoil


def _speaker(business: str) -> Callable[[Draft], None]:
    """Somebody else's source, and the key to it."""

    def spoil(draft: Draft) -> None:
        draft.event["source"] = f"//{business}/shop-floor"
        draft.key = business.encode()

    return spoil


def _unkeyed(draft: Draft) -> None:
    draft.partition = (draft.place + 1) % SHARDS
    draft.key = None


def _optin(**changed: Any) -> Callable[[Draft], None]:
    def spoil(draft: Draft) -> None:
        evidence = {"method": "web_form", "wording": "Tell me.", "source": "https://example.com"}
        data = {"list": "offers", "op": "join", "members": [_person()], "evidence": evidence} | changed
        draft.event |= {"type": OPTIN_TYPE, "data": {name: held for name, held in data.items() if held is not None}}

    return spoil


def _control(**data: Any) -> Callable[[Draft], None]:
    """A control event with this data in place of a request."""

    def spoil(draft: Draft) -> None:
        draft.event |= {"type": CONTROL_TYPE, "data": data}

    return spoil


_refused = partial(Row, where=STATUS)
_lost = partial(Row, where=DEAD_LETTER)

BYTES: Final = (
    _lost(name="half an event", spoil=_made(lambda v: v[: len(v) // 2]), reason="invalid_json", says="breaks off at"),
    _lost(name="no value (null)", spoil=_made(lambda _: None), reason="not_a_cloud_event", says='send {"specversion"'),
    _lost(name="empty value", spoil=_made(lambda _: b""), reason="not_a_cloud_event", says='send {"specversion"'),
    _lost(name="plain text", spoil=_made(lambda _: b"hello"), reason="not_a_cloud_event", says='send {"specversion"'),
    _lost(name="JSON without an envelope", spoil=_made(lambda _: b"{}"), reason="not_a_cloud_event", says="send {"),
    _lost(name="UTF-16", spoil=_made(lambda v: v.decode().encode("utf-16")), reason="not_a_cloud_event", says="send {"),
    _lost(name="invalid UTF-8", spoil=_replaced(b"noon", b"no\xffn"), reason="invalid_json", says="is not UTF-8"),
    _lost(name="NaN", spoil=_replaced(b'"noon"', b"NaN"), reason="invalid_json", says="NaN and Infinity are no JSON"),
    _lost(name="lone surrogate", spoil=_replaced(b"noon", b"\\ud800"), reason="invalid_json", says="surrogate pair"),
    _lost(
        name="nested 500 deep",
        spoil=_replaced(b'"noon"', b"[" * _DEPTH + b"]" * _DEPTH),
        reason="invalid_json",
        says="deeper than 32 levels",
    ),
    _lost(
        name="a key twice",
        spoil=_replaced(b'"template"', b'"template":"offer","template"'),
        reason="invalid_json",
        says="a key stands twice",
    ),
    _lost(
        name="content type text/plain",
        spoil=_headers(("content-type", b"text/plain")),
        reason="not_a_cloud_event",
        says="content-type is not application/cloudevents+json",
    ),
    _lost(
        name="content type in Latin-1",
        spoil=_headers(("content-type", b"application/cloudevents+json; charset=latin1")),
        reason="invalid_field",
        says="JSON is UTF-8",
    ),
    _lost(
        name="more than 512 KiB",
        spoil=_params(parcel=CANARY + "x" * MAX_REQUEST_BYTES),
        reason="too_large",
        says="split it into several events",
    ),
    Row(
        name="2 MB, our client",
        spoil=_params(parcel=_MEGABYTES),
        where=CLIENT,
        reason="too_large",
        says="split it into several events",
        through=CLIENT,
    ),
    Row(
        name="2 MB, any other client",
        spoil=_params(parcel=_MEGABYTES),
        where=BROKER,
        reason="MessageSizeTooLarge",
        says="MessageSizeTooLarge",
        through=BROKER,
    ),
)
"""Nobody can be told by name: what is no event names none."""

ENVELOPE: Final = (
    _refused(
        name="expirytme",
        spoil=_attributes(expirytme="2026-11-22T06:40:00.000Z"),
        reason="unknown_field",
        says="did you mean `expirytime`?",
    ),
    _refused(name="no time", spoil=_attributes(time=None), reason="missing_field", says="time is missing"),
    _refused(
        name="time without an offset",
        spoil=_attributes(time="2026-11-22T06:40:00"),
        reason="invalid_field",
        says=f"like {timestamps.EXAMPLE}",
    ),
    _refused(name="no data", spoil=_attributes(data=None), reason="missing_field", says="data is missing"),
    _refused(
        name="type with a wrong version",
        spoil=_attributes(type="fanfare.notification.v2"),
        reason="unknown_type",
        says=f"did you mean `{NOTIFICATION_TYPE}`?",
    ),
    _lost(name="id of 300 characters", spoil=_attributes(id="x" * 300), reason="invalid_field", says="1 to 256"),
    _lost(name="empty id", spoil=_attributes(id=""), reason="invalid_field", says="1 to 256 characters"),
    _lost(
        name="source without slashes",
        spoil=_attributes(source="shop-parcelo"),
        reason="invalid_field",
        says="//<business>/<system>",
    ),
    _refused(
        name="a reply-to header of Faust",
        spoil=_headers(CONTENT_TYPE, ("Faust-Ag-ReplyTo", b"registry")),
        reason="reserved_header",
        says="send the event without them",
    ),
    _refused(
        name="a header of ours",
        spoil=_headers(CONTENT_TYPE, ("fanfare-signature", b"x")),
        reason="reserved_header",
        says="send the event without them",
    ),
    _refused(name="no key, any partition", spoil=_unkeyed, reason="", says=""),
    _refused(
        name="binary mode without a content type",
        spoil=_binary("specversion", "type", "source", "id", "time", "expirytime", content_type=None),
        reason="",
        says="",
    ),
    _refused(
        name="binary mode, content type text/plain",
        spoil=_binary("specversion", "type", "source", "id", "time", "expirytime", content_type=b"text/plain"),
        reason="invalid_field",
        says="datacontenttype must be application/json",
    ),
    _refused(
        name="binary mode without ce_time",
        spoil=_binary("specversion", "type", "source", "id"),
        reason="missing_field",
        says="time is missing",
    ),
    _lost(
        name="binary mode, ce_id twice",
        spoil=_binary("specversion", "type", "source", "id", "id", "time", "expirytime"),
        reason="invalid_field",
        says="The header of id stands twice",
    ),
)

DATA: Final = (
    _refused(
        name="unknown field",
        spoil=_data(templat="x"),
        reason="unknown_field",
        says="`templat`; did you mean `template`?",
    ),
    _refused(name="reserved field", spoil=_data(segment="all"), reason="not_supported", says="leave it out for now"),
    _refused(
        name="params as an array", spoil=_data(params=[1]), reason="invalid_field", says="data.params has the wrong"
    ),
    _refused(name="a number for a text", spoil=_params(parcel=7), reason="invalid_field", says="data.params"),
    _refused(name="nobody", spoil=_to(), reason="invalid_field", says="exactly one of recipients (not empty) and list"),
    _refused(
        name="people and a list",
        spoil=_to(list="parcels", recipients=[_person()]),
        reason="invalid_field",
        says="exactly one of recipients (not empty) and list",
    ),
    _refused(
        name="1,001 recipients",
        spoil=_to(recipients=[_person()] * 1_001),
        reason="too_many_recipients",
        says="split the request, or address a list",
    ),
    _refused(
        name="a number that nobody has",
        spoil=_to(recipients=[_person(), _person(address="tel:+1555")]),
        reason="invalid_recipient",
        says="data.to.recipients[1].address",
    ),
    _refused(
        name="a number without tel:",
        spoil=_to(recipients=[_person(address="+447100000001")]),
        reason="invalid_recipient",
        says="like tel:+447700900123",
    ),
    _refused(
        name="a locale that is none",
        spoil=_to(recipients=[_person(locale="English")]),
        reason="invalid_field",
        says="like en or en-GB",
    ),
    _refused(
        name="one person, two texts",
        spoil=_to(recipients=[_person(locale="en"), _person(locale="es")]),
        reason="invalid_recipient",
        says="send one, or two requests",
    ),
    _refused(
        name="bidi override in a parameter",
        spoil=_params(parcel=f"{CANARY}\u202e"),
        reason="invalid_field",
        says="no bidi overrides",
    ),
    _refused(
        name="five labels",
        spoil=_data(labels=dict.fromkeys("abcde", "x")),
        reason="invalid_field",
        says="at most 4 are taken",
    ),
    _refused(
        name="a version without subject",
        spoil=_data(version=2, facet="state"),
        reason="missing_field",
        says="subject is missing",
    ),
    _refused(
        name="a version without facet",
        spoil=_both(_attributes(subject="parcel/1"), _data(version=2)),
        reason="missing_field",
        says="data.facet is missing",
    ),
)

PARTIES: Final = (
    _lost(
        name="source of another business",
        spoil=_attributes(source="//bank-meridian/shop-floor"),
        reason="wrong_tenant",
        says="use your own business for both",
    ),
    _lost(
        name="unknown business",
        spoil=_speaker("nobody"),
        reason="unknown_business",
        says="fanfare registry apply",
    ),
    _lost(
        name="a business of Fanfare's own",
        spoil=_speaker("fanfare-0"),
        reason="unknown_template",
        says="heartbeats and nothing else",
    ),
    _refused(
        name="unknown sender",
        spoil=_data(sender="shop-parcelo/mian"),
        reason="unknown_sender",
        says="did you mean `shop-parcelo/main`?",
    ),
    _refused(
        name="sender of another business",
        spoil=_data(sender="bank-meridian/main"),
        reason="unknown_sender",
        says="no sender `bank-meridian/main`",
    ),
    _refused(
        name="unknown template",
        spoil=_data(template="parcel_deliverd"),
        reason="unknown_template",
        says="did you mean `parcel_delivered`?",
    ),
    _refused(
        name="an offer beside updates, for a week",
        spoil=_both(
            _data(template="offer", params={"offer": CANARY, "until": "Sunday"}), _moved(lifetime_ms=7 * DAY_MS)
        ),
        reason="wrong_lane",
        says="publish it to requests.campaign",
    ),
    _refused(name="missing parameter", spoil=_params(parcel=None), reason="missing_parameter", says="needs `parcel`"),
    _refused(
        name="unknown parameter",
        spoil=_params(parcl=CANARY),
        reason="unknown_parameter",
        says="did you mean `parcel`?",
    ),
    _refused(
        name="a sealed value for a text",
        spoil=_params(parcel={"sealed": _SEALED}),
        reason="invalid_field",
        says="takes text",
    ),
)

TIMES: Final = (
    _refused(
        name="three days old", spoil=_moved(time_ms=-3 * DAY_MS), reason="stale", says="publish it as a new event"
    ),
    _refused(
        name="an hour in the future",
        spoil=_moved(time_ms=HOUR_MS),
        reason="from_the_future",
        says="set the producer's clock",
    ),
    _refused(
        name="expired",
        spoil=_moved(time_ms=-2 * HOUR_MS),
        reason="request_expired",
        says="expirytime",
    ),
    _refused(
        name="expiry before time",
        spoil=_moved(time_ms=4 * MINUTE_MS, lifetime_ms=-MINUTE_MS),
        reason="invalid_field",
        says="expirytime lies before time",
    ),
    _refused(name="no expiry", spoil=_moved(lifetime_ms=None), reason="missing_field", says="expirytime is missing"),
    _refused(
        name="expiry in three days",
        spoil=_moved(lifetime_ms=3 * DAY_MS),
        reason="lifetime_too_long",
        says="the most this lane allows",
    ),
    _refused(
        name="the same event again", spoil=_attributes(), reason="duplicate", says="nothing is done twice", again=True
    ),
    _refused(
        name="the same id, other content",
        spoil=_params(event_time="one"),
        reason="conflict",
        says="give it an id of its own",
        again=True,
    ),
)

OTHER_LANES: Final = (
    _refused(
        name="a code in clear",
        spoil=_to(recipients=[_person(params={"code": CANARY})]),
        lane=Lane.OTP,
        reason="not_sealed",
        says="make a new code, seal it, use a new id",
    ),
    _refused(
        name="a code sealed to an unknown key",
        spoil=_to(recipients=[_person(params={"code": {"sealed": "k9." + "A" * 80}})]),
        lane=Lane.OTP,
        reason="not_sealed",
        says="registered: `dev1`",
    ),
    _refused(
        name="a code for a list",
        spoil=_to(list="customers"),
        lane=Lane.OTP,
        reason="invalid_field",
        says="explicit recipients",
    ),
    _lost(
        name="half a code",
        spoil=_made(lambda value: value[:-2]),
        lane=Lane.OTP,
        reason="invalid_json",
        says="breaks off at",
    ),
    _refused(
        name="an offer to people by number",
        spoil=_to(recipients=[_person()]),
        lane=Lane.CAMPAIGN,
        reason="invalid_field",
        says="fanfare.optin.v1",
    ),
    _refused(
        name="an offer with a version",
        spoil=_data(version=1),
        lane=Lane.CAMPAIGN,
        reason="invalid_field",
        says="belong to the update lane",
    ),
    _refused(
        name="an opt-in without proof",
        spoil=_optin(evidence=None),
        lane=Lane.CAMPAIGN,
        reason="no_proof",
        says="say method, wording and source",
    ),
    _refused(
        name="an opt-in beside codes", spoil=_optin(), lane=Lane.OTP, reason="wrong_lane", says="publish to requests."
    ),
)

CONTROLS: Final = (
    _refused(
        name="a control that stops",
        spoil=_control(action="stop", subject="parcel/1"),
        reason="invalid_field",
        says="data.action must be pause, resume or cancel",
    ),
    _refused(
        name="a control of nothing",
        spoil=_control(action="pause"),
        reason="invalid_field",
        says="exactly one of request, of and subject",
    ),
    _refused(
        name="a control of a campaign",
        spoil=_control(action="pause", subject="parcel/1", campaign="offer-1"),
        reason="unknown_field",
        says="`campaign`; known are `action`, `of`, `request`, `subject`",
    ),
    _refused(
        name="a control by the event's id",
        spoil=_control(action="pause", request="offer-1"),
        reason="invalid_field",
        says="the 26 letters of a request's name",
    ),
    _refused(
        name="a control of a request that is not there",
        spoil=_control(action="pause", request="a" * 26),
        reason="unknown_request",
        says="publish to its own lane",
    ),
    _refused(
        name="a control of somebody else's request",
        spoil=_control(action="cancel", of={"source": "//airline-ua/ops", "id": "1"}),
        reason="wrong_tenant",
        says="control your own requests only",
    ),
)

ROWS: Final[tuple[Row, ...]] = (*BYTES, *ENVELOPE, *DATA, *PARTIES, *TIMES, *OTHER_LANES, *CONTROLS)
