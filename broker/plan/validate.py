"""The form of ``data``: what can be said about a notification or an opt-in from its bytes alone.

Whatever is refused here is refused again whenever it is read, so no verdict is appended for it: malformed input costs one
decode and one answer, and never a place in the journal.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import phonenumbers

from broker.plan.policy import PlanPolicy
from schemas.ids import Lane, RecipientId, recipient_id
from schemas.plan_journal import LOCALE_WIDTH, Rows
from schemas.reasons import Reason, Refusal
from schemas.request import (
    MAX_LABELS,
    MAX_PARAM_CHARS,
    MAX_PARAMS,
    MAX_RECIPIENTS,
    RESERVED_FIELDS,
    CloudEvent,
    Member,
    Notification,
    Params,
    Recipient,
    Sealed,
    To,
)
from schemas.wire import strict_json
from schemas.wire.columns import u16s
from schemas.wire.sealed import looks_sealed
from schemas.wire.text import unsafe

# Addresses of people: what is a valid one, and who is meant.
#
# An address is E.164 with its scheme in normal form (``tel:+491701234567``): one spelling a person, because the recipient id is
# a keyed hash of the text. Validity is ``phonenumbers``' (the number belongs to a range that is in use). Sentences name the
# position, never the number.

EXAMPLE: Final = "tel:+447700900123"
"""Kept free by Ofcom for such uses: nobody's, so no auditor takes a sentence with it for a person's address in clear."""

_E164: Final = re.compile(r"tel:\+([1-9][0-9]{6,14})")
_LANGUAGE: Final = re.compile(r"([a-z]{2})(?:[-_][A-Za-z0-9]{2,8})*")
_CODE_LENGTHS: Final = (1, 2, 3)
"""Digits of a country calling code. No code begins with another, so the first that exists is the one."""


class Person(msgspec.Struct, frozen=True):
    """An explicit recipient whose address is valid."""

    address: str
    market: int
    """Country calling code."""
    language: str
    """Two letters; empty: the template's default."""
    params: Params
    position: int
    """Where in the event the person stands first."""


def market_of(address: str) -> int | None:
    """The country calling code of a valid address in normal form; None if it is none."""
    match = _E164.fullmatch(address)
    if match is None:
        return None
    digits = match[1]
    for length in _CODE_LENGTHS:
        code = int(digits[:length])
        if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            return code if phonenumbers.is_valid_number(_number(code, digits[length:])) else None
    return None


def language_of(tag: str | None) -> str | None:
    """The two letters of a language tag (``en``, ``en-GB``); empty for no tag, None for what is none."""
    if tag is None:
        return ""
    match = _LANGUAGE.fullmatch(tag)
    return match[1] if match else None


def person_of(column: str, position: int, given: Recipient | Member) -> Person | Refusal:
    """One recipient or member, checked; ``column`` is where it stands, for the sentence."""
    place = f"{column}[{position}]"
    market = market_of(given.address)
    if market is None:
        return Refusal(
            Reason.INVALID_RECIPIENT, f"{place}.address is no valid number in E.164 with its scheme, like {EXAMPLE}."
        )
    language = language_of(given.locale)
    if language is None:
        return Refusal(Reason.INVALID_FIELD, f"{place}.locale must be a language like en or en-GB.")
    return Person(given.address, market, language, given.params if isinstance(given, Recipient) else {}, position)


def people_of(recipients: Sequence[Recipient]) -> tuple[Person, ...] | Refusal:
    """The explicit recipients of a request, each once.

    Somebody who stands twice with the same language and parameters is one recipient (a booker who travels); with others the
    request is refused, because a message is (request, recipient) and one of the two would be lost.
    """
    if len(recipients) > MAX_RECIPIENTS:
        return Refusal(
            Reason.TOO_MANY_RECIPIENTS,
            f"{len(recipients)} recipients; at most {MAX_RECIPIENTS} are taken: split the request, or address a list.",
        )
    people: dict[str, Person] = {}
    for position, recipient in enumerate(recipients):
        person = person_of("data.to.recipients", position, recipient)
        if isinstance(person, Refusal):
            return person
        other = people.setdefault(person.address, person)
        if (other.language, other.params) != (person.language, person.params):
            return Refusal(
                Reason.INVALID_RECIPIENT,
                f"data.to.recipients[{position}] is the same person as [{other.position}] with other content: "
                "send one, or two requests.",
            )
    return tuple(people.values())


def rows_of(people: Sequence[Person], own: Sequence[dict[str, str]], *, languages: str, policy: PlanPolicy) -> Rows:
    """People as columns, addresses sealed. ``own`` are the parameters of each on top of the common ones.

    ``languages`` are those of the template; who names another, or none, is told in the first (:mod:`broker.languages`).
    """
    known = [languages[at : at + LOCALE_WIDTH] for at in range(0, len(languages), LOCALE_WIDTH)]
    return Rows(
        b"".join([identify(person, policy) for person in people]),
        b"".join([policy.address_book.seal(person.address) for person in people]),
        "".join([person.language if person.language in known else known[0] for person in people]).encode(),
        u16s([person.market for person in people]),
        tuple(own) if any(own) else (),
    )


def identify(person: Person, policy: PlanPolicy) -> RecipientId:
    """The recipient id of a person."""
    return recipient_id(policy.pepper, person.address)


def _number(code: int, national: str) -> phonenumbers.PhoneNumber:
    """The number as ``phonenumbers`` holds it: zeros that begin a national number (Italy) are counted apart."""
    zeros = len(national) - len(national.lstrip("0"))
    return phonenumbers.PhoneNumber(
        country_code=code,
        national_number=int(national),
        italian_leading_zero=zeros > 0 or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


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
