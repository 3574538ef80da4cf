"""Builds events, typed values in, CloudEvents as JSON-ready dictionaries out; and checks them as plan does, without a Kafka.

Whoever prefers dictionaries writes them by hand (``deploy/dev/examples``); the form is the same. Rules: PROTOCOL.md section 7.

:func:`form_refusal` answers as plan would: the first thing that is wrong with the form of some bytes. :func:`faults` tells all of
it at once, each with its place. Neither knows what was accepted before.
"""

from typing import Any, Final, TypeAlias

import msgspec

from broker.plan.decode import Malformed
from broker.registry.fold import Registry
from broker.validation.all_errors import Headers, faults_of, faults_of_bytes, form_of
from schemas.lanes import Lane
from schemas.reasons import Fault, Refusal
from schemas.request import CONTROL_TYPE, NOTIFICATION_TYPE, OPTIN_TYPE, Control, Notification, Optin, Recipient, To
from schemas.wire import timestamps
from streams.runtime import clock

Event: TypeAlias = dict[str, Any]
"""A CloudEvent as the JSON of structured mode holds it."""

SPEC_VERSION: Final = "1.0"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The attributes of an event that say whose it is, which one, when, and about what."""

    source: str
    """``//<business>/<system>``."""
    id: str
    """The producer's own; with ``source`` the identity. A retry uses the same, another request another."""
    time_ms: int | None = None
    """When the fact happened; now, if it is not given."""
    lifetime_ms: int | None = None
    """Milliseconds after ``time_ms`` for which it is still worth telling; required for otp and update."""
    subject: str | None = None
    """Subject of the event, the thing it is about: ``flight/UA1545/2013-02-08``."""
    traceparent: str | None = None


def notification(head: Head, content: Notification) -> Event:
    """A ``fanfare.notification.v1`` event."""
    return _event(NOTIFICATION_TYPE, head, content)


def optin(head: Head, content: Optin) -> Event:
    """A ``fanfare.optin.v1`` event: people join or leave a list. Publish it to the campaign or the update lane."""
    return _event(OPTIN_TYPE, head, content)


def control(head: Head, content: Control) -> Event:
    """A ``fanfare.control.v1`` event: pause, resume or cancel a request, or a subject. Publish it to the lane of the request."""
    return _event(CONTROL_TYPE, head, content)


def to_people(*addresses: str) -> To:
    """Explicit recipients by their addresses (``tel:+491701234567``)."""
    return To(recipients=tuple(Recipient(address) for address in addresses))


def to_list(name: str) -> To:
    """Everybody who has opted in to a list of the business."""
    return To(list=name)


def _event(kind: str, head: Head, content: Notification | Optin | Control) -> Event:
    time_ms = clock.now_ms() if head.time_ms is None else head.time_ms
    event: Event = {
        "specversion": SPEC_VERSION,
        "type": kind,
        "source": head.source,
        "id": head.id,
        "time": timestamps.text_of(time_ms),
        "datacontenttype": "application/json",
    }
    if head.subject is not None:
        event["subject"] = head.subject
    if head.lifetime_ms is not None:
        event["expirytime"] = timestamps.text_of(time_ms + head.lifetime_ms)
    if head.traceparent is not None:
        event["traceparent"] = head.traceparent
    event["data"] = _said(content)
    return event


def _said(value: Any) -> Any:
    """Plain JSON of typed content, without what was left at its default: ingress wants a field said or absent."""
    match value:
        case msgspec.Struct():
            fields = msgspec.structs.fields(type(value))
            held = {field.encode_name: (getattr(value, field.name), field.default) for field in fields}
            return {name: _said(inner) for name, (inner, default) in held.items() if inner not in (default, {})}
        case dict():
            return {name: _said(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_said(inner) for inner in value]
        case _:
            return value


def form_refusal(lane: Lane, business: str, value: bytes, headers: Headers) -> Refusal | None:
    """Why plan would refuse these bytes by their form, or ``None``."""
    found = form_of(lane, business, value, headers)
    return found.refusal if isinstance(found, Malformed) else None


def faults(
    lane: Lane, event: Event | bytes, *, registry: Registry | None = None, now_ms: int | None = None
) -> tuple[Fault, ...]:
    """Everything that is wrong with an event (or its JSON) for ``lane``, none if plan would take it; at most a hundred.

    Its form always; with ``now_ms`` its times; with ``registry`` who says it, with which template and with what in its slots.
    """
    if isinstance(event, bytes):
        return faults_of_bytes(lane, event, registry=registry, now_ms=now_ms)
    return faults_of(lane, event, registry=registry, now_ms=now_ms)
