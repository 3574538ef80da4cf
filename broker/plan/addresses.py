"""Addresses of people: what is a valid one, and who is meant.

An address is E.164 with its scheme in normal form (``tel:+491701234567``): one spelling a person, because the recipient id is
a keyed hash of the text. Validity is ``phonenumbers``' (the number belongs to a range that is in use). Sentences name the
position, never the number.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec
import phonenumbers

from broker.plan.policy import PlanPolicy
from schemas.ids import RecipientId, recipient_id
from schemas.plan_journal import LOCALE_WIDTH, Rows
from schemas.reasons import Reason, Refusal
from schemas.request import (
    MAX_RECIPIENTS,
    Member,
    Params,
    Recipient,
)
from schemas.wire.columns import u16s

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
    """Checks a recipient or member; ``column`` is where it stands, for the sentence of a refusal."""
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
