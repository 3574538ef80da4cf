"""The quick check of telephone numbers says what ``phonenumbers`` says, for every country."""

from typing import Final

import phonenumbers
from hypothesis import given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from broker.plan import addresses
from broker.plan.addresses import market_of

REGIONS: Final = sorted(phonenumbers.SUPPORTED_REGIONS)
NOWHERE: Final = sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS)
TYPES: Final = [kind for kind in PhoneNumberType.values() if kind != PhoneNumberType.UNKNOWN]


def examples() -> list[str]:
    """An example of every type of number of every country, and of the calling codes of none, in E.164."""
    found = [phonenumbers.example_number_for_type(region, kind) for region in REGIONS for kind in TYPES]
    found += [phonenumbers.example_number_for_non_geo_entity(code) for code in NOWHERE]
    known = {phonenumbers.format_number(one, phonenumbers.PhoneNumberFormat.E164) for one in found if one is not None}
    return sorted(one for one in known if 8 <= len(one) <= 16)


EXAMPLES: Final = examples()


def parts(number: str) -> tuple[int, str]:
    """The calling code and the rest of a number in E.164; no code begins with another."""
    digits = number.removeprefix("+")
    codes = (int(digits[:length]) for length in (1, 2, 3))
    code = next((code for code in codes if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), 0)
    return code, digits[len(str(code)) :]


def slowly(number: str) -> bool:
    """Whether ``phonenumbers`` takes a number, which is not parsed again: that would leave out a zero."""
    code, national = parts(number)
    return bool(code) and phonenumbers.is_valid_number(addresses._number(code, national))


def quickly(number: str) -> bool:
    """Whether the quick check alone takes it."""
    code, national = parts(number)
    return bool(code) and addresses._in_use(code, national)


def test_examples_of_every_country_are_taken_quickly() -> None:
    """None of them costs what ``phonenumbers`` costs, and each is in its market."""
    assert len(EXAMPLES) > 1_000
    for number in EXAMPLES:
        code = phonenumbers.parse(number).country_code
        assert (quickly(number), market_of("tel:" + number)) == (slowly(number), code if slowly(number) else None)


@given(st.sampled_from(EXAMPLES), st.integers(1, 14), st.text("0123456789", max_size=4))
@settings(max_examples=3_000, deadline=None)
def test_numbers_beside_them_are_judged_alike(example: str, place: int, digits: str) -> None:
    """Digits changed, added and left out: the two agree on each, so neither takes what the other refuses."""
    for number in (example[:place] + digits, example[:place] + digits + example[place + len(digits) :]):
        if 8 <= len(number) <= 16 and number[1] != "0":
            assert quickly(number) == slowly(number), number
