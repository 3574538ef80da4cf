"""The form of ``data``: what can be said about a notification or an opt-in from its bytes alone.

Whatever is refused here is refused again whenever it is read, so no verdict is appended for it: malformed input costs one
decode and one answer, and never a place in the journal.
"""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

from broker.plan.addresses import Person, people_of
from schemas.ids import Lane
from schemas.reasons import Reason, Refusal
from schemas.request import (
    MAX_LABELS,
    MAX_PARAM_CHARS,
    MAX_PARAMS,
    RESERVED_FIELDS,
    CloudEvent,
    Notification,
    Params,
    Recipient,
    Sealed,
    To,
)
from schemas.wire import strict_json
from schemas.wire.sealed import looks_sealed
from schemas.wire.text import unsafe

LIST_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
FACET_NAME: Final = re.compile(r"\*|[a-z0-9][a-z0-9._-]{0,63}")
"""``*`` dominates all facets of its subject: a cancellation."""

_NAME_CHARS: Final = 128
_LABEL_CHARS: Final = 64
_SEALED_CHARS: Final = 2_048

_NOTIFICATION: Final = strict_json.Shape(
    root="data",
    known={
        "": Notification.__struct_fields__,
        ".to": To.__struct_fields__,
        ".to.recipients": Recipient.__struct_fields__,
        ".params": Sealed.__struct_fields__,
        ".to.recipients.params": Sealed.__struct_fields__,
    },
    reserved=RESERVED_FIELDS,
)
_notifications: Final = msgspec.json.Decoder(Notification)


class _Labelled(msgspec.Struct, frozen=True):
    """The labels alone, of data that may be refused for something else."""

    labels: dict[str, str] = {}


_labelled: Final = msgspec.json.Decoder(_Labelled)


class Content(msgspec.Struct, frozen=True):
    """A notification of sound form."""

    body: Notification
    people: tuple[Person, ...]
    """Empty for a list request."""


def content_of(event: CloudEvent, lane: Lane) -> Content | Refusal:
    """The notification in an event of ``lane``, or the first thing that is wrong with its form."""
    body = strict_json.decode(_notifications, event.data, _NOTIFICATION)
    if isinstance(body, Refusal):
        return body
    refusal = _addressed(body, lane) or _fact(event, body, lane) or _labels(body.labels) or _texts(body)
    if refusal is not None:
        return refusal
    if event.expires_ms is None and lane is not Lane.CAMPAIGN:
        return Refusal(
            Reason.MISSING_FIELD,
            f"expirytime is missing: in lane {lane.word} say until when the message is worth sending.",
        )
    people = people_of(body.to.recipients)
    return people if isinstance(people, Refusal) else Content(body, people)


def labels_in(event: CloudEvent) -> dict[str, str]:
    """Returns the labels of an event whatever else is wrong with it, so that its refusal carries them; none if they are bad."""
    try:
        labels = _labelled.decode(event.data).labels
    except msgspec.MsgspecError:
        return {}
    return labels if _labels(labels) is None else {}


def bad_list_name(name: str, place: str) -> Refusal | None:
    """The refusal of a list's name that cannot be one."""
    if LIST_NAME.fullmatch(name):
        return None
    return _invalid(f"{place} must be 1 to 128 letters, digits and . _ : / -, beginning with a letter or digit")


def _addressed(body: Notification, lane: Lane) -> Refusal | None:
    to = body.to
    if bool(to.recipients) == (to.list is not None):
        return _invalid("data.to must hold exactly one of recipients (not empty) and list")
    if to.list is None:
        return None
    if lane is Lane.OTP:
        return _invalid("data.to.list: a one-time code goes to explicit recipients; name them in data.to.recipients")
    return bad_list_name(to.list, "data.to.list")


def _fact(event: CloudEvent, body: Notification, lane: Lane) -> Refusal | None:
    if body.facet is None and body.version is None:
        return None
    if lane is not Lane.UPDATE:
        return _invalid("data.facet and data.version belong to the update lane: leave them out")
    missing = [
        place
        for place, held in (("subject", event.subject), ("data.facet", body.facet), ("data.version", body.version))
        if held is None
    ]
    if missing:
        return Refusal(
            Reason.MISSING_FIELD, f"{missing[0]} is missing: subject, data.facet and data.version together name a fact."
        )
    if body.version is not None and body.version < 0:
        return _invalid("data.version must be 0 or more")
    if body.facet is not None and not FACET_NAME.fullmatch(body.facet):
        return _invalid("data.facet must be * or 1 to 64 of a-z, 0-9 and . _ -")
    return None


def _labels(labels: dict[str, str]) -> Refusal | None:
    if len(labels) > MAX_LABELS:
        return _invalid(f"data.labels has {len(labels)} labels; at most {MAX_LABELS} are taken")
    if any(not _short(text, _LABEL_CHARS) for pair in labels.items() for text in pair):
        return _invalid(f"data.labels: names and values have 1 to {_LABEL_CHARS} characters and no controls")
    return None


def _texts(body: Notification) -> Refusal | None:
    names = (("template", body.template), ("sender", body.sender))
    for field, name in names:
        if name is not None and not _short(name, _NAME_CHARS):
            return _invalid(f"data.{field} must have 1 to {_NAME_CHARS} characters and no controls")
    for place, params in _all_params(body):
        if refusal := _params(place, params):
            return refusal
    return None


def _all_params(body: Notification) -> Iterable[tuple[str, Params]]:
    yield "data.params", body.params
    for position, recipient in enumerate(body.to.recipients):
        if recipient.params:
            yield f"data.to.recipients[{position}].params", recipient.params


def _params(place: str, params: Params) -> Refusal | None:
    if len(params) > MAX_PARAMS:
        return _invalid(f"{place} has {len(params)} parameters; at most {MAX_PARAMS} are taken")
    for value in params.values():
        if isinstance(value, Sealed):
            if len(value.sealed) > _SEALED_CHARS or not looks_sealed(value.sealed):
                return Refusal(
                    Reason.NOT_SEALED,
                    f"{place}: a sealed value looks like <key id>.<base64url>; seal it with the client.",
                )
        elif len(value) > MAX_PARAM_CHARS or unsafe(value):
            return _invalid(
                f"{place}: a value has at most {MAX_PARAM_CHARS} characters, no controls and no bidi overrides"
            )
    return None


def _short(text: str, chars: int) -> bool:
    return 0 < len(text) <= chars and not unsafe(text)


def _invalid(what: str) -> Refusal:
    return Refusal(Reason.INVALID_FIELD, f"{what}.")
