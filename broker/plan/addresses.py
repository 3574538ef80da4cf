"""Checks who is meant: addresses of people, their languages, and names of lists.

An address is E.164 with its scheme in normal form (``tel:+491701234567``): one spelling a person, because the recipient id is
a keyed hash of the text. Validity is ``phonenumbers``' (the number belongs to a range that is in use). Sentences name the
position, never the number.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final, NamedTuple

import msgspec
import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberDesc

from schemas.reasons import Reason, Refusal
from schemas.request import (
    MAX_RECIPIENTS,
    Member,
    Params,
    Recipient,
)
from schemas.wire.strict_json import DATA, Place

EXAMPLE: Final = "tel:+447700900123"
"""Kept free by Ofcom for such uses: nobody's, so no auditor takes a sentence with it for a person's address in clear."""

RECIPIENTS: Final = DATA.field("to").field("recipients")

_E164: Final = re.compile(r"tel:\+([1-9][0-9]{6,14})")
_LANGUAGE: Final = re.compile(r"([a-z]{2})(?:[-_][A-Za-z0-9]{2,8})*")
LIST_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
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
    """Return the country calling code of a valid address in normal form; None if it is none."""
    match = _E164.fullmatch(address)
    if match is None:
        return None
    digits = match[1]
    for length in _CODE_LENGTHS:
        code = int(digits[:length])
        if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            national = digits[length:]
            valid = _in_use(code, national) or phonenumbers.is_valid_number(_number(code, national))
            return code if valid else None
    return None


def language_of(tag: str | None) -> str | None:
    """The two letters of a language tag (``en``, ``en-GB``); empty for no tag, None for what is none."""
    if tag is None:
        return ""
    match = _LANGUAGE.fullmatch(tag)
    return match[1] if match else None


def bad_list_name(name: str, place: Place) -> Iterator[Refusal]:
    """Yield the refusal of a list's name that cannot be one."""
    if not LIST_NAME.fullmatch(name):
        sentence = f"{place} must be 1 to 128 letters, digits and . _ : / -, beginning with a letter or digit."
        yield Refusal(Reason.INVALID_FIELD, sentence, place=place.pointer)


def read_person(holder: Place, position: int, given: Recipient | Member) -> Iterator[Person | Refusal]:
    """Yield the recipient or member at a position, or everything that is wrong with it."""
    market, language = market_of(given.address), language_of(given.locale)
    if market is not None and language is not None:
        params = given.params if isinstance(given, Recipient) else {}
        yield Person(given.address, market, language, params, position)
        return
    place = holder.item(position)
    if market is None:
        where = place.field("address")
        sentence = f"{where} is no valid number in E.164 with its scheme, like {EXAMPLE}."
        yield Refusal(Reason.INVALID_RECIPIENT, sentence, place=where.pointer)
    if language is None:
        where = place.field("locale")
        yield Refusal(Reason.INVALID_FIELD, f"{where} must be a language like en or en-GB.", place=where.pointer)


def read_people(recipients: Sequence[Recipient]) -> Iterator[Person | Refusal]:
    """Yield the explicit recipients of a request, each once, and everything that is wrong with them.

    Somebody who stands twice with the same language and parameters is one recipient (a booker who travels); with others the
    request is refused, because a message is (request, recipient) and one of the two would be lost.
    """
    if len(recipients) > MAX_RECIPIENTS:
        sentence = (
            f"{len(recipients)} recipients; at most {MAX_RECIPIENTS} are taken: split the request, or address a list."
        )
        yield Refusal(Reason.TOO_MANY_RECIPIENTS, sentence, place=RECIPIENTS.pointer)
    people: dict[str, Person] = {}
    for position, recipient in enumerate(recipients[:MAX_RECIPIENTS]):
        for person in read_person(RECIPIENTS, position, recipient):
            if isinstance(person, Refusal) or (other := people.setdefault(person.address, person)) is person:
                yield person
            elif (other.language, other.params) != (person.language, person.params):
                place = RECIPIENTS.item(position)
                sentence = (
                    f"{place} is the same person as [{other.position}] with other content: send one, or two requests."
                )
                yield Refusal(Reason.INVALID_RECIPIENT, sentence, place=place.pointer)


def _number(code: int, national: str) -> phonenumbers.PhoneNumber:
    """The number as ``phonenumbers`` holds it: zeros that begin a national number (Italy) are counted apart."""
    zeros = len(national) - len(national.lstrip("0"))
    return phonenumbers.PhoneNumber(
        country_code=code,
        national_number=int(national),
        italian_leading_zero=zeros > 0 or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


# ``phonenumbers`` asks a number for its type in up to eleven ranges of each of its region's kinds, so a number costs it 20 to
# 40 µs. Here the ranges of all kinds that have numbers of this length are one expression a region: what is in one of them is
# valid there as well, and whatever is in none is left to ``phonenumbers``.

_NEVER: Final = "(?!)"
_KINDS: Final = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
    "fixed_line",
    "mobile",
)


class _Region(NamedTuple):
    """Numbers of one length in one region."""

    leading: re.Pattern[str] | None
    """Beginning of every number of the region, where that alone tells it from others of its calling code."""
    general: re.Pattern[str]
    kinds: re.Pattern[str]


def _in_use(code: int, national: str) -> bool:
    """Return True for a national number that is surely valid."""
    for region in _regions(code, len(national)):
        if region.leading is not None and not region.leading.match(national):
            continue
        if region.general.fullmatch(national) and region.kinds.fullmatch(national):
            return True
        if region.leading is not None:
            return False
    return False


@cache
def _regions(code: int, length: int) -> tuple[_Region, ...]:
    found: list[_Region] = []
    names = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[code]
    for name in names:
        known = PhoneMetadata.metadata_for_region_or_calling_code(code, name)
        if known is None:
            continue
        patterns = [pattern for kind in _KINDS if (pattern := _pattern(getattr(known, kind), length))]
        leading = re.compile(known.leading_digits) if known.leading_digits is not None and len(names) > 1 else None
        general = _pattern(known.general_desc, length) or _NEVER
        union = "|".join(f"(?:{pattern})" for pattern in dict.fromkeys(patterns))
        found.append(_Region(leading, re.compile(general), re.compile(union or _NEVER)))
    return tuple(found)


def _pattern(kind: PhoneNumberDesc | None, length: int) -> str:
    """Return the pattern of a kind's numbers, empty if it has none of this length."""
    if kind is None or (kind.possible_length and length not in kind.possible_length):
        return ""
    return kind.national_number_pattern or ""
